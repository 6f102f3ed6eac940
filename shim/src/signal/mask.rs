//! SIGSEGV stays unblocked: the kernel kills a thread that faults with it blocked,
//! so a guard page would end a program that went on before. The program is told
//! what it believes.

use core::ffi::c_int;
use core::sync::atomic::Ordering::Relaxed;

use super::SEGV;
use crate::real::Real;
use crate::tls;

static PTHREAD_SIGMASK: Real = Real::new(c"pthread_sigmask");
static SIGPROCMASK: Real = Real::new(c"sigprocmask");

/// Looks libc's functions up, in the constructor.
pub fn prepare() {
    PTHREAD_SIGMASK.addr();
    SIGPROCMASK.addr();
}

/// Opens the calling thread for SIGSEGV, if it is a new one of libc's: those of
/// SIGEV_THREAD handlers run with every signal blocked. No libc function is called,
/// since ours would not tell.
pub fn open_for_faults() {
    if !super::SEGV_IS_OURS.load(Relaxed) || tls::segv_blocked() != 0 {
        return;
    }
    let segv = super::bit(SEGV - 1);
    let mut old = 0u64;
    let size = size_of_val(&segv);
    // SAFETY: errno is thread-local and always valid; two sets of the kernel's size.
    unsafe {
        let errno = *libc::__errno_location();
        let how = libc::SIG_UNBLOCK as libc::c_long;
        libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const segv, &raw mut old, size);
        *libc::__errno_location() = errno;
    }
    if old & segv != 0 {
        tls::set_segv_blocked(1);
    }
}

/// `pthread_sigmask` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_sigmask(
    how: c_int,
    new: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { change(&PTHREAD_SIGMASK, libc::ENOSYS, how, new, old) }
}

/// `sigprocmask` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigprocmask(
    how: c_int,
    new: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { change(&SIGPROCMASK, -1, how, new, old) }
}

unsafe fn change(
    real: &Real,
    missing: c_int,
    how: c_int,
    new: *const libc::sigset_t,
    old: *mut libc::sigset_t,
) -> c_int {
    type Change = unsafe extern "C" fn(c_int, *const libc::sigset_t, *mut libc::sigset_t) -> c_int;
    let addr = real.addr();
    if addr == 0 {
        return missing;
    }
    // SAFETY: libc's functions have this type; sets are the caller's or ours.
    unsafe {
        let real = core::mem::transmute::<usize, Change>(addr);
        let was_blocked = tls::segv_blocked() != 0;
        let mut ours;
        let mut is_blocked = was_blocked;
        let mut given = new;
        if let Some(wanted) = new.as_ref()
            && libc::sigismember(wanted, SEGV) == 1
        {
            is_blocked = how != libc::SIG_UNBLOCK;
            if is_blocked {
                ours = *wanted;
                libc::sigdelset(&raw mut ours, SEGV);
                given = &raw const ours;
            }
        } else if !new.is_null() && how == libc::SIG_SETMASK {
            is_blocked = false;
        }
        let result = real(how, given, old);
        if result == 0 {
            if was_blocked && !old.is_null() {
                libc::sigaddset(old, SEGV);
            }
            tls::set_segv_blocked(is_blocked as u64);
        }
        result
    }
}
