//! Sleeping for a lock's word and waking its sleepers.
//!
//! Contexts: any, also signal handlers; no allocation. A sleep is
//! FUTEX_WAIT_BITSET, which no pthread mutex does without a time limit, so it is
//! not taken for one (`holder`).

use core::sync::atomic::AtomicU32;

/// How often a thread looks before it sleeps: a few microseconds, which is what
/// a short critical section on another processor takes.
pub const LOOKS: u32 = 200;

/// Sleeps while the word has this value; may return early. errno is lost.
pub fn sleep(word: &AtomicU32, value: u32) {
    let operation = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG;
    let no_limit = core::ptr::null::<libc::timespec>();
    // SAFETY: the word is valid for as long as we are called with it.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation,
            value,
            no_limit,
            core::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        );
    }
}

/// Wakes `count` who sleep at an address, which may mean nothing any more: the
/// kernel bears with that, and its sleepers look again when they wake.
#[cold]
pub fn wake(word: *mut u32, count: i32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: errno is thread-local and always valid; the kernel only compares
    // the address.
    unsafe {
        let errno = *libc::__errno_location();
        libc::syscall(libc::SYS_futex, word, operation, count);
        *libc::__errno_location() = errno;
    }
}
