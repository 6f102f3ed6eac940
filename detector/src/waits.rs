//! Deletes that wait for a handler, and who waits for whom.
//!
//! A waiting delete and the handler wait for each other if the handler's thread
//! sleeps for a lock of the deleter's, or itself waits in a delete for a handler on
//! the deleter's thread, or for somebody who does. Such a cycle is proven: none in
//! it goes on before another one does.
//!
//! # Ground rules
//!
//! * A thread enters its own wait and takes it out again. A full table, or a chain
//!   of more than [`DEPTH`], proves nothing: then the bound ends the wait.
//! * Edges are read one after the other, so a chain is walked twice: what is the same
//!   in both held all the time between.
//!
//! Contexts: as [`crate::deletes`].

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::Kind;
use crate::core::Detector;
use crate::platform::Platform;
use crate::record::layout::{STACK_DEPTH, StackRole, Verdict};
use crate::timers::{TimerRef, TimerSlot};

/// Deletes that wait at the same time and may be part of a proof.
const WAITS: usize = 64;
/// Threads in a cycle that is found.
const DEPTH: usize = 8;

struct Wait {
    /// 0: free.
    tid: AtomicU32,
    /// Which wait of this cell.
    serial: AtomicU32,
    timer: AtomicU64,
    stack: AtomicU32,
}

/// The table; see the module's head.
pub struct Waits([Wait; WAITS]);

impl Waits {
    /// None.
    pub const fn new() -> Waits {
        Waits(
            [const {
                Wait {
                    tid: AtomicU32::new(0),
                    serial: AtomicU32::new(0),
                    timer: AtomicU64::new(0),
                    stack: AtomicU32::new(0),
                }
            }; WAITS],
        )
    }

    /// Thread `tid` begins to wait for the handlers of `timer`. `stack` is of its delete.
    pub fn begin(&self, tid: u32, timer: TimerRef, stack: u32) -> Option<usize> {
        let at = self
            .0
            .iter()
            .position(|wait| wait.tid.compare_exchange(0, u32::MAX, AcqRel, Relaxed).is_ok())?;
        let wait = &self.0[at];
        wait.serial.fetch_add(1, Relaxed);
        wait.timer.store(timer.pack(), Relaxed);
        wait.stack.store(stack, Relaxed);
        wait.tid.store(tid, Release);
        Some(at)
    }

    /// It goes on.
    pub fn end(&self, at: usize) {
        self.0[at].tid.store(0, Release);
    }

    /// Forgets all: other threads do not exist in a fork child.
    pub fn reset_after_fork(&self) {
        for wait in &self.0 {
            wait.tid.store(0, Release);
        }
    }

    fn of(&self, tid: u32) -> Option<&Wait> {
        self.0.iter().find(|wait| wait.tid.load(Acquire) == tid)
    }
}

/// A cycle, as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    /// The thread that runs the handler that is waited for.
    pub handler_tid: u32,
    /// Where that thread waits, if that is a delete of its own: a stack, else 0.
    pub stack: u32,
    /// Names the edges.
    edges: u64,
}

impl Detector {
    /// Does a handler of `timer` wait for the calling thread `me`, which waits for it?
    pub(crate) fn proven_cycle(
        &self,
        platform: &dyn Platform,
        timer: TimerRef,
        me: u32,
    ) -> Option<Cycle> {
        let walk = || {
            self.runs.each().filter(|(_, run)| run.timer() == timer).find_map(|(at, run)| {
                let handler_tid = run.thread().tid;
                let edges = mix(0, u64::from(at.generation) << 32 | u64::from(at.index));
                let edges = mix(edges, self.leads_to(platform, handler_tid, me)?);
                let stack = self.waits.of(handler_tid).map_or(0, |wait| wait.stack.load(Relaxed));
                Some(Cycle { handler_tid, stack, edges })
            })
        };
        let first = walk()?;
        (walk() == Some(first)).then_some(first)
    }

    /// A waiting delete gives up: it is part of a cycle, or its bound is reached.
    pub(crate) fn tell_deadlock(
        &self,
        platform: &dyn Platform,
        timer: TimerRef,
        slot: &TimerSlot,
        cycle: Option<Cycle>,
    ) {
        let mut spec = self
            .timer_finding(platform, Kind::DelDeadlock, slot)
            .with(StackRole::Del, self.record.capture(platform));
        if let Some(cycle) = cycle {
            let stack = match cycle.stack {
                0 => self.stack_of_waiter(platform, cycle.handler_tid),
                stack => stack,
            };
            spec = spec.with(StackRole::Access, stack);
        }
        let blameless = self.runs_are_stale(timer);
        let verdict = if blameless { Verdict::Info } else { Verdict::Error };
        if let Some(finding) = self.record.finding(platform, &spec) {
            self.record.occurred(platform, finding, verdict);
        }
    }

    fn stack_of_waiter(&self, platform: &dyn Platform, tid: u32) -> u32 {
        let mut stack = [0; STACK_DEPTH];
        let depth = platform.stack_of_waiter(tid, &mut stack);
        self.record.stack(platform, &stack[..depth.min(STACK_DEPTH)])
    }

    /// By which edges `tid` waits for `me`, as one number.
    pub(crate) fn leads_to(&self, platform: &dyn Platform, tid: u32, me: u32) -> Option<u64> {
        self.chain(platform, tid, me, 0, DEPTH)
    }

    /// ... mixed to `edges`.
    fn chain(
        &self,
        platform: &dyn Platform,
        tid: u32,
        me: u32,
        edges: u64,
        depth: usize,
    ) -> Option<u64> {
        let depth = depth.checked_sub(1)?;
        let Some(wait) = self.waits.of(tid) else {
            let holder = platform.waits_for(tid)?;
            let edges = mix(edges, u64::from(holder));
            return if holder == me {
                Some(edges)
            } else {
                self.chain(platform, holder, me, edges, depth)
            };
        };
        let timer = TimerRef::unpack(wait.timer.load(Relaxed));
        let edges = mix(edges, u64::from(wait.serial.load(Relaxed)));
        // It waits for each of them: one that never ends is enough.
        self.runs.each().filter(|(_, run)| run.timer() == timer).find_map(|(at, run)| {
            let edges = mix(edges, u64::from(at.generation) << 32 | u64::from(at.index));
            match run.thread().tid {
                runner if runner == me => Some(edges),
                runner => self.chain(platform, runner, me, edges, depth),
            }
        })
    }
}

/// One number for a chain of numbers.
pub(crate) fn mix(edges: u64, edge: u64) -> u64 {
    (edges ^ edge).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}
