//! A note that one thread leaves on another thread's run.
//!
//! A deleter writes "I landed on you" on the run of a handler, a thread that
//! frees writes "your data is gone"; the handler reads its notes when it
//! leaves. Neither side may ever wait for the other: a handler may be a signal
//! handler that interrupted the very writer.
//!
//! ```text
//!             claim            publish
//!   Empty ------------> Claimed ---------> Written
//!     |                    |                  |
//!     `--------------------+------------------+---- take ----> Taken
//! ```
//! `publish` fails if the run left first: then nothing landed. The word carries
//! the run's generation, so a writer that was slow across a reuse of the slot
//! fails too.

use crate::sync::{AtomicU64, Ordering};

const EMPTY: u64 = 0;
const CLAIMED: u64 = 1;
const WRITTEN: u64 = 2;
const TAKEN: u64 = 3;

const fn word(generation: u32, state: u64) -> u64 {
    (generation as u64) << 32 | state
}

/// The state word of a note; the fields it guards stand beside it.
#[derive(Debug)]
pub struct Note(AtomicU64);

impl Note {
    /// An empty note of generation 0.
    #[cfg(not(loom))]
    pub const fn new() -> Note {
        Note(AtomicU64::new(0))
    }

    /// An empty note of generation 0.
    #[cfg(loom)]
    pub fn new() -> Note {
        Note(AtomicU64::new(0))
    }

    /// Makes the note writable for a new run. Only the run's own thread calls
    /// this, before the run is published.
    pub fn reset(&self, generation: u32) {
        self.0.store(word(generation, EMPTY), Ordering::Relaxed);
    }

    /// Wins the right to write the fields, if nobody has and the run is on.
    pub fn claim(&self, generation: u32) -> bool {
        self.0
            .compare_exchange(
                word(generation, EMPTY),
                word(generation, CLAIMED),
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Publishes the fields after [`claim`](Self::claim). `false`: the run left first.
    pub fn publish(&self, generation: u32) -> bool {
        self.0
            .compare_exchange(
                word(generation, CLAIMED),
                word(generation, WRITTEN),
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Is it published, and its run still on?
    #[cfg(not(loom))]
    pub fn is_written(&self, generation: u32) -> bool {
        self.0.load(Ordering::Acquire) == word(generation, WRITTEN)
    }

    /// Closes the note; `true` if it was published. The run's thread calls this
    /// once, when it leaves.
    pub fn take(&self, generation: u32) -> bool {
        self.0.swap(word(generation, TAKEN), Ordering::AcqRel) == word(generation, WRITTEN)
    }
}

impl Default for Note {
    fn default() -> Self {
        Note::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_writer_then_the_reader() {
        let note = Note::new();
        note.reset(5);
        assert!(note.claim(5) && !note.claim(5) && !note.claim(4));
        assert!(note.publish(5));
        assert!(note.take(5) && !note.take(5));
        assert!(!note.claim(5));
    }

    #[test]
    fn a_run_that_left_first_makes_publish_fail() {
        let note = Note::new();
        note.reset(1);
        assert!(note.claim(1));
        assert!(!note.take(1));
        assert!(!note.publish(1));
        note.reset(2);
        assert!(!note.claim(1));
    }
}
