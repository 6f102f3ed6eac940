//! The stage of a run: an empty heap, and what it tells.

use std::sync::Mutex;

use loom::model::Builder;

use super::stand_in::{CLASS, SLOT};
use crate::class::SLOT_SIZE;
use crate::observer::{Block, HeapObserver, Misuse, MisuseKind, set_observer};
use crate::window::{CLASS_SPAN, class_base, meta_base};
use crate::{Config, configure, heap, os};

/// A request that fills a slot of the model's class.
pub const SIZE: usize = SLOT - 10;

static TOLD: Mutex<Vec<MisuseKind>> = Mutex::new(Vec::new());

struct Recorder;
static RECORDER: Recorder = Recorder;

impl HeapObserver for Recorder {
    fn freeing(&self, _: &Block, _: usize) {}
    fn misuse(&self, misuse: &Misuse) {
        TOLD.lock().unwrap().push(misuse.kind);
    }
}

/// What was told in this run so far.
pub fn told() -> Vec<MisuseKind> {
    TOLD.lock().unwrap().clone()
}

/// Runs a model on an empty heap whose quarantine keeps a batch or two.
pub fn run(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    static SERIAL: Mutex<()> = Mutex::new(());
    let _serial = SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    assert_eq!(SLOT_SIZE[CLASS], SLOT);
    set_observer(&RECORDER);
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        empty();
        configure(Config { quarantine_bytes: 0, ..Config::default() });
        model();
        clear();
    });
}

/// Forgets what the last run mapped in the window.
fn empty() {
    TOLD.lock().unwrap().clear();
    let page = !(os::PAGE - 1);
    // SAFETY: nothing of a run is used after it.
    unsafe {
        os::unmap(class_base(CLASS) & page, CLASS_SPAN / 2);
        os::unmap(meta_base(CLASS) & page, CLASS_SPAN / 4);
    }
}

/// Gives the caches' memory back.
fn clear() {
    for cache in crate::cache::all() {
        // SAFETY: the run's threads have ended.
        unsafe { os::unmap(core::ptr::from_ref(cache) as usize, crate::cache::footprint(0)) };
    }
}

/// A block of the model's class.
pub fn malloc(site: usize) -> usize {
    // SAFETY: the family's own contract.
    let block = unsafe { heap::malloc(SIZE, site) } as usize;
    assert_ne!(block, 0);
    block
}

/// Frees a block, perhaps once too often.
pub fn free(block: usize, site: usize) {
    // SAFETY: misuse is told and survived.
    unsafe { heap::free(block as *mut u8, site) };
}
