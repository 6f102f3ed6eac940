//! What the tests share: an observer that writes down what it is told.
#![allow(dead_code)]

use std::sync::{Mutex, MutexGuard, Once};

use deadwalk_alloc::{Block, HeapObserver, Misuse};

static TOLD: Mutex<Vec<Misuse>> = Mutex::new(Vec::new());
static FREEING: Mutex<Vec<(Block, usize)>> = Mutex::new(Vec::new());
static SERIAL: Mutex<()> = Mutex::new(());

struct Recorder;

impl HeapObserver for Recorder {
    fn freeing(&self, block: &Block, site: usize) {
        FREEING.lock().unwrap().push((*block, site));
    }
    fn misuse(&self, misuse: &Misuse) {
        TOLD.lock().unwrap().push(*misuse);
    }
    fn foreign_free(&self, addr: usize, _site: usize) -> bool {
        addr == HANDLED_FOREIGN
    }
}

/// A foreign address the recorder claims to handle.
pub const HANDLED_FOREIGN: usize = 0x1234_5670;

static RECORDER: Recorder = Recorder;

/// One test at a time from here on, with nothing told so far.
pub fn begin() -> MutexGuard<'static, ()> {
    static SET: Once = Once::new();
    SET.call_once(|| deadwalk_alloc::set_observer(&RECORDER));
    let guard = SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    told();
    freeing();
    guard
}

/// What was told since the last call.
pub fn told() -> Vec<Misuse> {
    std::mem::take(&mut TOLD.lock().unwrap())
}

/// The watched blocks that ended since the last call.
pub fn freeing() -> Vec<(Block, usize)> {
    std::mem::take(&mut FREEING.lock().unwrap())
}

pub fn errno() -> i32 {
    // SAFETY: libc guarantees a valid pointer.
    unsafe { *libc::__errno_location() }
}

pub fn set_errno(value: i32) {
    // SAFETY: libc guarantees a valid pointer.
    unsafe { *libc::__errno_location() = value };
}
