//! Signal handlers of the program: ours stands in front of each.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | what the program has set, and what it is told of it |
//! | `trampoline.rs` | what the kernel calls; passes on to the program's handler |
//! | `fault.rs` | SIGSEGV: guard pages of the heap, else the program's own |
//! | `mask.rs` | SIGSEGV stays unblocked, whatever the program asks for |
//! | `leave.rs` | jumps out of handlers |
//!
//! Ground rules. Only the handler's address is replaced; mask and flags stay the
//! program's (but for SIGSEGV, see `fault.rs`), so the kernel does all it did
//! before. Whether the trampoline is installed is asked of the kernel, never
//! remembered: SA_RESETHAND, SIG_DFL and system calls that go past libc need no
//! care. All this is async-signal-safe, as `sigaction` is: atomics only. In a vfork
//! child, whose memory is its parent's, calls are passed on unchanged.

mod fault;
mod leave;
mod mask;
mod trampoline;

use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering::*};

pub use fault::install;
pub use leave::leaving;

use crate::real::Real;
use crate::sandbox;

/// Signals have the numbers 1 to 64.
const SIGNALS: usize = 65;

/// The program's handler of each signal, as it was set last: 0 and 1 are SIG_DFL
/// and SIG_IGN, of SIGSEGV only.
static HANDLERS: [AtomicUsize; SIGNALS] = [const { AtomicUsize::new(0) }; SIGNALS];
/// A bit per signal: the program's mask for its handler has SIGSEGV in it.
static MASKS_SEGV: AtomicU64 = AtomicU64::new(0);
/// The process whose memory this is: a vfork child is another.
static PID: AtomicI32 = AtomicI32::new(0);
/// Whether our handler of SIGSEGV is installed.
static SEGV_IS_OURS: AtomicBool = AtomicBool::new(false);
/// The flags that the program wants for SIGSEGV.
static SEGV_FLAGS: AtomicI32 = AtomicI32::new(0);

const SEGV: c_int = libc::SIGSEGV;

static SIGACTION: Real = Real::new(c"sigaction");
static SIGNAL: Real = Real::new(c"signal");
static SYSV_SIGNAL: Real = Real::new(c"__sysv_signal");
static SIGSET: Real = Real::new(c"sigset");

/// Looks libc's functions up and remembers the process, in the constructor.
pub fn prepare() {
    for real in [&SIGACTION, &SIGNAL, &SYSV_SIGNAL, &SIGSET] {
        real.addr();
    }
    mask::prepare();
    remember_process();
}

/// A fork child is a process of its own.
pub fn remember_process() {
    // SAFETY: takes no arguments and cannot fail.
    PID.store(unsafe { libc::getpid() }, Relaxed);
}

fn is_vfork_child() -> bool {
    let own = PID.load(Relaxed);
    own != 0 && sandbox::pid().is_some_and(|pid| pid != own as u32)
}

fn is_function(handler: usize) -> bool {
    handler != libc::SIG_DFL && handler != libc::SIG_IGN && handler != libc::SIG_ERR
}

fn is_known(signal: c_int) -> bool {
    (1..SIGNALS as c_int).contains(&signal)
}

fn trampoline() -> usize {
    trampoline::trampoline as *const () as usize
}

fn bit(signal: c_int) -> u64 {
    1 << (signal as u32 % 64)
}

/// libc's `sigaction`.
///
/// # Safety
///
/// * As libc's function.
unsafe fn real_sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    type Sigaction =
        unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
    let addr = SIGACTION.addr();
    if addr == 0 {
        // SAFETY: errno is thread-local and always valid.
        unsafe { *libc::__errno_location() = libc::ENOSYS };
        return -1;
    }
    // SAFETY: libc's function of this name has this type; the caller's promise.
    unsafe { core::mem::transmute::<usize, Sigaction>(addr)(signal, new, old) }
}

