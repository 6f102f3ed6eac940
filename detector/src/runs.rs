//! The handlers that are running now, and the notes that others leave on them.
//!
//! # Ground rules
//!
//! * A bit in `taken` owns a run slot; the handler's thread sets it, fills the
//!   slot, and only then publishes it (`word` = generation, ON). It alone ends
//!   the run: one swap of `word`, after which no note can be added.
//! * Others add notes: they set NOTED in `word` (fails once the run has left),
//!   then claim, fill and publish a [`Note`]. A handler that leaves without
//!   NOTED looks at nothing, which is the fast path.
//! * No operation waits for another thread; all may run in a signal handler.

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::ladder::Sample;
use crate::note::Note;
use crate::platform::ThreadToken;
use crate::timers::TimerRef;

/// Handlers that may run at the same time; more run uncounted (`dropped.events`).
pub const RUNS: usize = 4096;
/// Deletes and disarms that may land on one run.
pub const LANDINGS: usize = 4;
/// Objects remembered that a handler posted, or a deleter waited for.
pub const OBJECTS: usize = 4;

const ON: u64 = 1;
const NOTED: u64 = 2;

/// A run, safe to keep beyond its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunRef {
    /// Its slot.
    pub index: u32,
    /// Which run of that slot.
    pub generation: u32,
}

/// A sample in cells.
pub struct SampleCell([AtomicU64; 4]);

impl SampleCell {
    const fn new() -> SampleCell {
        SampleCell([const { AtomicU64::new(0) }; 4])
    }

    /// Stores a sample.
    pub fn set(&self, sample: &Sample) {
        let fields =
            [sample.asleep as u64, sample.voluntary_switches, sample.cpu_ns, sample.activity];
        for (cell, field) in self.0.iter().zip(fields) {
            cell.store(field, Relaxed);
        }
    }

    /// The stored sample.
    pub fn get(&self) -> Sample {
        let [asleep, voluntary_switches, cpu_ns, activity] =
            [0, 1, 2, 3].map(|i: usize| self.0[i].load(Relaxed));
        Sample { asleep: asleep != 0, voluntary_switches, cpu_ns, activity }
    }
}

/// Objects by which threads hand over (semaphores, condition variables,
/// mutexes), each with a time; the last few.
pub struct Objects {
    next: AtomicU32,
    cells: [(AtomicU64, AtomicU64); OBJECTS],
}

impl Objects {
    /// None.
    pub const fn new() -> Objects {
        Objects {
            next: AtomicU32::new(0),
            cells: [const { (AtomicU64::new(0), AtomicU64::new(0)) }; OBJECTS],
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        for (object, _) in &self.cells {
            object.store(0, Relaxed);
        }
    }

    /// Adds one, over the oldest.
    pub fn add(&self, object: u64, at_ns: u64) {
        let (cell, at) = &self.cells[self.next.fetch_add(1, Relaxed) as usize % OBJECTS];
        at.store(at_ns, Relaxed);
        cell.store(object, Release);
    }

    /// Those added since `after_ns`.
    pub fn since(&self, after_ns: u64) -> impl Iterator<Item = u64> + '_ {
        self.cells
            .iter()
            .map(|(object, at)| (object.load(Acquire), at.load(Relaxed)))
            .filter(move |&(object, at)| object != 0 && at >= after_ns)
            .map(|(object, _)| object)
    }
}

impl Default for Objects {
    fn default() -> Self {
        Objects::new()
    }
}

/// "A delete landed on you."
pub struct LandingNote {
    /// Guards the fields.
    pub note: Note,
    /// Index of the delete site, `u32::MAX` for none.
    pub site: AtomicU32,
    /// When it took effect, ns.
    pub del_ns: AtomicU64,
    /// Who deleted.
    pub del_tid: AtomicU32,
    /// Stack of the delete, index + 1.
    pub del_stack: AtomicU32,
    /// The open finding, `u32::MAX` for none.
    pub finding: AtomicU32,
    /// The handler's thread at that moment; its `asleep` is meaningless without `sampled`.
    pub sample: SampleCell,
    /// What the deleter waited for since.
    pub waited: Objects,
}

/// "Your data is gone."
pub struct FreedNote {
    /// Guards the fields.
    pub note: Note,
    /// When, ns.
    pub freed_ns: AtomicU64,
    /// The open finding, `u32::MAX` for none.
    pub finding: AtomicU32,
    /// Stack of the free, index + 1.
    pub free_stack: AtomicU32,
    /// The handler's thread at that moment.
    pub sample: SampleCell,
}

/// A running handler.
pub struct RunSlot {
    word: AtomicU64,
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
    /// What the handler posted.
    pub posted: Objects,
    /// Deletes that landed.
    pub landings: [LandingNote; LANDINGS],
    /// The free of its data.
    pub freed: FreedNote,
}

impl RunSlot {
    const fn new() -> RunSlot {
        RunSlot {
            word: AtomicU64::new(0),
            timer: AtomicU64::new(0),
            thread_tid: AtomicU32::new(0),
            thread_probe: AtomicU64::new(0),
            block: AtomicU32::new(0),
            calls: AtomicU64::new(0),
            handled: AtomicU32::new(0),
            signalled: AtomicU32::new(0),
            posted: Objects::new(),
            landings: [const {
                LandingNote {
                    note: Note::new(),
                    site: AtomicU32::new(0),
                    del_ns: AtomicU64::new(0),
                    del_tid: AtomicU32::new(0),
                    del_stack: AtomicU32::new(0),
                    finding: AtomicU32::new(0),
                    sample: SampleCell::new(),
                    waited: Objects::new(),
                }
            }; LANDINGS],
            freed: FreedNote {
                note: Note::new(),
                freed_ns: AtomicU64::new(0),
                finding: AtomicU32::new(0),
                free_stack: AtomicU32::new(0),
                sample: SampleCell::new(),
            },
        }
    }

