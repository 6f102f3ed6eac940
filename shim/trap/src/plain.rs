//! Asking whether plain memory can be read or written, without a fault.
//!
//! Inside the SIGSEGV handler a fault of our own would kill the process, so the
//! kernel is asked first, by calls that touch the address as a user access would
//! (a stack grows, a copied page is copied). Both are async-signal-safe and
//! allowed in every sandbox. Between the question and the access another thread
//! may unmap the page; that race is the program's.

use std::ptr;
use std::sync::atomic::AtomicU32;

/// A futex word that nobody waits on.
static NOBODY: AtomicU32 = AtomicU32::new(0);

/// The kernel's signal set, which is smaller than libc's.
const KERNEL_SIGSET_BYTES: usize = 8;

/// Whether the page of `address` can be read.
pub fn readable(address: usize) -> bool {
    let word = address & !(KERNEL_SIGSET_BYTES - 1);
    // An impossible `how`: the set is copied in first (EFAULT), then refused.
    // SAFETY: the call only reads, and nothing is changed.
    !faulted(|| unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            -1isize,
            word,
            ptr::null::<u8>(),
            KERNEL_SIGSET_BYTES,
        )
    })
}

/// Whether the page of `address` can be read and written.
pub fn writable(address: usize) -> bool {
    let word = address & !3;
    /// `*word += 0`, and wake waiters only if it was below -2048.
    const ADD_NOTHING: u32 = 1 << 28 | 2 << 24 | 0x800;
    // The first question lets a stack grow, which the second would not.
    // SAFETY: adding nothing, atomically, changes nothing.
    readable(address)
        && !faulted(|| unsafe {
            libc::syscall(
                libc::SYS_futex,
                NOBODY.as_ptr(),
                libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG,
                0usize,
                0usize,
                word,
                ADD_NOTHING as usize,
            )
        })
}

/// Whether there is a mapping at `address`, accessible or not.
pub fn is_mapped(address: usize) -> bool {
    let page = ptr::with_exposed_provenance_mut(address & !0xfff);
    let mut there = 0;
    // SAFETY: the call writes one byte, and ENOMEM says that nothing is mapped.
    !failed(libc::ENOMEM, || unsafe { libc::mincore(page, 1, &mut there).into() })
}

/// Whether `call` fails with EFAULT.
fn faulted(call: impl FnOnce() -> libc::c_long) -> bool {
    failed(libc::EFAULT, call)
}

/// Whether `call` fails with `error`; errno is as before.
fn failed(error: libc::c_int, call: impl FnOnce() -> libc::c_long) -> bool {
    // SAFETY: errno's address is the thread's own.
    let errno = unsafe { &mut *libc::__errno_location() };
    let before = *errno;
    let failed = call() == -1 && *errno == error;
    *errno = before;
    failed
}
