//! Signal handlers that a timer's expiry calls.
//!
//! The kernel says which timer it was: a SIGEV_SIGNAL timer's handle is the kernel's
//! number of it, and stands in the siginfo; a clock of setitimer has a signal of its
//! own, which the kernel says it sent itself. Such a handler is called from here, since
//! its end must be seen: it may return, end its thread, or jump away (`leave.rs`).
//!
//! Ground rules. Everything here runs in a signal handler: atomics and clock reads
//! only. What is kept of a run stands in a table beside the detector's, not on the
//! stack, which may be gone when it is asked for (a jump, another context).

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use deadwalk_detector::deletes::Handle;
use deadwalk_detector::{DETECTOR, RUNS, RunRef, TimerRef};

use super::trampoline::{Handler, register};
use super::{HAS_INFO, bit, is_vfork_child, wants_info};
use crate::{itimer, tls};

/// What a run in a signal handler came over.
struct Frame {
    /// The stack pointer of what was interrupted.
    stack: AtomicUsize,
    /// The run that the thread was in before, as the thread-local word has it.
    outer: AtomicU64,
    /// Which run of this index it is.
    generation: AtomicU32,
}

impl Frame {
    const fn new() -> Frame {
        Frame {
            stack: AtomicUsize::new(0),
            outer: AtomicU64::new(0),
            generation: AtomicU32::new(0),
        }
    }

    /// That of a run, if the run is a signal handler's.
    fn of(run: RunRef) -> Option<&'static Frame> {
        let frame = FRAMES.get(run.index as usize)?;
        (frame.generation.load(Relaxed) == run.generation).then_some(frame)
    }
}

/// By the index of the run.
static FRAMES: [Frame; RUNS] = [const { Frame::new() }; RUNS];

/// Where the calling thread's innermost run interrupted it; `None` if it is in no
/// timer's signal handler.
fn interrupted_at() -> Option<(RunRef, usize)> {
    let run = tls::run()?;
    Some((run, Frame::of(run)?.stack.load(Relaxed)))
}

/// Is the calling thread in a timer's signal handler?
pub fn is_in_handler() -> bool {
    tls::run_word() != 0 && interrupted_at().is_some()
}

/// Can this be a timer's expiry?
pub fn may_be_expiry(signal: c_int, info: &libc::siginfo_t) -> bool {
    is_timers(signal, info) && HAS_INFO.load(Relaxed) & bit(signal) != 0
}

/// Does a siginfo say that a timer sent it?
fn is_timers(signal: c_int, info: &libc::siginfo_t) -> bool {
    match info.si_code {
        libc::SI_TIMER => true,
        libc::SI_KERNEL => itimer::is_clocks(signal),
        _ => false,
    }
}

/// The program took a signal without a handler: a timer's expiry is used up by that.
pub fn consumed(signal: c_int, info: &libc::siginfo_t) {
    if let Some(timer) = timer_of(signal, info) {
        DETECTOR.consumed(timer, 1);
    }
}

/// As [`consumed`], of a signal that was read from a descriptor: its code, and the
/// number of the timer if that is SI_TIMER.
pub fn consumed_from(signal: c_int, code: c_int, id: u32) {
    let timer = match code {
        _ if tls::is_vfork_child() => None,
        libc::SI_TIMER => timer_with(signal, id),
        libc::SI_KERNEL => itimer::timer_of(signal),
        _ => None,
    };
    if let Some(timer) = timer {
        DETECTOR.consumed(timer, 1);
    }
}

/// The timer that sent this signal, if it is one that is watched.
fn timer_of(signal: c_int, info: &libc::siginfo_t) -> Option<TimerRef> {
    /// The head of a siginfo of SI_TIMER.
    #[repr(C)]
    struct TimerInfo {
        head: [c_int; 4],
        id: c_int,
    }
    // A vfork child's own timers are not to be counted in its parent's memory.
    if !is_timers(signal, info) || DETECTOR.platform().is_none() || tls::is_vfork_child() {
        return None;
    }
    if info.si_code == libc::SI_KERNEL {
        // Nor is a child's that shares memory by `clone`.
        return if is_vfork_child() { None } else { itimer::timer_of(signal) };
    }
    // SAFETY: a siginfo is larger, aligned, and has the timer's number there.
    let id = unsafe { (*(&raw const *info).cast::<TimerInfo>()).id };
    timer_with(signal, id as u32)
}

