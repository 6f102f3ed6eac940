//! What is known of a timer, outside the program's memory.
//!
//! What every call needs is one cache line, the [`Record`]; what only a running
//! handler, a finding or the detector needs is [`Rare`], and few timers have it.

use crate::sites::SiteId;
use crate::wheel::Link;

/// The number of no record, and of nothing rare.
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
    /// Start of the heap block that held the timer as it began, 0 for none.
    pub block: usize,
    /// `running` in the storage was set as it began: there is a flag to wait on.
    pub has_flag: bool,
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

/// What few timers have.
#[derive(Clone, Copy, Debug)]
pub struct Rare<T, R> {
    /// Its handler, if it runs.
    pub run: Option<Run<R>>,
    /// The detector's name, while it has one.
    pub timer: Option<T>,
    /// The name is kept while the timer is: something may yet be said of it.
    pub keeps_name: bool,
    /// The argument is in a heap block, which the detector watches by the name.
    pub has_data: bool,
    /// The open `rearm-after-del`.
    pub rearm_finding: Option<u32>,
}

impl<T, R> Rare<T, R> {
    pub(crate) const NOTHING: Rare<T, R> =
        Rare { run: None, timer: None, keeps_name: false, has_data: false, rearm_finding: None };

    pub(crate) const fn is_nothing(&self) -> bool {
        self.run.is_none() && self.timer.is_none() && self.rearm_finding.is_none()
    }
}

/// Found by its address; an orphan is not.
pub(crate) const MAPPED: u8 = 1;
/// One of our initialisers saw it: there is more than 40 bytes.
pub(crate) const FULL: u8 = 2;
/// It was shut down: not to be armed.
pub(crate) const SHUTDOWN: u8 = 4;
/// Its handler ended without `timer_exit`, which a 2.3 kernel waits for.
pub(crate) const STUCK: u8 = 8;
/// A heap block holds it.
pub(crate) const IN_BLOCK: u8 = 16;
/// It stands armed by its running handler's call ...
pub(crate) const READD_BY_HANDLER: u8 = 32;
/// ... by another thread's while the handler ran.
pub(crate) const READD_BY_OTHER: u8 = 64;

/// What is known of a timer.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Record {
    /// Its place on a wheel.
    pub link: Link,
    /// Its address.
    pub addr: usize,
    /// For when it was armed last, in jiffies. Of one that is not armed and is
    /// deleted over and over: since when, ns.
    pub expires: usize,
    /// The handler when it was armed last.
    pub function: usize,
    /// The handler's argument then.
    pub data: usize,
    /// Which timer of this number and address it is; 0 for none.
    pub generation: u32,
    /// The number of what it has that few have; of a vacant record, the next vacant
    /// one's.
    pub(crate) rare: u32,
    /// Who armed it last.
    pub arm_site: SiteId,
    /// Who deleted it last.
    pub del_site: SiteId,
    /// Deletes in a row that found it neither pending nor running.
    pub futile_count: u16,
    /// Its wheel.
    pub cpu: u8,
    flags: u8,
}

const _: () = assert!(size_of::<Record>() == 64);

impl Record {
    /// A new timer's.
    pub(crate) const fn new(addr: usize, generation: u32, flags: u8) -> Record {
        Record {
            link: Link::new(),
            addr,
            expires: 0,
            function: 0,
            data: 0,
            generation,
            rare: NONE,
            arm_site: 0,
            del_site: 0,
            futile_count: 0,
            cpu: 0,
            flags,
        }
    }

    /// Is it on a wheel?
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.link.is_queued()
    }

    /// Is one of these flags set?
    #[inline]
    pub(crate) const fn is(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// Are of these flags just those in `want` set?
    #[inline]
    pub(crate) const fn has_of(&self, flags: u8, want: u8) -> bool {
        self.flags & flags == want
    }

    /// Sets flags or takes them back.
    #[inline]
    pub(crate) const fn set(&mut self, flags: u8, on: bool) {
        self.flags = self.flags & !flags | if on { flags } else { 0 };
    }

    /// The call while its handler ran that it stands armed by, if it does.
    #[inline]
    pub(crate) fn readd(&self) -> Option<Readd> {
        if self.is(READD_BY_HANDLER) {
            Some(Readd::ByHandler)
        } else if self.is(READD_BY_OTHER) {
            Some(Readd::ByOther)
        } else {
            None
        }
    }

    /// Notes by which call, made while its handler ran, it stands armed.
    #[inline]
    pub(crate) const fn set_readd(&mut self, readd: Option<Readd>) {
        self.set(READD_BY_HANDLER, matches!(readd, Some(Readd::ByHandler)));
        self.set(READD_BY_OTHER, matches!(readd, Some(Readd::ByOther)));
    }
}
