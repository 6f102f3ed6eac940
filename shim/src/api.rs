//! The exports of `deadwalk/deadwalk.h`: what a program may ask of us.
//!
//! Contexts: ordinary threads, also in a timer handler; not in signal handlers.

use core::ffi::{CStr, c_char, c_void};

use deadwalk_detector::DETECTOR;

/// No counter has this value.
const UNKNOWN: u64 = u64::MAX;

/// Is `p` in a live block of the heap? 1 and the block is watched from now on,
/// or 0.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_watch(p: *const c_void) -> i32 {
    deadwalk_alloc::watch(p.addr()).is_some().into()
}

/// A counter by its path below `totals` in the JSON report; all bits set for one
/// that there is not.
///
/// The heap's are exact for what the calling thread did and good to a batch for
/// others.
///
/// # Safety
///
/// * `path` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_counter(path: *const c_char) -> u64 {
    if path.is_null() {
        return UNKNOWN;
    }
    // SAFETY: the caller's promise.
    let Ok(path) = unsafe { CStr::from_ptr(path) }.to_str() else { return UNKNOWN };
    if path.starts_with("heap.") {
        deadwalk_alloc::flush_counters();
    }
    DETECTOR.counter(path).unwrap_or(UNKNOWN)
}

/// The library's version.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
