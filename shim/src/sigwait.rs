//! `sigwait`, `sigwaitinfo` and `sigtimedwait`: signals that are waited for instead of
//! handled. A timer's expiry that is taken so is counted, and used up.
//!
//! They stay the cancellation points that they are: libc's function waits, and what is
//! done here comes after it.

use core::ffi::c_int;

use crate::tls::keeping_errno;
use crate::{real, signal};

type Wait = unsafe extern "C-unwind" fn(
    *const libc::sigset_t,
    *mut libc::siginfo_t,
    *const libc::timespec,
) -> c_int;

static SIGTIMEDWAIT: real::Real = real::Real::new(c"sigtimedwait");

/// Looks libc's function up, in the constructor.
pub fn prepare() {
    SIGTIMEDWAIT.addr();
}

/// Waits by libc's function; what the siginfo says of a timer is counted.
///
/// # Safety
///
/// * As libc's `sigtimedwait`.
unsafe fn wait(
    set: *const libc::sigset_t,
    info: *mut libc::siginfo_t,
    timeout: *const libc::timespec,
) -> c_int {
    let addr = SIGTIMEDWAIT.addr();
    // SAFETY: errno is thread-local and always valid; libc's function has this type; the
    // caller's promise, or a siginfo of ours.
    unsafe {
        if addr == 0 {
            *libc::__errno_location() = libc::ENOSYS;
            return -1;
        }
        let mut own: libc::siginfo_t = core::mem::zeroed();
        let info = if info.is_null() { &raw mut own } else { info };
        let number = core::mem::transmute::<usize, Wait>(addr)(set, info, timeout);
        if number > 0 {
            keeping_errno(|| signal::consumed(number, &*info));
        }
        number
    }
}

/// `sigtimedwait` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sigtimedwait(
    set: *const libc::sigset_t,
    info: *mut libc::siginfo_t,
    timeout: *const libc::timespec,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { wait(set, info, timeout) }
}

/// `sigwaitinfo` of libc: the same without a timeout.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sigwaitinfo(
    set: *const libc::sigset_t,
    info: *mut libc::siginfo_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { wait(set, info, core::ptr::null()) }
}

/// `sigwait` of libc: it goes on after EINTR, and returns the error.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sigwait(set: *const libc::sigset_t, number: *mut c_int) -> c_int {
    loop {
        // SAFETY: the caller's promise; errno is thread-local and always valid.
        unsafe {
            let found = wait(set, core::ptr::null_mut(), core::ptr::null());
            if found > 0 {
                *number = found;
                return 0;
            }
            if *libc::__errno_location() != libc::EINTR {
                return *libc::__errno_location();
            }
        }
    }
}
