//! SIGSEGV: the heap takes the access to some of its pages away (behind large
//! blocks, and from freed ones whose memory was given back) and explains who comes
//! there. Every other fault is the program's, and does what it did without us.
//!
//! Ground rules. Our handler runs with the program's flags if it has set a handler,
//! except SA_RESETHAND, which is done here: a fault that is ours must not use it up. No
//! signal that comes from elsewhere arrives meanwhile: its handler would find SIGSEGV
//! blocked, and die of the first access of its own to such a page. The program's handler
//! gets the mask that it would have had. A fault that the program does not handle is left to the kernel: the
//! default is set and the instruction repeated, so it dies as it would have, with
//! the same signal, address and core.

use core::sync::atomic::Ordering::Relaxed;

use deadwalk_alloc::trap;

use super::fatal::die;
use super::trampoline::register;
use super::{
    HANDLERS, SEGV, SEGV_FLAGS, SEGV_IS_OURS, SEGV_MASK, bit, crash, fatal, is_function, place,
    probe, real_sigaction, set, stale, trampoline, word,
};
use crate::tls::{self, keeping_errno};
use crate::{modules, resources, sandbox, unload};

/// Sets our handler, in the constructor; whether that worked. What was set before
/// (an ignored signal survives exec) becomes the program's.
pub fn install() -> bool {
    fatal::install();
    // SAFETY: structures of ours; an all-zero one is valid.
    unsafe {
        let mut old: libc::sigaction = core::mem::zeroed();
        if real_sigaction(SEGV, core::ptr::null(), &raw mut old) != 0 {
            return false;
        }
        if old.sa_sigaction != trampoline() {
            HANDLERS[SEGV as usize].store(old.sa_sigaction, Relaxed);
            SEGV_FLAGS.store(old.sa_flags, Relaxed);
            SEGV_MASK.store(word(&old.sa_mask), Relaxed);
        }
        let mut ours = old;
        ours.sa_sigaction = trampoline();
        adapt(&mut ours, &old);
        let is_ours = real_sigaction(SEGV, &raw const ours, core::ptr::null_mut()) == 0;
        SEGV_IS_OURS.store(is_ours, Relaxed);
        is_ours
    }
}

/// What the processor raises, which must arrive where it was raised.
const RAISED: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS];

/// Makes flags and mask such that our handler can run for the program's.
pub fn adapt(ours: &mut libc::sigaction, wanted: &libc::sigaction) {
    ours.sa_mask = set(!RAISED.iter().fold(0, |raised, signal| raised | bit(signal - 1)));
    ours.sa_flags = wanted.sa_flags & !libc::SA_RESETHAND | libc::SA_SIGINFO;
    if !is_function(wanted.sa_sigaction) {
        // No handler of its own: an alternate stack, if there is one, spares the
        // thread's, which may be small. Restarted calls are what it had.
        ours.sa_flags |= libc::SA_ONSTACK | libc::SA_RESTART;
    }
}

/// After libc's older functions chose the flags.
pub fn readapt() {
    // SAFETY: structures of ours.
    unsafe {
        let mut now: libc::sigaction = core::mem::zeroed();
        if real_sigaction(SEGV, core::ptr::null(), &raw mut now) == 0 {
            SEGV_FLAGS.store(now.sa_flags, Relaxed);
            SEGV_MASK.store(word(&now.sa_mask), Relaxed);
            let mut wanted = now;
            wanted.sa_sigaction = HANDLERS[SEGV as usize].load(Relaxed);
            adapt(&mut now, &wanted);
            real_sigaction(SEGV, &raw const now, core::ptr::null_mut());
        }
    }
}

/// The mask of the program's handler, which is about to be called. Where a system call may
/// be the end it keeps ours.
pub fn mask_for_handler(context: &libc::ucontext_t) {
    if sandbox::is_sandboxed() {
        return;
    }
    let defers = SEGV_FLAGS.load(Relaxed) & libc::SA_NODEFER == 0;
    let segv = bit(SEGV - 1);
    let wanted = SEGV_MASK.load(Relaxed) & !segv | if defers { segv } else { 0 };
    crash::change_mask(libc::SIG_SETMASK, word(&context.uc_sigmask) | wanted);
}

/// Was the access to a page of the heap's that was not to be accessed, and is now?
fn is_opened(context: &libc::ucontext_t, addr: usize, is_write: bool) -> bool {
    let ip = register(context, libc::REG_RIP);
    // The heap itself comes to pages that it shut.
    let is_told = trap::is_in_heap(addr) && !modules::is_own(ip);
    let place = if is_told { place::of(context) } else { 0 };
    place::telling(place, || trap::trap(addr, is_write, ip))
}

/// Does what is to do about a fault, unless that is to call the program's handler.
pub fn is_handled(info: &libc::siginfo_t, context: &mut libc::ucontext_t, handler: usize) -> bool {
    /// Bit of the page fault's error code: it was a write.
    const WRITE: usize = 2;
    // A signal that a process sent has a code of 0 or below.
    let is_fault = info.si_code > 0;
    if is_fault {
        // SAFETY: errno is thread-local and always valid; a fault has an address.
        let (errno, addr) = unsafe { (libc::__errno_location(), info.si_addr() as usize) };
        // SAFETY: as above.
        let saved = unsafe { *errno };
        let is_write = register(context, libc::REG_ERR) & WRITE != 0;
        let is_ours = probe::is_over(context)
            || stale::is_performed(context, addr, is_write)
            || is_opened(context, addr, is_write);
        // SAFETY: as above.
        unsafe { *errno = saved };
        if is_ours {
            return true;
        }
        keeping_errno(|| {
            unload::faulted(register(context, libc::REG_RIP));
            resources::faulted(addr);
        });
    }
    // The kernel kills a thread that faults with the signal blocked, as the program
    // believes it is.
    if is_fault && tls::segv_blocked() != 0 {
        crash::record(SEGV, info, context);
        die(SEGV, is_fault, context);
        return true;
    }
    if !is_function(handler) {
        let is_ignored = handler == libc::SIG_IGN && !is_fault;
        if !is_ignored {
            crash::record(SEGV, info, context);
            die(SEGV, is_fault, context);
        }
        return true;
    }
    if SEGV_FLAGS.load(Relaxed) & libc::SA_RESETHAND != 0 {
        HANDLERS[SEGV as usize].store(libc::SIG_DFL, Relaxed);
    }
    false
}
