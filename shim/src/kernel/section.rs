//! The exports of `deadwalk/irqflags.h` and `deadwalk/bkl.h`: the locks of 2.x that
//! are one for the whole kernel, and that their holder may take again.
//!
//! `cli` is not counted: a section ends at the first `sti`, and what nests saves the
//! state and restores it. The big kernel lock is counted.
//!
//! Contexts: any. A section that its thread never ends is the program's mistake;
//! a fork child has none.

use core::ffi::c_ulong;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::kernel::lock::{SpinLock, deadwalk_spin_lock, deadwalk_spin_unlock};
use crate::tls;

/// Held between `cli` and `sti`.
static SECTION: SpinLock = SpinLock::new();
/// Between the outermost `lock_kernel` and its `unlock_kernel`.
static BIG: SpinLock = SpinLock::new();
/// How often its holder took [`BIG`]; only the holder touches it.
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// What the flags of a processor that takes interrupts have set.
const ENABLED: c_ulong = 0x200;

/// `cli`: keeps other threads' sections out, until `sti`.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_cli() {
    if !SECTION.is_mine() {
        // SAFETY: a static lock.
        unsafe { deadwalk_spin_lock(&raw const SECTION) }
    }
}

/// `sti`: ends the thread's section, if it is in one.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_sti() {
    if SECTION.is_mine() {
        // SAFETY: a static lock, and held.
        unsafe { deadwalk_spin_unlock(&raw const SECTION) }
    }
}

/// `save_flags`: what [`deadwalk_restore_flags`] goes back to.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_save_flags() -> c_ulong {
    if SECTION.is_mine() { 0 } else { ENABLED }
}

/// `restore_flags`: begins or ends a section, as it was when the flags were saved.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_restore_flags(flags: c_ulong) {
    if flags & ENABLED != 0 { deadwalk_sti() } else { deadwalk_cli() }
}

/// `lock_kernel`: takes the lock, or counts that its holder wants it again.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_lock_kernel() {
    if !BIG.is_mine() {
        // SAFETY: a static lock.
        unsafe { deadwalk_spin_lock(&raw const BIG) }
    }
    DEPTH.store(DEPTH.load(Relaxed) + 1, Relaxed);
}

/// `unlock_kernel`: opens the lock for the last of its holder's calls.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_unlock_kernel() {
    if !BIG.is_mine() {
        return;
    }
    let depth = DEPTH.load(Relaxed) - 1;
    DEPTH.store(depth, Relaxed);
    if depth == 0 {
        // SAFETY: a static lock, and held.
        unsafe { deadwalk_spin_unlock(&raw const BIG) }
    }
}

/// `kernel_locked`: 1 if the calling thread holds the big kernel lock.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_kernel_locked() -> i32 {
    BIG.is_mine().into()
}

/// `in_interrupt`: 1 in a timer's handler, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_in_handler() -> i32 {
    tls::run().is_some().into()
}

/// Opens both in a fork child, whose only thread has another id.
pub fn reset_after_fork() {
    SECTION.reset();
    BIG.reset();
    DEPTH.store(0, Relaxed);
}
