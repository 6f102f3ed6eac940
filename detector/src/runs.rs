//! The handlers that are running now, and the notes that others leave on them.
//!
//! # Ground rules
//!
//! * A bit in `taken` owns a run slot; the handler's thread sets it, fills the
//!   slot, and only then publishes it ([`RunWord`]). It alone ends the run,
//!   after which no note can be added.
//! * Others add notes: they announce them (fails once the run has left), claim,
//!   fill and publish a [`Note`], and drop their hold on the slot. Whoever
//!   drops the last hold, the handler or a slow writer, gives the slot back. A
//!   handler on which nothing was announced looks at nothing when it leaves.
//! * No operation waits for another thread; all may run in a signal handler.

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::platform::ThreadToken;
use crate::run_notes::{HarmNote, LandingNote, Objects};
use crate::run_word::{News, RunWord};
use crate::state::{Phase, State};
use crate::timers::TimerRef;

/// Handlers that may run at the same time; more run uncounted (`dropped.events`).
pub const RUNS: usize = 1024;
/// Deletes and disarms that may land on one run.
pub const LANDINGS: usize = 4;
/// Harms that may be done to one run.
pub const HARMS: usize = 4;

const LATE: u32 = 0x100;

/// A run, safe to keep beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunRef {
    /// Its slot.
    pub index: u32,
    /// Which run of that slot.
    pub generation: u32,
}

/// A running handler.
pub struct RunSlot {
    word: RunWord,
    timer: AtomicU64,
    thread_tid: AtomicU32,
    thread_probe: AtomicU64,
    /// Block of the handler's data, index + 1, 0 for none.
    pub block: AtomicU32,
    /// Calls of the handler's thread that deadwalk saw, beside those that the
    /// thread's probe counts.
    pub calls: AtomicU64,
    /// The handler deleted its own timer or freed its own data.
    pub handled: AtomicU32,
    /// The handler signalled a condition variable.
    pub signalled: AtomicU32,
    /// 1 while the handler's start is held up (option `provoke`).
    pub is_held: AtomicU32,
    /// `LATE` and the count of arms if the handler started after a disarm, else 0.
    late: AtomicU32,
    /// 1 if it was started by an expiry that is not its timer's.
    is_stale: AtomicU32,
    /// Its `enter-with-freed-data`, counted from 1, as long as that did no harm.
    pub began_freed: AtomicU32,
    /// The handler's thread as who joins it names it; 0 for one that nobody can.
    pub joinable: AtomicU64,
    /// The mutex that the handler found taken and waits for, or has got since; 0 for
    /// none.
    pub lock: AtomicU64,
    /// Stack of its call for that, index + 1; 0 if there is none.
    pub lock_stack: AtomicU32,
    /// Return address of that call.
    pub lock_site: AtomicU64,
    /// The warning that it waits for its deleter, index + 1; 0 if none stands.
    pub warned: AtomicU32,
    /// What the handler posted.
    pub posted: Objects,
    /// Deletes that landed.
    pub landings: [LandingNote; LANDINGS],
    /// What was done to what it uses.
    pub harms: [HarmNote; HARMS],
    /// When the handler armed its own timer last, ns; 0 if it did not.
    pub rearmed_ns: AtomicU64,
    /// When another thread armed it last, after a delete, ns; 0 if none did.
    pub owner_armed_ns: AtomicU64,
}

impl RunSlot {
    const fn new() -> RunSlot {
        RunSlot {
            word: RunWord::new(),
            timer: AtomicU64::new(0),
            thread_tid: AtomicU32::new(0),
            thread_probe: AtomicU64::new(0),
            block: AtomicU32::new(0),
            calls: AtomicU64::new(0),
            handled: AtomicU32::new(0),
            signalled: AtomicU32::new(0),
            is_held: AtomicU32::new(0),
            late: AtomicU32::new(0),
            is_stale: AtomicU32::new(0),
            began_freed: AtomicU32::new(0),
            joinable: AtomicU64::new(0),
            lock: AtomicU64::new(0),
            lock_stack: AtomicU32::new(0),
            lock_site: AtomicU64::new(0),
            warned: AtomicU32::new(0),
            posted: Objects::new(),
            landings: [const { LandingNote::new() }; LANDINGS],
            harms: [const { HarmNote::new() }; HARMS],
            rearmed_ns: AtomicU64::new(0),
            owner_armed_ns: AtomicU64::new(0),
        }
    }

