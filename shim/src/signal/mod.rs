//! Signal handlers of the program: ours stands in front of each.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | what the program has set, and what it is told of it |
//! | `trampoline.rs` | what the kernel calls; passes on to the program's handler |
//! | `fault.rs` | SIGSEGV: guard pages of the heap, else the program's own |
//! | `fatal.rs` | other signals that say of a crash, left to their default |
//! | `crash.rs` | what the record says of a signal that ends the process |
//! | `attempt.rs` | what may fault |
//! | `walk.rs` | unwinds the stack that a signal interrupted |
//! | `place.rs` | where memory was accessed that traps |
//! | `older.rs` | signal, sigset and their kin, which choose flags themselves |
//! | `timed.rs` | a timer's handler: its run begins and ends here |
//! | `mask.rs` | SIGSEGV stays unblocked, whatever the program asks for |
//! | `leave.rs` | jumps out of handlers |
//!
//! Ground rules. Only the handler's address is replaced; mask and flags stay the
//! program's (but for SIGSEGV, see `fault.rs`, and SA_SIGINFO, without which the kernel
//! does not say who sent a signal), so the kernel does all it did before, but for a handler that a timer's expiry calls (`timed.rs`). Whether the trampoline is installed is asked of the kernel, never
//! remembered: SA_RESETHAND, SIG_DFL and system calls that go past libc need no
//! care. All this is async-signal-safe, as `sigaction` is: atomics only. In a vfork
//! child, whose memory is its parent's, calls are passed on unchanged.

mod attempt;
mod crash;
mod fatal;
mod fault;
mod leave;
mod mask;
mod older;
pub mod place;
pub mod probe;
mod stale;
mod timed;
mod trampoline;
mod walk;

use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering::*};

pub use fatal::without_handler;
pub use fault::install;
pub use leave::{leaving, switching};
pub use mask::open_for_faults;
pub use stale::{configure as limit_traps, prepare as prepare_for_stale};
pub use timed::{consumed, consumed_from, is_in_handler};

use crate::real::Real;
use crate::sandbox;

/// Signals have the numbers 1 to 64.
const SIGNALS: usize = 65;

/// The program's handler of each signal, as it was set last: 0 and 1 are SIG_DFL
/// and SIG_IGN, of SIGSEGV only.
static HANDLERS: [AtomicUsize; SIGNALS] = [const { AtomicUsize::new(0) }; SIGNALS];
/// What the program set last for each signal, SIG_DFL and SIG_IGN too.
static SET_LAST: [AtomicUsize; SIGNALS] = [const { AtomicUsize::new(0) }; SIGNALS];
/// A bit per signal: the program's mask for its handler has SIGSEGV in it.
static MASKS_SEGV: AtomicU64 = AtomicU64::new(0);
/// A bit per signal: the program's handler wants its siginfo.
static WANTS_INFO: AtomicU64 = AtomicU64::new(0);
/// A bit per signal: the kernel fills the siginfo in, since SA_SIGINFO is set.
static HAS_INFO: AtomicU64 = AtomicU64::new(0);
/// The process whose memory this is: a vfork child is another.
static PID: AtomicI32 = AtomicI32::new(0);
/// Whether our handler of SIGSEGV is installed.
static SEGV_IS_OURS: AtomicBool = AtomicBool::new(false);
/// The flags that the program wants for SIGSEGV.
static SEGV_FLAGS: AtomicI32 = AtomicI32::new(0);
/// The signals that the program wants blocked in its handler of SIGSEGV.
static SEGV_MASK: AtomicU64 = AtomicU64::new(0);

const SEGV: c_int = libc::SIGSEGV;

static SIGACTION: Real = Real::new(c"sigaction");

