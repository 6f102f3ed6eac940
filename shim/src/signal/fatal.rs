//! Signals that say of a crash, where the program left them to their default: ours stands
//! there so that the record can tell, and then has the kernel do what it does.
//!
//! Ground rules. SIGSEGV has its own way (`fault.rs`); of the others only the default is
//! replaced. The program is told of its default. In a moment between two calls the
//! kernel's own default may be in force: then it dies untold, but as it would have.

use core::ffi::c_int;
use core::sync::atomic::Ordering::Relaxed;

use super::{HANDLERS, SET_LAST, attempt, bit, crash, handler_of, real_sigaction, trampoline};

/// The signals; SIGTRAP is a debugger's.
const FATAL: [c_int; 4] = [libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];
/// `si_code` of SIGBUS: memory elsewhere broke, and no instruction faulted.
const BUS_MCEERR_AO: c_int = 5;

/// Takes over every default, in the constructor.
pub fn install() {
    FATAL.into_iter().for_each(watch_default);
}

/// Takes the signal over, if it is one of ours and its default is in force.
pub fn watch_default(signal: c_int) {
    if !FATAL.contains(&signal) {
        return;
    }
    // SAFETY: structures of ours.
    unsafe {
        let mut now: libc::sigaction = core::mem::zeroed();
        if real_sigaction(signal, core::ptr::null(), &raw mut now) != 0
            || now.sa_sigaction != libc::SIG_DFL
        {
            return;
        }
        HANDLERS[signal as usize].store(libc::SIG_DFL, Relaxed);
        SET_LAST[signal as usize].store(libc::SIG_DFL, Relaxed);
        now.sa_sigaction = trampoline();
        now.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigemptyset(&raw mut now.sa_mask);
        real_sigaction(signal, &raw const now, core::ptr::null_mut());
    }
}

/// Those that the program has no handler for, as a set.
pub fn without_handler() -> u64 {
    let left = FATAL.into_iter().filter(|&signal| handler_of(signal) == 0);
    left.fold(0, |set, signal| set | bit(signal - 1))
}

/// Ends the process by the signal's default, and records that before.
pub fn end(signal: c_int, info: &libc::siginfo_t, context: &mut libc::ucontext_t) {
    crash::record(signal, info, context);
    let is_late = signal == libc::SIGBUS && info.si_code == BUS_MCEERR_AO;
    die(signal, info.si_code > 0 && !is_late, context);
}

/// Did the signal come to an attempt of ours, which is left now?
pub fn is_left(signal: c_int, info: &libc::siginfo_t, context: &mut libc::ucontext_t) -> bool {
    matches!(signal, libc::SIGSEGV | libc::SIGBUS) && info.si_code > 0 && attempt::is_left(context)
}

/// Has the kernel do what it does by default: at the instruction that faulted, which is
/// repeated, or by a signal that comes as soon as the handler has returned.
pub fn die(signal: c_int, is_fault: bool, context: &mut libc::ucontext_t) {
    if is_fault && crate::sandbox::is_sandboxed() {
        // No call may be allowed. The kernel kills who faults with the signal blocked.
        // SAFETY: the frame's set, which is the kernel's in its first words.
        unsafe { libc::sigaddset(&raw mut context.uc_sigmask, signal) };
        return;
    }
    // SAFETY: structures of ours; the signal goes to the calling thread.
    unsafe {
        let mut default: libc::sigaction = core::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        real_sigaction(signal, &raw const default, core::ptr::null_mut());
        if !is_fault {
            let thread = libc::syscall(libc::SYS_gettid) as c_int;
            libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal);
        }
    }
}
