//! What is known of a timer, outside the program's memory.

use crate::wheel::Link;

/// The end of a block's chain.
pub(crate) const NONE: u32 = u32::MAX;

/// A record, safe to keep beyond its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef {
    /// Its number.
    pub id: u32,
    /// Which timer of that number.
    pub generation: u32,
}

/// Who armed a timer again while its handler ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readd {
    /// The handler.
    ByHandler,
    /// Another thread.
    ByOther,
}

/// A handler that runs.
#[derive(Clone, Copy, Debug)]
pub struct Run<R> {
    /// Its thread.
    pub thread: u32,
    /// The detector's name, if it had room.
    pub token: Option<R>,
    /// Which run it is of all.
    pub sequence: u64,
    /// The handler.
    pub handler: usize,
    /// A delete took effect meanwhile and did not wait for it.
    pub is_deleted: bool,
    /// The handler armed its timer and then deleted it.
    pub took_back: bool,
    /// The timer's storage was freed meanwhile: nothing touches it any more.
    pub is_gone: bool,
    /// ... by the handler.
    pub freed_own: bool,
    /// `timer_exit` was called.
    pub has_exited: bool,
    /// Deletes that wait for it.
    pub waiters: u32,
}

/// What is known of a timer.
#[derive(Debug)]
pub struct Record<T, R> {
    /// Its place on a wheel.
    pub link: Link,
    /// Its address.
    pub addr: usize,
    /// Which timer of this number and address it is.
    pub generation: u32,
    /// Found by its address; an orphan is not.
    pub is_mapped: bool,
    /// Its wheel.
    pub cpu: usize,
    /// One of our initialisers saw it: there is more than 40 bytes.
    pub is_full: bool,
    /// It was shut down: not to be armed.
    pub is_shutdown: bool,
    /// Its handler ended without `timer_exit`, which a 2.3 kernel waits for.
    pub is_stuck: bool,
    /// Jiffies, handler and argument when it was armed last.
    pub armed_with: (usize, usize, usize),
    /// It stands armed by a call that came while its handler ran.
    pub readd: Option<Readd>,
    /// Its handler, if it runs.
    pub run: Option<Run<R>>,
    /// Start of the heap block that holds it, 0 for none.
    pub block: usize,
    pub(crate) next_in_block: u32,
    pub(crate) prev_in_block: u32,
    /// The detector's name, once it has one.
    pub timer: Option<T>,
    /// The open `rearm-after-del`.
    pub rearm_finding: Option<u32>,
    /// Deletes in a row that found it neither pending nor running.
    pub futile_count: u32,
    /// When the first of them was, ns.
    pub futile_since_ns: u64,
}

impl<T, R> Record<T, R> {
    /// Is it on a wheel?
    pub fn is_pending(&self) -> bool {
        self.link.is_queued()
    }

    /// Its handler, if that runs on another thread than `me`.
    pub fn running_elsewhere(&mut self, me: u32) -> Option<&mut Run<R>> {
        self.run.as_mut().filter(|run| run.thread != me)
    }

    /// Its handler, if that runs on thread `me`.
    pub fn running_here(&mut self, me: u32) -> Option<&mut Run<R>> {
        self.run.as_mut().filter(|run| run.thread == me)
    }
}