/// Looks libc's functions up and remembers the process, in the constructor.
pub fn prepare() {
    SIGACTION.addr();
    mask::prepare();
    older::prepare();
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

/// The signals of a set, as the kernel has them: one word, of which libc's set is the
/// first.
fn word(set: &libc::sigset_t) -> u64 {
    // SAFETY: a set is longer; any bits are some.
    unsafe { core::ptr::from_ref(set).cast::<u64>().read() }
}

/// A set of these signals.
fn set(word: u64) -> libc::sigset_t {
    // SAFETY: an all-zero set is valid, and longer.
    unsafe {
        let mut set: libc::sigset_t = core::mem::zeroed();
        (&raw mut set).cast::<u64>().write(word);
        set
    }
}

/// Sets or clears a signal's bit.
fn mark(bits: &AtomicU64, signal: c_int, is_set: bool) {
    if is_set {
        bits.fetch_or(bit(signal), Relaxed);
    } else {
        bits.fetch_and(!bit(signal), Relaxed);
    }
}

/// The program's handler of a signal, as it was set last; 0 if there was none.
pub fn handler_of(signal: c_int) -> usize {
    let handler = HANDLERS[signal as usize % SIGNALS].load(Acquire);
    if is_function(handler) { handler } else { 0 }
}

/// The program's handler of a signal, if it is in force; else 0.
pub fn handler_in_force(signal: c_int) -> usize {
    if is_in_force(signal) { handler_of(signal) } else { 0 }
}

/// What the program set last for a signal: a handler, SIG_DFL or SIG_IGN.
pub fn set_last(signal: c_int) -> usize {
    SET_LAST[signal as usize % SIGNALS].load(Relaxed)
}

/// Is the program's handler of this signal in force, and told the value that is sent
/// with it?
pub fn passes_value(signal: c_int) -> bool {
    wants_info(signal) && is_in_force(signal)
}

fn is_in_force(signal: c_int) -> bool {
    // SAFETY: a structure of ours; nothing is changed.
    unsafe {
        let mut now: libc::sigaction = core::mem::zeroed();
        is_known(signal)
            && real_sigaction(signal, core::ptr::null(), &raw mut now) == 0
            && now.sa_sigaction == trampoline()
    }
}

fn wants_info(signal: c_int) -> bool {
    WANTS_INFO.load(Relaxed) & bit(signal) != 0
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
        if let Some(ours) = ours {
            mark(&HAS_INFO, signal, ours.sa_sigaction == trampoline());
        }
        if let Some(wanted) = wanted {
            SET_LAST[signal as usize].store(wanted.sa_sigaction, Relaxed);
            fatal::watch_default(signal);
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
    wants_info: bool,
    has_info: bool,
    flags: c_int,
    mask: u64,
}

impl Set {
    fn now(signal: c_int) -> Set {
        Set {
            handler: HANDLERS[signal as usize].load(Acquire),
            masks_segv: MASKS_SEGV.load(Relaxed) & bit(signal) != 0,
            wants_info: wants_info(signal),
            has_info: HAS_INFO.load(Relaxed) & bit(signal) != 0,
            flags: SEGV_FLAGS.load(Relaxed),
            mask: SEGV_MASK.load(Relaxed),
        }
    }

    fn of(wanted: &libc::sigaction) -> Set {
        // SAFETY: reads the caller's set.
        let masks_segv = unsafe { libc::sigismember(&raw const wanted.sa_mask, SEGV) } == 1;
        Set {
            handler: wanted.sa_sigaction,
            masks_segv,
            wants_info: wanted.sa_flags & libc::SA_SIGINFO != 0,
            has_info: false,
            flags: wanted.sa_flags,
            mask: word(&wanted.sa_mask),
        }
    }

    fn store(self, signal: c_int) {
        if signal == SEGV {
            SEGV_FLAGS.store(self.flags, Relaxed);
            SEGV_MASK.store(self.mask, Relaxed);
        } else if !is_function(self.handler) {
            // The kernel knows it; the handler before may be running still.
            return;
        }
        HANDLERS[signal as usize].store(self.handler, Release);
        mark(&MASKS_SEGV, signal, self.masks_segv);
        mark(&WANTS_INFO, signal, self.wants_info);
    }

    /// What the program is told of what the kernel has.
    fn told(self, signal: c_int, mut found: libc::sigaction) -> libc::sigaction {
        let is_ours = found.sa_sigaction == trampoline();
        // One that its first signal used up leaves its flags.
        if (is_ours || self.has_info) && !self.wants_info {
            found.sa_flags &= !libc::SA_SIGINFO;
        }
        if !is_ours {
            return found;
        }
        found.sa_sigaction = self.handler;
        if signal == SEGV {
            found.sa_flags = self.flags;
            found.sa_mask = set(self.mask);
            return found;
        }
        if self.handler == libc::SIG_DFL {
            // What the default had were our flags.
            found.sa_flags = 0;
            return found;
        }
        if self.masks_segv {
            // SAFETY: a set of ours.
            unsafe { libc::sigaddset(&raw mut found.sa_mask, SEGV) };
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
        ours.sa_flags |= libc::SA_SIGINFO;
        // SAFETY: a set of ours.
        unsafe { libc::sigdelset(&raw mut ours.sa_mask, SEGV) };
    }
    if takes_over {
        fault::adapt(&mut ours, wanted);
    }
    ours
}