/// The watched timer of the kernel's number `id`, if it sends this signal.
fn timer_with(signal: c_int, id: u32) -> Option<TimerRef> {
    DETECTOR.platform()?;
    let (Handle::Known(timer) | Handle::Stale(timer)) = DETECTOR.handle(id as u64) else {
        return None;
    };
    // Anybody may send a signal that says it is a timer's.
    (DETECTOR.signal_of(timer) == signal as u32).then_some(timer)
}

/// Calls the program's handler, at `addr`, as a run if a timer sent the signal.
pub extern "C-unwind" fn call(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
    addr: usize,
) {
    // SAFETY: the kernel's structures; what the program set is a handler.
    let (info_of, stack, handler) = unsafe {
        let stack = register(&*context.cast::<libc::ucontext_t>(), libc::REG_RSP);
        (&*info, stack, core::mem::transmute::<usize, Handler>(addr))
    };
    let entered = interrupting(|| {
        let timer = timer_of(signal, info_of)?;
        let entry = DETECTOR.enter_signal(timer, addr, wants_info(signal))?;
        Some((entry.call, entry.run.map(|run| InHandler::new(run, stack))))
    });
    if matches!(entered, Some((false, _))) {
        return;
    }
    handler(signal, info, context);
}

/// Runs `f` on a thread of which nobody knows what it was doing: errno stays, and no
/// thread is started.
fn interrupting<T>(f: impl FnOnce() -> T) -> T {
    tls::keeping_errno(|| {
        let before = tls::hooks() & tls::IN_LIBC;
        tls::set_hooks(tls::hooks() | tls::IN_LIBC);
        let result = f();
        // `f` may have changed the others.
        tls::set_hooks(tls::hooks() & !tls::IN_LIBC | before);
        result
    })
}

/// The calling thread is in a timer's signal handler; dropping this ends the run, if
/// no jump has.
struct InHandler(RunRef);

impl InHandler {
    fn new(run: RunRef, stack: usize) -> InHandler {
        let frame = &FRAMES[run.index as usize];
        frame.stack.store(stack, Relaxed);
        frame.outer.store(tls::run_word(), Relaxed);
        frame.generation.store(run.generation, Relaxed);
        tls::set_run(Some(run));
        InHandler(run)
    }
}

impl Drop for InHandler {
    fn drop(&mut self) {
        interrupting(|| end(self.0));
    }
}

/// Ends the calling thread's runs, from the innermost on, as long as `is_left` says so
/// of where they interrupted it.
pub fn end_those(is_left: impl Fn(usize) -> bool) {
    while let Some((run, stack)) = interrupted_at()
        && is_left(stack)
    {
        end(run);
    }
}

/// Ends those of the calling thread's runs that a jump has left at their very start or
/// end: what it jumps out of interrupted [`call`] itself. (One that it has not left goes
/// on uncounted.)
pub fn end_unframed() {
    DETECTOR.each_signal_run_here(&mut |run| {
        if !is_framed(run) {
            DETECTOR.leave(run);
        }
    });
}

/// Is it the calling thread's innermost run, or one around that?
fn is_framed(run: RunRef) -> bool {
    let around = |inner: &RunRef| {
        let outer = Frame::of(*inner)?.outer.load(Relaxed);
        (outer != 0).then(|| tls::unpacked_run(outer))
    };
    core::iter::successors(tls::run(), around).take(RUNS).any(|one| one == run)
}

/// Ends a run of the calling thread, once.
fn end(run: RunRef) {
    if tls::run() == Some(run)
        && let Some(frame) = Frame::of(run)
    {
        tls::set_packed_run(frame.outer.load(Relaxed));
    }
    DETECTOR.leave(run);
}
