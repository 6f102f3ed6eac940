//! The word that owns a run slot: whether its run is on, who still writes there.
//!
//! ```text
//!   63        32 31          8   3     2     1    0
//!  | generation | holds       |       GONE NOTED  ON |
//! ```
//!
//! # Ground rules
//!
//! * The handler's thread begins and ends the run. Others [`announce`] a note,
//!   which fails once the run has ended, and *hold* the slot until they
//!   [`drop_hold`]: a slow writer never writes into the slot's next run.
//! * GONE says that the handler started after its timer was deleted. A delete
//!   whose effect came before the start finds the bit, or its note is found by
//!   the thread that sets it: both act on this one word, so one comes first.
//! * The loops repeat only if another thread got something done.
//!
//! [`announce`]: RunWord::announce
//! [`drop_hold`]: RunWord::drop_hold

use crate::sync::{AtomicU64, Ordering};

const ON: u64 = 1;
const NOTED: u64 = 2;
const GONE: u64 = 4;
const HOLD: u64 = 1 << 8;
const HOLDS: u64 = 0xffff_ff00;

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The timer was deleted or disarmed.
    Delete,
    /// Its data was freed.
    Freed,
}

/// The word; see the module's head.
#[derive(Debug)]
pub struct RunWord(AtomicU64);

impl RunWord {
    /// No run, generation 0.
    #[cfg(not(loom))]
    pub const fn new() -> RunWord {
        RunWord(AtomicU64::new(0))
    }

    /// No run, generation 0.
    #[cfg(loom)]
    pub fn new() -> RunWord {
        RunWord(AtomicU64::new(0))
    }

    /// The generation that the next run will have. Only the slot's owner calls this.
    pub fn next_generation(&self) -> u32 {
        ((self.0.load(Ordering::Relaxed) >> 32) as u32).wrapping_add(1)
    }

    /// Publishes a run.
    pub fn begin(&self, generation: u32) {
        self.0.store((generation as u64) << 32 | HOLD | ON, Ordering::Release);
    }

    /// The generation of the run that is on.
    pub fn on(&self) -> Option<u32> {
        let word = self.0.load(Ordering::Acquire);
        (word & ON != 0).then_some((word >> 32) as u32)
    }

    /// Is a run on that others announced notes to?
    #[cfg(not(loom))]
    pub fn is_noted(&self) -> bool {
        self.0.load(Ordering::Acquire) & (ON | NOTED) == ON | NOTED
    }

    /// Announces a note to the run of `generation`, and holds the slot.
    /// `false`: it has left, or started after what the note is about.
    pub fn announce(&self, generation: u32, news: News) -> bool {
        let refused = match news {
            News::Delete => GONE,
            News::Freed => 0,
        };
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            if word & ON == 0 || (word >> 32) as u32 != generation || word & refused != 0 {
                return false;
            }
            let next = (word | NOTED) + HOLD;
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// The run's thread: its handler started after a disarm, or after the
    /// delete. Returns whether there may be notes from before that was known;
    /// whoever announces one later sees what was stored before this call.
    pub fn start_late(&self, deleted: bool) -> bool {
        let bit = if deleted { GONE } else { 0 };
        self.0.fetch_or(bit, Ordering::AcqRel) & NOTED != 0
    }

    /// The run's thread: ends the run. Returns whether there may be notes; if
    /// not, nobody else holds the slot, nor will.
    pub fn end(&self) -> bool {
        self.0.fetch_and(!ON, Ordering::AcqRel) & NOTED != 0
    }

    /// Ends a hold, the run's own or an announcer's; `true` for the last one,
    /// which gives the slot back.
    pub fn drop_hold(&self) -> bool {
        if self.0.load(Ordering::Relaxed) & HOLDS == 0 {
            return false; // cleared in a fork child that forked in the middle
        }
        self.0.fetch_sub(HOLD, Ordering::AcqRel) & HOLDS == HOLD
    }

    /// No run is on and nobody holds the slot; the generation stays.
    pub fn clear(&self) {
        let generation = self.0.load(Ordering::Relaxed) >> 32;
        self.0.store(generation << 32, Ordering::Relaxed);
    }
}

impl Default for RunWord {
    fn default() -> Self {
        RunWord::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_hold_gives_the_slot_back() {
        let word = RunWord::new();
        let generation = word.next_generation();
        assert_eq!(word.on(), None);
        word.begin(generation);
        assert_eq!(word.on(), Some(generation));
        assert!(word.announce(generation, News::Freed) && word.announce(generation, News::Delete));
        assert!(!word.announce(generation + 1, News::Freed));
        assert!(word.end() && !word.announce(generation, News::Freed));
        assert!(!word.drop_hold() && !word.drop_hold() && word.drop_hold());
        assert_eq!(word.next_generation(), generation + 1);
    }

    #[test]
    fn a_late_start_refuses_what_came_before_it() {
        for deleted in [false, true] {
            let word = RunWord::new();
            word.begin(1);
            assert!(!word.start_late(deleted));
            assert_eq!(word.announce(1, News::Delete), !deleted);
            assert!(word.announce(1, News::Freed));
            assert!(word.start_late(deleted), "noted by now");
        }
    }
}