    /// The handler's timer.
    pub fn timer(&self) -> TimerRef {
        TimerRef::unpack(self.timer.load(Relaxed))
    }

    /// The handler's thread.
    pub fn thread(&self) -> ThreadToken {
        ThreadToken { tid: self.thread_tid.load(Relaxed), probe: self.thread_probe.load(Relaxed) }
    }

    /// The run that is on here.
    fn on(&self) -> Option<u32> {
        let word = self.word.load(Acquire);
        (word & ON != 0).then_some((word >> 32) as u32)
    }

    /// Announces a note to the run of `generation`; `false` if it has left.
    pub fn announce(&self, generation: u32) -> bool {
        let on = (generation as u64) << 32 | ON;
        match self.word.compare_exchange(on, on | NOTED, AcqRel, Acquire) {
            Ok(_) => true,
            Err(now) => now == on | NOTED,
        }
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

    /// Publishes a run of the calling thread; `None` if too many are on.
    pub fn begin(&self, timer: TimerRef, thread: ThreadToken, block: u32) -> Option<RunRef> {
        let index = self.take_bit()?;
        let slot = &self.slots[index];
        let generation = ((slot.word.load(Relaxed) >> 32) as u32).wrapping_add(1);
        slot.timer.store(timer.pack(), Relaxed);
        slot.thread_tid.store(thread.tid, Relaxed);
        slot.thread_probe.store(thread.probe, Relaxed);
        slot.block.store(block, Relaxed);
        slot.handled.store(0, Relaxed);
        slot.signalled.store(0, Relaxed);
        slot.posted.clear();
        for landing in &slot.landings {
            landing.note.reset(generation);
        }
        slot.freed.note.reset(generation);
        slot.word.store((generation as u64) << 32 | ON, Release);
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
        self.slots.get(run.index as usize).filter(|s| s.on() == Some(run.generation))
    }

    /// Ends a run: no note can be added any more. `None` if it is not on (a
    /// fork child has none); else whether there may be notes. The slot stays
    /// the caller's until [`release`](Self::release).
    pub fn end(&self, run: RunRef) -> Option<(bool, &RunSlot)> {
        let slot = self.slots.get(run.index as usize)?;
        if slot.on() != Some(run.generation) {
            return None;
        }
        let word = slot.word.swap((run.generation as u64) << 32, AcqRel);
        Some((word & NOTED != 0, slot))
    }

    /// Gives an ended run's slot back.
    pub fn release(&self, run: RunRef) {
        let index = run.index as usize;
        self.taken[index / 64].fetch_and(!(1 << (index % 64)), Release);
    }

    /// Every run that is on.
    pub fn each(&self) -> impl Iterator<Item = (RunRef, &RunSlot)> {
        self.taken.iter().enumerate().flat_map(move |(w, word)| {
            let mut bits = word.load(Acquire);
            core::iter::from_fn(move || {
                while bits != 0 {
                    let index = w * 64 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    let slot = &self.slots[index];
                    if let Some(generation) = slot.on() {
                        return Some((RunRef { index: index as u32, generation }, slot));
                    }
                }
                None
            })
        })
    }

    /// Forgets all runs: their threads do not exist in a fork child.
    pub fn reset_after_fork(&self) {
        for (run, slot) in self.each() {
            slot.word.store((run.generation as u64) << 32, Relaxed);
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
        let run = table.begin(TIMER, ThreadToken { tid: 5, probe: 0 }, 2).unwrap();
        assert_eq!(table.each().map(|(r, s)| (r, s.timer())).collect::<Vec<_>>(), [(run, TIMER)]);
        assert_eq!(table.end(run).map(|(noted, _)| noted), Some(false));
        assert!(table.end(run).is_none() && table.get(run).is_none());
        table.release(run);
        let next = table.begin(TIMER, ThreadToken::default(), 0).unwrap();
        assert_eq!(next.index, run.index);
        assert_ne!(next.generation, run.generation);
    }

    #[test]
    fn notes_reach_the_run_until_it_ends() {
        let table = RunTable::small();
        let run = table.begin(TIMER, ThreadToken::default(), 0).unwrap();
        let slot = table.get(run).unwrap();
        assert!(slot.announce(run.generation) && slot.announce(run.generation));
        assert!(table.end(run).unwrap().0);
        assert!(!slot.announce(run.generation));
    }

    #[test]
    fn a_full_table_refuses_and_recovers() {
        let table = RunTable::small();
        let runs: Vec<_> =
            (0..64).map(|_| table.begin(TIMER, ThreadToken::default(), 0).unwrap()).collect();
        assert!(table.begin(TIMER, ThreadToken::default(), 0).is_none());
        table.end(runs[40]).unwrap();
        table.release(runs[40]);
        assert_eq!(table.begin(TIMER, ThreadToken::default(), 0).unwrap().index, 40);
    }

    #[test]
    fn objects_are_the_last_few_since_a_time() {
        let objects = Objects::new();
        for i in 1..=6 {
            objects.add(i, i * 10);
        }
        let mut seen: Vec<_> = objects.since(45).collect();
        seen.sort_unstable();
        assert_eq!(seen, [5, 6]);
    }
}
