//! The unwinder that libc ends threads with, loaded before a handler's end needs it.
//!
//! The first `pthread_exit` or cancellation of a process has libc open libgcc, which
//! allocates. In the last instructions of a handler that looks as if it went on.
//!
//! Context: `timer_create`, which may allocate and is no call for signal handlers.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

static IS_LOADED: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn backtrace(frames: *mut *mut c_void, size: c_int) -> c_int;
}

/// Has libc load it, once.
pub fn load() {
    if !IS_LOADED.load(Relaxed) && !IS_LOADED.swap(true, Relaxed) {
        let mut frame = core::ptr::null_mut();
        // SAFETY: room for one frame. Of libc's functions this is the one that loads the
        // unwinder and does nothing else.
        unsafe { backtrace(&raw mut frame, 1) };
    }
}