    /// The handler's timer.
    pub fn timer(&self) -> TimerRef {
        TimerRef::unpack(self.timer.load(Relaxed))
    }

    /// Did the handler start after the very disarm that found `before`? To be
    /// asked after an announcement.
    pub fn started_after(&self, before: State) -> bool {
        before.phase != Phase::Disarmed && self.late.load(Relaxed) == LATE | u32::from(before.arms)
    }

    /// Was it started by an expiry that is not its timer's?
    pub fn is_stale(&self) -> bool {
        self.is_stale.load(Relaxed) != 0
    }

    /// Is its run on, and did others leave notes?
    pub fn is_noted(&self) -> bool {
        self.word.is_noted()
    }

    /// The handler's thread.
    pub fn thread(&self) -> ThreadToken {
        ThreadToken { tid: self.thread_tid.load(Relaxed), probe: self.thread_probe.load(Relaxed) }
    }
}

/// All running handlers.
pub struct RunTable {
    taken: &'static [AtomicU64],
    slots: &'static [RunSlot],
}

static TAKEN: [AtomicU64; RUNS / 64] = [const { AtomicU64::new(0) }; RUNS / 64];
static SLOTS: [RunSlot; RUNS] = [const { RunSlot::new() }; RUNS];

impl RunTable {
    /// The process's table. There must be one user of it.
    pub const fn global() -> RunTable {
        RunTable { taken: &TAKEN, slots: &SLOTS }
    }

    /// A table of its own, of 64 runs.
    #[cfg(test)]
    pub fn small() -> RunTable {
        let slots: Vec<RunSlot> = (0..64).map(|_| RunSlot::new()).collect();
        RunTable { taken: vec![AtomicU64::new(0)].leak(), slots: slots.leak() }
    }

    /// Publishes a run of the calling thread, perhaps one that should not be; `None`
    /// if too many are on.
    pub fn begin(
        &self,
        timer: TimerRef,
        thread: ThreadToken,
        block: u32,
        is_stale: bool,
    ) -> Option<RunRef> {
        let index = self.take_bit()?;
        let slot = &self.slots[index];
        let generation = slot.word.next_generation();
        slot.timer.store(timer.pack(), Relaxed);
        slot.thread_tid.store(thread.tid, Relaxed);
        slot.thread_probe.store(thread.probe, Relaxed);
        slot.block.store(block, Relaxed);
        slot.handled.store(0, Relaxed);
        slot.signalled.store(0, Relaxed);
        slot.is_held.store(0, Relaxed);
        slot.late.store(0, Relaxed);
        slot.is_stale.store(is_stale.into(), Relaxed);
        slot.joinable.store(0, Relaxed);
        slot.lock.store(0, Relaxed);
        slot.warned.store(0, Relaxed);
        slot.posted.clear();
        for landing in &slot.landings {
            landing.note.reset(generation);
        }
        for harm in &slot.harms {
            harm.note.reset(generation);
        }
        slot.rearmed_ns.store(0, Relaxed);
        slot.owner_armed_ns.store(0, Relaxed);
        slot.began_freed.store(0, Relaxed);
        slot.word.begin(generation);
        Some(RunRef { index: index as u32, generation })
    }

    fn take_bit(&self) -> Option<usize> {
        for (w, word) in self.taken.iter().enumerate() {
            let mut bits = word.load(Relaxed);
            while bits != u64::MAX {
                let bit = (!bits).trailing_zeros();
                match word.compare_exchange_weak(bits, bits | 1 << bit, AcqRel, Relaxed) {
                    Ok(_) => return Some(w * 64 + bit as usize),
                    Err(now) => bits = now,
                }
            }
        }
        None
    }

    /// The slot of a run that is on.
    pub fn get(&self, run: RunRef) -> Option<&RunSlot> {
        self.slots.get(run.index as usize).filter(|s| s.word.on() == Some(run.generation))
    }

    /// Announces a note to a run and holds its slot, until
    /// [`release`](Self::release): `None` if it has left, or started after that.
    pub fn announce(&self, run: RunRef, news: News) -> Option<&RunSlot> {
        let slot = self.slots.get(run.index as usize)?;
        slot.word.announce(run.generation, news).then_some(slot)
    }

