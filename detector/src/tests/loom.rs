//! Models: loom runs every interleaving of the protocols where threads meet.
//!
//! ```text
//! detector/loom            (the same as)
//! RUSTFLAGS="--cfg loom" cargo test --release -p deadwalk-detector --lib loom
//! ```
//! Models of three threads are bounded to three preemptions, which the loom
//! book recommends; those of two are complete.

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use crate::index_map::IndexMap;
use crate::note::Note;
use crate::run_word::{News, RunWord};
use crate::state::{Outcome, Phase, State, Verb};
use crate::sync::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};

fn bounded(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A run slot reduced to its words: one note with two fields.
struct Slot {
    word: RunWord,
    note: Note,
    fields: [AtomicU64; 2],
    /// Times the slot was given back.
    released: AtomicU32,
}

impl Slot {
    fn begun(generation: u32) -> Slot {
        let slot = Slot {
            word: RunWord::new(),
            note: Note::new(),
            fields: [AtomicU64::new(0), AtomicU64::new(0)],
            released: AtomicU32::new(0),
        };
        slot.begin(generation);
        slot
    }

    fn begin(&self, generation: u32) {
        self.note.reset(generation);
        self.word.begin(generation);
    }

    /// A writer: whether it announced, claimed and published.
    fn write(&self, generation: u32, value: u64) -> (bool, bool, bool) {
        if !self.word.announce(generation, News::Delete) {
            return (false, false, false);
        }
        let claimed = self.note.claim(generation);
        let mut published = false;
        if claimed {
            self.fields[0].store(value, Relaxed);
            self.fields[1].store(value, Relaxed);
            published = self.note.publish(generation);
        }
        self.release();
        (true, claimed, published)
    }

    /// The handler ends: the value that it found, if there was a note.
    fn leave(&self, generation: u32) -> Option<u64> {
        let noted = self.word.end();
        let found = (noted && self.note.take(generation)).then(|| {
            let [a, b] = [0, 1].map(|i: usize| self.fields[i].load(Relaxed));
            assert_eq!(a, b, "the note is of one writer");
            a
        });
        if noted {
            self.release();
        } else {
            self.released.fetch_add(1, Release);
        }
        found
    }

    fn release(&self) {
        if self.word.drop_hold() {
            // As `RunTable::give_back`.
            self.released.fetch_add(1, Release);
        }
    }
}

#[test]
fn loom_a_note_is_of_one_writer_and_found_if_published() {
    bounded(|| {
        let slot = Arc::new(Slot::begun(1));
        let writers = [7, 8].map(|value| {
            let slot = slot.clone();
            thread::spawn(move || slot.write(1, value))
        });
        let found = slot.leave(1);
        let results = writers.map(|w| w.join().unwrap());
        let published: Vec<u64> =
            results.iter().zip([7, 8]).filter(|(r, _)| r.2).map(|(_, v)| v).collect();
        assert_eq!(published, Vec::from_iter(found));
        assert_eq!(slot.released.load(Acquire), 1);
    });
}

#[test]
fn loom_a_slow_writer_never_reaches_the_next_run() {
    loom::model(|| {
        let slot = Arc::new(Slot::begun(1));
        let writer = {
            let slot = slot.clone();
            thread::spawn(move || slot.write(1, 7))
        };
        let first = slot.leave(1);
        let mut second = None;
        if slot.released.load(Acquire) == 1 {
            // The slot is free: the next run, on which somebody else writes.
            assert_eq!(slot.word.next_generation(), 2);
            slot.begin(2);
            assert_eq!(slot.write(2, 9), (true, true, true), "nobody is in the way");
            second = slot.leave(2);
            assert_eq!(second, Some(9));
        }
        let (_, _, published) = writer.join().unwrap();
        assert_eq!(published, first == Some(7));
        assert_eq!(slot.released.load(Acquire), 1 + u32::from(second.is_some()));
    });
}

/// A timer and a slot for each of its runs, as `enter`, `leave` and
/// `finish_delete` use them; the numbers are those of the record.
struct Timer {
    state: AtomicU64,
    runs: Vec<Slot>,
    /// `del.while_running`.
    landed: AtomicU32,
    /// Verdicts given.
    verdicts: AtomicU32,
    /// `FindingEntry::unresolved`.
    open: AtomicU32,
}

struct Entered {
    after_del: bool,
    landed_on: bool,
}

impl Timer {
    fn new(runs: usize) -> Arc<Timer> {
        let state = State { phase: Phase::Armed, periodic: true, generation: 1, ..State::VACANT };
        Arc::new(Timer {
            state: AtomicU64::new(state.pack()),
            // Not begun: generation 1 comes with the handler.
            runs: (0..runs)
                .map(|_| Slot {
                    word: RunWord::new(),
                    note: Note::new(),
                    fields: [AtomicU64::new(0), AtomicU64::new(0)],
                    released: AtomicU32::new(0),
                })
                .collect(),
            landed: AtomicU32::new(0),
            verdicts: AtomicU32::new(0),
            open: AtomicU32::new(0),
        })
    }

    /// As `TimerSlot::apply`.
    fn apply(&self, verb: Verb) -> (State, Outcome) {
        let mut word = self.state.load(Acquire);
        loop {
            let before = State::unpack(word);
            let (after, outcome) = before.step(verb).unwrap();
            match self.state.compare_exchange(word, after.pack(), AcqRel, Acquire) {
                Ok(_) => return (before, outcome),
                Err(now) => word = now,
            }
        }
    }

    /// As `Detector::enter` and `leave`.
    fn handler(&self, run: usize) -> Entered {
        let after_del = self.enter(run);
        self.leave(run, after_del)
    }

    fn enter(&self, run: usize) -> bool {
        let slot = &self.runs[run];
        slot.begin(1);
        let (before, outcome) = self.apply(Verb::Enter { due: true });
        if outcome.after_del
            && slot.word.start_late(before.phase == Phase::Retired)
            && slot.note.take(1)
        {
            self.uncount();
        }
        outcome.after_del
    }

    fn leave(&self, run: usize, after_del: bool) -> Entered {
        let landed_on = self.runs[run].leave(1).is_some();
        if landed_on {
            self.open.fetch_sub(1, Relaxed);
            self.verdicts.fetch_add(1, Relaxed);
        }
        self.apply(Verb::Leave);
        Entered { after_del, landed_on }
    }

    fn count(&self) {
        self.landed.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
    }

    fn uncount(&self) {
        self.landed.fetch_sub(1, Relaxed);
        self.open.fetch_sub(1, Relaxed);
    }

    /// As `Detector::finish_delete` and `land`, every landing counted: how many
    /// handlers were running, and how many notes were published.
    fn delete(&self) -> (u32, u32) {
        let (_, outcome) = self.apply(Verb::Delete);
        let mut published = 0;
        if outcome.runs_before > 0 {
            for slot in &self.runs {
                let Some(generation) = slot.word.on() else { continue };
                if !slot.word.announce(generation, News::Delete) {
                    continue;
                }
                if slot.note.claim(generation) {
                    self.count();
                    if slot.note.publish(generation) {
                        published += 1;
                    } else {
                        self.uncount();
                    }
                }
                slot.release();
            }
        }
        (u32::from(outcome.runs_before), published)
    }

    fn check(&self, handlers: &[Entered], running: u32, published: u32) {
        let landed_on = handlers.iter().filter(|h| h.landed_on).count() as u32;
        assert!(handlers.iter().all(|h| !(h.after_del && h.landed_on)), "landed and late");
        assert_eq!(self.landed.load(Relaxed), landed_on, "what is counted has landed");
        assert_eq!(self.verdicts.load(Relaxed), landed_on);
        assert_eq!(self.open.load(Relaxed), 0, "nothing is open, nothing went below zero");
        assert!(landed_on <= published && landed_on <= running);
        let late = handlers.iter().filter(|h| h.after_del).count() as u32;
        assert!(late < handlers.len() as u32 || landed_on == 0);
        let state = State::unpack(self.state.load(Relaxed));
        assert_eq!((state.phase, state.runs), (Phase::Retired, 0));
        for slot in &self.runs {
            assert_eq!(slot.released.load(Acquire), 1);
        }
    }
}

#[test]
fn loom_a_delete_lands_if_and_only_if_it_published_before_the_leave() {
    loom::model(|| {
        let timer = Timer::new(1);
        let handler = {
            let timer = timer.clone();
            thread::spawn(move || timer.handler(0))
        };
        let (running, published) = timer.delete();
        let entered = handler.join().unwrap();
        // With one handler there is nobody that could be late and noted.
        assert_eq!(published, u32::from(entered.landed_on));
        timer.check(&[entered], running, published);
    });
}

#[test]
fn loom_overlapping_handlers_and_a_delete() {
    bounded(|| {
        let timer = Timer::new(2);
        let handlers = [0, 1].map(|run| {
            let timer = timer.clone();
            thread::spawn(move || timer.handler(run))
        });
        let (running, published) = timer.delete();
        let entered = handlers.map(|h| h.join().unwrap());
        timer.check(&entered, running, published);
    });
}

/// One handler runs all the time, so that the delete looks for runs, while
/// another one enters, late or not, and leaves.
#[test]
fn loom_a_late_handler_is_never_landed_on() {
    loom::model(|| {
        let timer = Timer::new(2);
        assert!(!timer.enter(0));
        let other = {
            let timer = timer.clone();
            thread::spawn(move || timer.handler(1))
        };
        let (running, published) = timer.delete();
        let other = other.join().unwrap();
        let first = timer.leave(0, false);
        assert!(first.landed_on);
        timer.check(&[first, other], running, published);
    });
}

/// The deleter waits for what the handler posted, while the handler leaves:
/// one of the two sees the other (`deleter_waits`, `leave_to_aftermath`).
#[test]
fn loom_a_wait_is_seen_by_the_leaving_handler_or_in_the_aftermath() {
    loom::model(|| {
        let words = Arc::new((AtomicU64::new(0), AtomicU64::new(0), AtomicU32::new(0)));
        let handler = {
            let words = words.clone();
            thread::spawn(move || {
                let (waited, ready, settled) = &*words;
                ready.store(1, Release);
                loom::sync::atomic::fence(SeqCst);
                if waited.load(Acquire) == 1
                    && ready.compare_exchange(1, 0, AcqRel, Relaxed).is_ok()
                {
                    settled.fetch_add(1, Relaxed);
                }
            })
        };
        let (waited, ready, settled) = &*words;
        waited.store(1, Release);
        loom::sync::atomic::fence(SeqCst);
        if ready.load(Acquire) == 1 && ready.compare_exchange(1, 0, AcqRel, Relaxed).is_ok() {
            settled.fetch_add(1, Relaxed);
        }
        handler.join().unwrap();
        assert_eq!(settled.load(Relaxed), 1);
    });
}

fn map() -> Arc<IndexMap> {
    let cells: Vec<AtomicU32> = (0..4).map(|_| AtomicU32::new(0)).collect();
    Arc::new(IndexMap::new(cells.leak()))
}

#[test]
fn loom_index_map_keeps_what_two_threads_insert() {
    loom::model(|| {
        let map = map();
        let other = {
            let map = map.clone();
            thread::spawn(move || {
                assert!(map.insert(5, 1));
                assert_eq!(map.find(5, |i| i == 1), Some(1), "its own");
            })
        };
        assert!(map.insert(5, 2));
        assert_eq!(map.find(5, |i| i == 2), Some(2), "its own");
        other.join().unwrap();
        assert!(map.remove(5, 1) && map.remove(5, 2));
        assert_eq!(map.find(5, |_| true), None);
    });
}

#[test]
fn loom_index_map_finds_while_others_come_and_go() {
    loom::model(|| {
        let map = map();
        assert!(map.insert(5, 1) && map.insert(5, 2));
        let other = {
            let map = map.clone();
            thread::spawn(move || {
                assert!(map.remove(5, 1));
                assert!(map.insert(5, 3));
            })
        };
        assert_eq!(map.find(5, |i| i == 2), Some(2));
        let removed = [map.remove(5, 2), map.remove(5, 2)];
        assert_eq!(removed, [true, false]);
        other.join().unwrap();
        assert_eq!(map.find(5, |_| true), Some(3));
    });
}
