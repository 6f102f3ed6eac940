//! The threads that keep time and call handlers, and virtual time.
//!
//! ```text
//!          start             advance
//!   Idle ---------> Real ---------------> Virtual
//!     `----------------------------------->'
//! ```
//!
//! The clock thread sets the engine's clock at every tick and wakes the timer thread,
//! which calls what is due. A handler that panics ends its run, not the thread.

use core::cell::{Cell, RefCell};
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use deadwalk_detector::{DETECTOR, RunRef};

use super::process::{self, ENGINE};
use super::raw;
use super::timer::Orphan;
use crate::{Due, Ticket};

const IDLE: u32 = 0;
const REAL: u32 = 1;
const VIRTUAL: u32 = 2;

static STATE: AtomicU32 = AtomicU32::new(IDLE);
static JIFFIES: AtomicU64 = AtomicU64::new(0);
static TIMER_THREAD: OnceLock<Thread> = OnceLock::new();

/// Pauses of a wait that only yield.
const YIELDS: u32 = 20;
/// The others.
const NAP: Duration = Duration::from_micros(50);

thread_local! {
    static IS_TIMER_THREAD: Cell<bool> = const { Cell::new(false) };
    /// Handlers on this thread: more than one if a handler lets virtual time pass.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Timers that their own handler dropped: to be freed behind it, and behind those
    /// that it runs in.
    static ORPHANS: RefCell<Vec<Orphan>> = const { RefCell::new(Vec::new()) };
}

/// The time in ticks, as `expires` of a [`RawTimer`](super::RawTimer) has it. It wraps five minutes
/// after the start.
pub fn jiffies() -> u64 {
    process::start();
    JIFFIES.load(Relaxed)
}

/// Makes time virtual for good, if it is not yet, and lets `ticks` ticks pass: every
/// handler that expires runs on the calling thread, in a fixed order. How many did.
///
/// To be called before the first timer is armed, or while no handler runs.
pub fn advance(ticks: u64) -> u64 {
    process::start();
    STATE.store(VIRTUAL, Relaxed);
    let mut called = 0;
    ENGINE.advance(ticks, |due| {
        called += 1;
        call(due);
    });
    called
}

/// Monotonic time, ns, by the detector's clock: it compares its times with ours.
pub(super) fn now_ns() -> u64 {
    DETECTOR.platform().map_or(0, |platform| platform.now_ns())
}

pub(super) fn pause(attempt: u32) {
    if attempt < YIELDS { thread::yield_now() } else { thread::sleep(NAP) }
}

pub(super) fn set_jiffies(jiffies: u64) {
    JIFFIES.store(jiffies, Relaxed);
}

pub(super) fn is_timer_thread() -> bool {
    IS_TIMER_THREAD.get()
}

/// Starts the threads, unless they run or time is virtual.
pub(super) fn start() {
    if STATE.load(Acquire) != IDLE || STATE.compare_exchange(IDLE, REAL, AcqRel, Relaxed).is_err() {
        return;
    }
    let spawn = |name: &str, main: fn()| thread::Builder::new().name(name.into()).spawn(main);
    let timer = spawn("deadwalk-timer", timer_thread);
    let all = timer.and_then(|timer| {
        let _ = TIMER_THREAD.set(timer.thread().clone());
        spawn("deadwalk-clock", clock_thread)
    });
    if let Err(error) = all {
        eprintln!("deadwalk: timers do not expire: no thread for them ({error})");
    }
}

fn clock_thread() {
    let (start, first) = (Instant::now(), ENGINE.now());
    let tick = Duration::from_secs(1) / ENGINE.settings().hz;
    while STATE.load(Acquire) == REAL {
        let ticks = (start.elapsed().as_nanos() / tick.as_nanos()) as u64;
        if ENGINE.clock(first + ticks) != 0
            && let Some(thread) = TIMER_THREAD.get()
        {
            thread.unpark();
        }
        let next = tick.saturating_mul(u32::try_from(ticks + 1).unwrap_or(u32::MAX));
        thread::sleep(next.saturating_sub(start.elapsed()));
    }
}

fn timer_thread() {
    IS_TIMER_THREAD.set(true);
    while STATE.load(Acquire) == REAL {
        match ENGINE.next_due(0) {
            // What panics has told so by its hook.
            Some(due) => {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| call(due))) {
                    // Its destructor may panic as well, with another one: that is leaked.
                    let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
                    dropped.unwrap_or_else(core::mem::forget);
                }
            }
            None => thread::park(),
        }
    }
}

/// Has a timer freed when no handler runs on this thread any more.
pub(super) fn bury_later(orphan: Orphan) {
    ORPHANS.with_borrow_mut(|orphans| orphans.push(orphan));
}

/// Ends a handler, however it ends.
struct Leaving(Ticket<RunRef>);

impl Drop for Leaving {
    fn drop(&mut self) {
        ENGINE.leave(self.0);
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            // A buried closure may drop timers itself: not while the list is borrowed.
            drop(ORPHANS.with_borrow_mut(core::mem::take));
        }
    }
}

fn call(due: Due<RunRef>) {
    DEPTH.set(DEPTH.get() + 1);
    let _leaving = Leaving(due.ticket);
    raw::call_handler(due.handler, due.data);
}