    /// The calling thread's run started when its timer was, in `state`,
    /// disarmed or deleted: the slot, if there may be notes from before.
    pub fn start_late(&self, run: RunRef, state: State) -> Option<&RunSlot> {
        let slot = self.get(run)?;
        slot.late.store(LATE | u32::from(state.arms), Relaxed);
        slot.word.start_late(state.phase == Phase::Retired).then_some(slot)
    }

    /// Ends a run: no note can be added any more. `None` if it is not on (a
    /// fork child has none); else whether there may be notes. The slot stays
    /// the caller's until [`release`](Self::release).
    pub fn end(&self, run: RunRef) -> Option<(bool, &RunSlot)> {
        let slot = self.get(run)?;
        Some((slot.word.end(), slot))
    }

    /// Ends the caller's hold on a slot; the last one gives it back.
    pub fn release(&self, run: RunRef) {
        if self.slots[run.index as usize].word.drop_hold() {
            self.give_back(run);
        }
    }

    /// Gives back the slot of a run that ended without notes: nobody else holds it.
    pub fn give_back(&self, run: RunRef) {
        let index = run.index as usize;
        self.taken[index / 64].fetch_and(!(1 << (index % 64)), Release);
    }

    /// Every run that is on.
    pub fn each(&self) -> impl Iterator<Item = (RunRef, &RunSlot)> {
        self.each_taken().filter_map(|(index, slot)| {
            let generation = slot.word.on()?;
            Some((RunRef { index: index as u32, generation }, slot))
        })
    }

    /// Every slot in use: also those of handlers that are leaving.
    pub fn each_taken(&self) -> impl Iterator<Item = (usize, &RunSlot)> {
        self.taken.iter().enumerate().flat_map(move |(w, word)| {
            let mut bits = word.load(Acquire);
            core::iter::from_fn(move || {
                let index = w * 64 + bits.trailing_zeros() as usize;
                let slot = self.slots.get(index).filter(|_| bits != 0)?;
                bits &= bits - 1;
                Some((index, slot))
            })
        })
    }

    /// Forgets all runs: their threads do not exist in a fork child.
    pub fn reset_after_fork(&self) {
        for (_, slot) in self.each_taken() {
            slot.word.clear();
        }
        for word in self.taken {
            word.store(0, Release);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const TIMER: TimerRef = TimerRef { index: 3, generation: 9 };

    #[test]
    fn a_run_is_seen_while_it_is_on() {
        let table = RunTable::small();
        let run = table.begin(TIMER, ThreadToken { tid: 5, probe: 0 }, 2, false).unwrap();
        assert_eq!(table.each().map(|(r, s)| (r, s.timer())).collect::<Vec<_>>(), [(run, TIMER)]);
        assert_eq!(table.end(run).map(|(noted, _)| noted), Some(false));
        assert!(table.end(run).is_none() && table.get(run).is_none());
        table.release(run);
        let next = table.begin(TIMER, ThreadToken::default(), 0, false).unwrap();
        assert_eq!(next.index, run.index);
        assert_ne!(next.generation, run.generation);
    }

    #[test]
    fn a_writer_keeps_the_slot_from_the_next_run() {
        let table = RunTable::small();
        let run = table.begin(TIMER, ThreadToken::default(), 0, false).unwrap();
        assert!(table.announce(run, News::Delete).is_some());
        assert!(table.end(run).unwrap().0);
        assert!(table.announce(run, News::Delete).is_none());
        table.release(run);
        let other = table.begin(TIMER, ThreadToken::default(), 0, false).unwrap();
        assert_ne!(other.index, run.index, "the writer still holds it");
        table.release(run);
        assert_eq!(table.begin(TIMER, ThreadToken::default(), 0, false).unwrap().index, run.index);
    }

    #[test]
    fn a_full_table_refuses_and_recovers() {
        let table = RunTable::small();
        let runs: Vec<_> = (0..64)
            .map(|_| table.begin(TIMER, ThreadToken::default(), 0, false).unwrap())
            .collect();
        assert!(table.begin(TIMER, ThreadToken::default(), 0, false).is_none());
        table.end(runs[40]).unwrap();
        table.release(runs[40]);
        assert_eq!(table.begin(TIMER, ThreadToken::default(), 0, false).unwrap().index, 40);
    }
}