/// `sigaction` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    if !is_known(signal) || is_vfork_child() {
        // SAFETY: the caller's promise.
        return unsafe { real_sigaction(signal, new, old) };
    }
    let before = Set::now(signal);
    // SAFETY: null, or a structure of the caller's.
    let wanted = unsafe { new.as_ref() };
    let mut ours = wanted.map(|wanted| {
        Set::of(wanted).store(signal);
        kernels(signal, wanted)
    });
    let new = ours.as_mut().map_or(core::ptr::null(), |ours| &raw const *ours);
    // SAFETY: structures of ours or the caller's; errno is thread-local.
    unsafe {
        let mut found: libc::sigaction = core::mem::zeroed();
        if real_sigaction(signal, new, &raw mut found) != 0 {
            if wanted.is_some() {
                before.store(signal);
            }
            return -1;
        }
        if let Some(old) = old.as_mut() {
            *old = before.told(signal, found);
        }
    }
    0
}

/// What the program set for a signal, as far as it is not the kernel's to know.
#[derive(Clone, Copy)]
struct Set {
    handler: usize,
    masks_segv: bool,
    flags: c_int,
}

impl Set {
    fn now(signal: c_int) -> Set {
        Set {
            handler: HANDLERS[signal as usize].load(Acquire),
            masks_segv: MASKS_SEGV.load(Relaxed) & bit(signal) != 0,
            flags: SEGV_FLAGS.load(Relaxed),
        }
    }

    fn of(wanted: &libc::sigaction) -> Set {
        // SAFETY: reads the caller's set.
        let masks_segv = unsafe { libc::sigismember(&raw const wanted.sa_mask, SEGV) } == 1;
        Set { handler: wanted.sa_sigaction, masks_segv, flags: wanted.sa_flags }
    }

    fn store(self, signal: c_int) {
        if signal == SEGV {
            SEGV_FLAGS.store(self.flags, Relaxed);
        } else if !is_function(self.handler) {
            // The kernel knows it; the handler before may be running still.
            return;
        }
        HANDLERS[signal as usize].store(self.handler, Release);
        if self.masks_segv {
            MASKS_SEGV.fetch_or(bit(signal), Relaxed);
        } else {
            MASKS_SEGV.fetch_and(!bit(signal), Relaxed);
        }
    }

    /// What the program is told of what the kernel has.
    fn told(self, signal: c_int, mut found: libc::sigaction) -> libc::sigaction {
        if found.sa_sigaction != trampoline() {
            return found;
        }
        found.sa_sigaction = self.handler;
        if self.masks_segv {
            // SAFETY: a set of ours.
            unsafe { libc::sigaddset(&raw mut found.sa_mask, SEGV) };
        }
        if signal == SEGV {
            found.sa_flags = self.flags;
        }
        found
    }
}

/// What the kernel is given for what the program wants.
fn kernels(signal: c_int, wanted: &libc::sigaction) -> libc::sigaction {
    let mut ours = *wanted;
    let takes_over = signal == SEGV && SEGV_IS_OURS.load(Relaxed);
    if is_function(wanted.sa_sigaction) || takes_over {
        ours.sa_sigaction = trampoline();
        // SAFETY: a set of ours.
        unsafe { libc::sigdelset(&raw mut ours.sa_mask, SEGV) };
    }
    if takes_over {
        fault::adapt(&mut ours, wanted);
    }
    ours
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
    Set { handler, masks_segv: false, flags: libc::SA_RESTART }.store(signal);
    // SAFETY: a handler of ours, or none.
    let found = unsafe { real(signal, ours) };
    if found == libc::SIG_ERR {
        before.store(signal);
    } else if takes_over {
        fault::readapt();
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

/// `sysv_signal` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sysv_signal(signal: c_int, handler: usize) -> usize {
    set(&SYSV_SIGNAL, signal, handler)
}

/// `__sysv_signal` of libc: what `signal` is under `_XOPEN_SOURCE`.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sysv_signal(signal: c_int, handler: usize) -> usize {
    set(&SYSV_SIGNAL, signal, handler)
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
