//! Freed memory: the blocks of timers' data, and what the allocator finds.
//!
//! Contexts: inside `free`, no lock held; nothing here allocates or waits.

use core::sync::atomic::Ordering::Relaxed;

use crate::blocks::{BlockEntry, HeapBlock};
use crate::core::Detector;
use crate::counters::Counter;
use crate::harms::Harm;
use crate::platform::Platform;
use crate::rearms::Fate;
use crate::record::layout::{FLAG_BYTES, FLAG_LATE, StackRole, Verdict};
use crate::record::writer::FindingSpec;
use crate::state::Phase;
use crate::timers::TimerSlot;
use crate::{Api, Consequence, Kind, Severity, Subject};

/// A misuse of the heap as the allocator describes it.
#[derive(Clone, Copy, Debug)]
pub struct HeapMisuse<'a> {
    /// What it is.
    pub kind: Kind,
    /// The pointer given, or the first damaged byte.
    pub addr: usize,
    /// The block, its start 0 if there is none.
    pub block: HeapBlock,
    /// Offset of `addr` or of the damage in the block.
    pub offset: isize,
    /// Return address of its first free, 0 if unknown.
    pub free_site: usize,
    /// Found at once, so the calling thread's stack is the culprit's.
    pub late: bool,
    /// Return address of the current call.
    pub caller: usize,
    /// Bytes that should have been at the damage, and those found.
    pub bytes: Option<(&'a [u8; 16], &'a [u8; 16])>,
    /// Told from a signal handler, where no stack may be captured: `caller` is
    /// all that is known of the culprit, unless there is a `stack`.
    pub in_signal: bool,
    /// The culprit's stack, as the record keeps it; 0 if it was not stored yet.
    pub stack: u32,
    /// For how long the block has been free, ns; 0 if that is not known.
    pub age_ns: u64,
}

impl Detector {
    /// A block that `watch` was asked for is about to be freed. `free_site` is
    /// the caller's return address.
    pub fn freeing(&self, block: &HeapBlock, free_site: usize) {
        let Some(platform) = self.platform() else { return };
        self.blocks.freed(block.base, platform.now_ns(), |index, entry| {
            let me = platform.thread().tid;
            let free_stack = self.free_under_runs(platform, index, entry, me);
            let free_stack = match free_stack {
                Some(stack) if stack != 0 => stack,
                _ => self.record.single(platform, free_site.saturating_sub(1)),
            };
            entry.free_stack.store(free_stack, Relaxed);
            if entry.armed.load(Relaxed) > 0 {
                self.free_under_armed(platform, index, entry, me);
            }
        });
    }

    /// Leaves a note on every run of another thread that uses the block;
    /// returns the stack of the free if it was needed.
    fn free_under_runs(
        &self,
        platform: &dyn Platform,
        index: u32,
        entry: &BlockEntry,
        me: u32,
    ) -> Option<u32> {
        let mut stack = None;
        for (run_ref, run) in self.runs.each() {
            if run.block.load(Relaxed) != index + 1 || run.is_stale() {
                continue;
            }
            if run.thread().tid == me {
                run.handled.store(1, Relaxed);
                continue;
            }
            let harm = Harm {
                kind: Kind::DataFreeWhileRunning,
                consequence: Consequence::DataFreed,
                addr: entry.facts().base,
                block: entry.facts(),
            };
            self.harm(platform, run_ref, &harm, &mut stack);
        }
        stack
    }

    /// Opens a finding for every armed timer that uses the block; its verdict
    /// comes with the timer's next event.
    fn free_under_armed(&self, platform: &dyn Platform, index: u32, entry: &BlockEntry, me: u32) {
        let mut stack = None;
        for (_, slot) in self.registry.each() {
            if slot.block.load(Relaxed) != index + 1
                || slot.state().phase != Phase::Armed
                || !self.is_armed_over(platform, slot, entry)
            {
                continue;
            }
            self.settle_rearm(platform, slot, Fate::Freed);
            let stack = *stack.get_or_insert_with(|| self.record.capture(platform));
            let kind = Kind::DataFreeWhilePending;
            let spec = self.block_finding(platform, kind, slot, &entry.facts(), stack);
            if let Some(finding) = self.record.finding(platform, &spec) {
                self.record.open(platform, finding);
                let open = (u64::from(finding) + 1) << 32 | u64::from(me);
                slot.freed_pending.store(open, Relaxed);
            }
        }
    }

