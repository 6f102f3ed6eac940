//! libc's older functions that set a handler: they choose flags and mask themselves.

use core::ffi::c_int;
use core::sync::atomic::Ordering::Relaxed;

use super::{
    HAS_INFO, SEGV, SEGV_IS_OURS, SET_LAST, Set, fatal, fault, is_function, is_known,
    is_vfork_child, mark, real_sigaction, sigaction, trampoline,
};
use crate::real::Real;

static SIGNAL: Real = Real::new(c"signal");
static SYSV_SIGNAL: Real = Real::new(c"__sysv_signal");
static SIGSET: Real = Real::new(c"sigset");

/// Looks libc's functions up, in the constructor.
pub fn prepare() {
    for real in [&SIGNAL, &SYSV_SIGNAL, &SIGSET] {
        real.addr();
    }
}

/// Adds SA_SIGINFO to the flags that libc chose.
fn ask_for_info(signal: c_int) {
    // SAFETY: structures of ours.
    unsafe {
        let mut now: libc::sigaction = core::mem::zeroed();
        if real_sigaction(signal, core::ptr::null(), &raw mut now) != 0
            || now.sa_sigaction != trampoline()
        {
            return;
        }
        now.sa_flags |= libc::SA_SIGINFO;
        if real_sigaction(signal, &raw const now, core::ptr::null_mut()) == 0 {
            mark(&HAS_INFO, signal, true);
        }
    }
}

/// Sets a handler through libc's older functions, which choose flags and mask.
fn set(real: &Real, signal: c_int, handler: usize) -> usize {
    type Signal = unsafe extern "C" fn(c_int, usize) -> usize;
    let addr = real.addr();
    if addr == 0 {
        // SAFETY: errno is thread-local and always valid.
        unsafe { *libc::__errno_location() = libc::ENOSYS };
        return libc::SIG_ERR;
    }
    // SAFETY: libc's function has this type.
    let real = unsafe { core::mem::transmute::<usize, Signal>(addr) };
    if !is_known(signal) || handler == libc::SIG_ERR || is_vfork_child() {
        // SAFETY: any value may be passed on.
        return unsafe { real(signal, handler) };
    }
    let before = Set::now(signal);
    let takes_over = signal == SEGV && SEGV_IS_OURS.load(Relaxed);
    let ours = if is_function(handler) || takes_over { trampoline() } else { handler };
    let wanted = Set {
        handler,
        masks_segv: false,
        wants_info: false,
        has_info: false,
        flags: libc::SA_RESTART,
        mask: 0,
    };
    wanted.store(signal);
    // Until SA_SIGINFO is set, what stands where the siginfo would is anything.
    mark(&HAS_INFO, signal, false);
    // SAFETY: a handler of ours, or none.
    let found = unsafe { real(signal, ours) };
    if found == libc::SIG_ERR {
        before.store(signal);
    } else {
        SET_LAST[signal as usize].store(handler, Relaxed);
        if takes_over {
            fault::readapt();
        }
        fatal::watch_default(signal);
    }
    if ours == trampoline() {
        ask_for_info(signal);
    }
    if found == trampoline() { before.handler } else { found }
}

/// `signal` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal(signal: c_int, handler: usize) -> usize {
    set(&SIGNAL, signal, handler)
}

/// `bsd_signal` of libc: the same.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bsd_signal(signal: c_int, handler: usize) -> usize {
    set(&SIGNAL, signal, handler)
}

/// `ssignal` of libc: the same.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssignal(signal: c_int, handler: usize) -> usize {
    set(&SIGNAL, signal, handler)
}

/// libc's `sysv_signal`, in one step: its handler is used up by the first signal, which
/// may come at any time.
fn set_sysv(signal: c_int, handler: usize) -> usize {
    /// What libc adds, and kernels from 5.11 on ignore.
    const SA_INTERRUPT: c_int = 0x2000_0000;
    if !is_known(signal) || handler == libc::SIG_ERR || is_vfork_child() {
        return set(&SYSV_SIGNAL, signal, handler);
    }
    // SAFETY: structures of ours; an all-zero one is valid, and its mask empty.
    unsafe {
        let mut wanted: libc::sigaction = core::mem::zeroed();
        let mut old: libc::sigaction = core::mem::zeroed();
        wanted.sa_sigaction = handler;
        wanted.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER | SA_INTERRUPT;
        match sigaction(signal, &raw const wanted, &raw mut old) {
            0 => old.sa_sigaction,
            _ => libc::SIG_ERR,
        }
    }
}

/// `sysv_signal` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sysv_signal(signal: c_int, handler: usize) -> usize {
    set_sysv(signal, handler)
}

/// `__sysv_signal` of libc: what `signal` is under `_XOPEN_SOURCE`.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sysv_signal(signal: c_int, handler: usize) -> usize {
    set_sysv(signal, handler)
}

/// `sigset` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigset(signal: c_int, handler: usize) -> usize {
    /// SIG_HOLD: blocks the signal instead of setting a handler.
    const HOLD: usize = 2;
    if handler == HOLD {
        // SAFETY: the number is the program's to answer for.
        let found = set_hold(signal);
        return found;
    }
    set(&SIGSET, signal, handler)
}

/// `sigset(signal, SIG_HOLD)`: libc blocks it, and tells what was set.
fn set_hold(signal: c_int) -> usize {
    type Signal = unsafe extern "C" fn(c_int, usize) -> usize;
    let addr = SIGSET.addr();
    if addr == 0 {
        return libc::SIG_ERR;
    }
    // SAFETY: libc's function has this type; 2 is SIG_HOLD.
    let found = unsafe { core::mem::transmute::<usize, Signal>(addr)(signal, 2) };
    if found == trampoline() && is_known(signal) { Set::now(signal).handler } else { found }
}
