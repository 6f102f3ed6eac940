//! The detector: the registry, the runs and the record put together.
//!
//! The verbs live in files of their own: [`crate::deletes`] (create, arm,
//! disarm, delete), [`crate::handlers`] (enter, leave, verdicts) and
//! [`crate::frees`] (freed memory, heap misuse).

use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::OnceLock;

use crate::aftermath::Aftermath;
use crate::blocks::BlockTable;
use crate::counters::Counter;
use crate::ladder::Sample;
use crate::options::DelPolicy;
use crate::platform::Platform;
use crate::provoke::Provoker;
use crate::record::layout::{FindingEntry, StackRole};
use crate::record::writer::{FindingSpec, Recorder};
use crate::runs::{RunSlot, RunTable};
use crate::state::{Phase, State};
use crate::suspects::Suspects;
use crate::timers::{Registry, TimerSlot};
use crate::waits::Waits;
use crate::{Api, Kind};

/// Everything deadwalk knows of this process.
pub struct Detector {
    /// The record that is written.
    pub record: Recorder,
    /// Draws the delays of option `provoke`.
    pub provoke: Provoker,
    pub(crate) registry: Registry,
    pub(crate) blocks: BlockTable,
    pub(crate) runs: RunTable,
    pub(crate) aftermath: Aftermath,
    pub(crate) suspects: Suspects,
    pub(crate) waits: Waits,
    platform: OnceLock<&'static dyn Platform>,
    policy: AtomicU32,
    pub(crate) heals: AtomicBool,
    pub(crate) tail_ns: AtomicU64,
    pub(crate) deadlock_ns: AtomicU64,
}

/// The process's detector.
pub static DETECTOR: Detector = Detector {
    record: Recorder::new(),
    provoke: Provoker::new(),
    registry: Registry::global(),
    blocks: BlockTable::global(),
    runs: RunTable::global(),
    aftermath: Aftermath::new(),
    suspects: Suspects::new(),
    waits: Waits::new(),
    platform: OnceLock::new(),
    policy: AtomicU32::new(DelPolicy::Async as u32),
    heals: AtomicBool::new(false),
    tail_ns: AtomicU64::new(50_000),
    deadlock_ns: AtomicU64::new(2_000_000_000),
};

impl Detector {
    /// A detector of its own with small tables.
    #[cfg(test)]
    pub fn small(platform: &'static dyn Platform) -> Detector {
        let detector = Detector {
            record: Recorder::new(),
            provoke: Provoker::new(),
            registry: Registry::small(64),
            blocks: BlockTable::small(64),
            runs: RunTable::small(),
            aftermath: Aftermath::new(),
            suspects: Suspects::new(),
            waits: Waits::new(),
            platform: OnceLock::new(),
            policy: AtomicU32::new(DelPolicy::Async as u32),
            heals: AtomicBool::new(false),
            tail_ns: AtomicU64::new(50_000),
            deadlock_ns: AtomicU64::new(1_000),
        };
        detector.activate(platform);
        detector
    }

    /// Plugs the host in. Until then nothing is watched; later calls change nothing.
    pub fn activate(&self, platform: &'static dyn Platform) {
        let _ = self.platform.set(platform);
    }

    /// The host, once there is one.
    #[inline]
    pub fn platform(&self) -> Option<&'static dyn Platform> {
        self.platform.get().copied()
    }

    /// Sets what deletes do and the two bounds.
    pub fn configure(&self, policy: DelPolicy, tail_us: u32, deadlock_ms: u32) {
        self.policy.store(policy as u32, Release);
        self.tail_ns.store(u64::from(tail_us) * 1_000, Relaxed);
        self.deadlock_ns.store(u64::from(deadlock_ms) * 1_000_000, Relaxed);
    }

    /// What deletes do.
    pub fn policy(&self) -> DelPolicy {
        DelPolicy::from_u32(self.policy.load(Acquire)).unwrap_or(DelPolicy::Async)
    }

    /// Changes what deletes do; the record says so.
    pub fn set_policy(&self, policy: DelPolicy) {
        self.policy.store(policy as u32, Release);
        self.record.head().policy.store(policy as u32 + 1, Relaxed);
    }

    /// How long a waiting delete waits, ns.
    pub fn deadlock_ns(&self) -> u64 {
        self.deadlock_ns.load(Relaxed)
    }

    /// A fork child has none of its parent's timers, handlers or findings. To
    /// be called in the child, before anything else of ours, after the record
    /// was attached.
    pub fn reset_after_fork(&self) {
        self.provoke.reset_after_fork();
        self.registry.reset_after_fork();
        self.blocks.reset_after_fork();
        self.runs.reset_after_fork();
        self.aftermath.reset_after_fork();
        self.suspects.reset_after_fork();
        self.waits.reset_after_fork();
    }

    /// A counter by its path in the JSON report (`"del.while_running"`).
    pub fn counter(&self, path: &str) -> Option<u64> {
        Counter::from_path(path).map(|c| self.record.counter(c))
    }

    /// Keeps the gauges of armed timers right.
    #[inline]
    pub(crate) fn phase_changed(&self, slot: &TimerSlot, before: State, after: State) {
        let change = match (before.phase == Phase::Armed, after.phase == Phase::Armed) {
            (false, true) => 1,
            (true, false) => -1,
            _ => return,
        };
        // The engine of timer_list counts its own, named here or not.
        if slot.api() != Api::TimerList {
            self.record.count(Counter::TimersPending, change as u64);
        }
        if let Some(block) = slot.block.load(Relaxed).checked_sub(1)
            && let Some(entry) = self.blocks.get(block)
        {
            entry.armed.fetch_add(change as u32, Relaxed);
        }
    }

    /// A finding about a timer, with its handler, arm and delete sites.
    pub(crate) fn timer_finding(
        &self,
        platform: &dyn Platform,
        kind: Kind,
        slot: &TimerSlot,
    ) -> FindingSpec {
        let site = |addr: u64| self.record.single(platform, (addr as usize).saturating_sub(1));
        FindingSpec::new(kind, slot.api())
            .with(
                StackRole::Handler,
                self.record.single(platform, slot.handler.load(Relaxed) as usize),
            )
            .with(StackRole::Arm, site(slot.arm_site.load(Relaxed)))
            .with(StackRole::Del, site(slot.del_site.load(Relaxed)))
    }

    /// Another thread's sample, as of a run.
    pub(crate) fn sample_run(&self, platform: &dyn Platform, slot: &RunSlot) -> Sample {
        let sample = platform.sample(slot.thread());
        Sample {
            // One that has not begun is as one that sleeps: all of it is yet to come.
            asleep: sample.asleep || slot.is_held.load(Relaxed) != 0,
            activity: sample.activity.wrapping_add(slot.calls.load(Relaxed)),
            ..sample
        }
    }

    /// A finding's entry, for those who read along.
    pub fn finding_entry(&self, index: u32) -> Option<&'static FindingEntry> {
        self.record.body_if_any()?.findings.get(index as usize)
    }
}