    /// Is the timer, which the registry has as armed with a value in that block,
    /// so for whoever fires it?
    fn is_armed_over(&self, platform: &dyn Platform, slot: &TimerSlot, entry: &BlockEntry) -> bool {
        let handle = slot.handle.load(Relaxed);
        match slot.api() {
            Api::TimerList => platform.list_uses(handle, &entry.facts()),
            _ => {
                let signal = slot.signal.load(Relaxed);
                (signal == 0 || platform.passes_value(signal)) && platform.is_pending(handle)
            }
        }
    }

    /// Gives the verdict on a free under this timer while it was armed: legal
    /// if the freeing thread itself stops the timer before it expires.
    /// `stopper` 0 means that it expired.
    pub(crate) fn settle_freed_pending(
        &self,
        platform: &dyn Platform,
        slot: &TimerSlot,
        stopper: u32,
    ) {
        if slot.freed_pending.load(Relaxed) == 0 {
            return;
        }
        let open = slot.freed_pending.swap(0, Relaxed);
        let Some(finding) = ((open >> 32) as u32).checked_sub(1) else { return };
        let verdict = if stopper == open as u32 { Verdict::Info } else { Verdict::Warning };
        self.record.close(finding);
        self.record.occurred(platform, finding, verdict);
    }

    /// A handler frees what was freed under it: it has gone on, asleep or not as that
    /// happened.
    fn freed_again(&self, platform: &dyn Platform, base: usize) {
        let me = platform.thread().tid;
        for (run_ref, run) in self.runs.each().filter(|(_, run)| run.thread().tid == me) {
            let mut harms = run.harms.iter();
            if harms.any(|h| h.note.is_written(run_ref.generation) && h.block().base == base) {
                self.handler_called(run_ref);
            }
        }
    }

    /// Records what the allocator found.
    pub fn heap_misuse(&self, misuse: &HeapMisuse<'_>) {
        let Some(platform) = self.platform() else {
            self.record.count(Counter::DroppedEvents, 1);
            return;
        };
        if misuse.kind == Kind::DoubleFree && !misuse.late {
            self.freed_again(platform, misuse.block.base);
        }
        let single = |addr: usize| self.record.single(platform, addr.saturating_sub(1));
        let mut spec = FindingSpec::new(misuse.kind, Api::Heap)
            .with(StackRole::Alloc, single(misuse.block.alloc_site))
            .with(StackRole::Free, single(misuse.free_site));
        if !misuse.late {
            let mut stack = misuse.stack;
            if stack == 0 && !misuse.in_signal {
                stack = self.record.capture(platform);
            }
            if stack == 0 {
                stack = single(misuse.caller);
            }
            spec = spec.with(StackRole::Access, stack);
            spec.is_told_apart = misuse.stack != 0;
            let is_stale = matches!(misuse.kind, Kind::UseAfterFreeRead | Kind::UseAfterFreeWrite);
            spec.age_ns = misuse.age_ns;
            let touch = is_stale.then(|| self.touched(platform, misuse.block.base, stack));
            if let Some(touch) = touch.flatten() {
                spec.subject = Subject::TimerData;
                if touch.age_ns != 0 {
                    spec.age_ns = touch.age_ns;
                }
                if touch.free_stack != 0 {
                    spec = spec.with(StackRole::Free, touch.free_stack);
                }
            }
        }
        spec.addr = misuse.addr;
        spec.base = misuse.block.base;
        spec.size = misuse.block.size;
        spec.offset = misuse.offset;
        spec.flags = if misuse.late { FLAG_LATE } else { 0 };
        if let Some((expected, found)) = misuse.bytes {
            spec.flags |= FLAG_BYTES;
            spec.expected = *expected;
            spec.found = *found;
        }
        if let Some(finding) = self.record.finding(platform, &spec) {
            let verdict = match misuse.kind.default_severity() {
                Severity::Info => Verdict::Info,
                Severity::Warning => Verdict::Warning,
                Severity::Error => Verdict::Error,
            };
            self.record.aged(finding, spec.age_ns);
            let verdict = if misuse.late { verdict } else { self.unless_stale(platform, verdict) };
            self.record.occurred(platform, finding, verdict);
        }
    }
}
