//! The links of one entry, and a FIFO list of entries.
//!
//! A list is doubly linked by entry number, so that an entry in its middle can
//! be taken out without a walk. The links lie with whoever owns the entries, in
//! one record per entry beside its other fields: the list is two numbers.

/// The entry number that is none: the end of a list.
pub(super) const NIL: u32 = u32::MAX;

/// What an entry's record holds for the wheel. 16 bytes.
///
/// Where an entry is queued follows from its tick and the wheel's `now`, so it
/// is not stored. No entry expires at tick 0 (the wheel never looks back), so
/// tick 0 says "in no list".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    expires: u64,
    prev: u32,
    next: u32,
}

const _: () = assert!(size_of::<Link>() == 16);

impl Link {
    /// The link of an entry that is in no list.
    pub const fn new() -> Self {
        Self { expires: 0, prev: NIL, next: NIL }
    }

    /// True from `add` until `remove` or `pop_expired`: `timer_pending`.
    pub const fn is_queued(&self) -> bool {
        self.expires != 0
    }

    /// The tick the entry is queued for, which is later than the one asked for
    /// if that had passed.
    pub const fn expires(&self) -> Option<u64> {
        if self.is_queued() { Some(self.expires) } else { None }
    }

    /// The tick, 0 in no list.
    pub(super) const fn tick(&self) -> u64 {
        self.expires
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the links of a wheel's entries are.
///
/// The wheel asks for the entry it is called with and for entries it was called
/// with before and that are still queued, for no others. An implementation gives
/// the same link for the same number at every call. What the wheel left in a link
/// is changed by nobody else while the entry is queued.
pub trait Links {
    /// The link of entry `id`.
    fn link(&mut self, id: u32) -> &mut Link;
}

impl Links for [Link] {
    fn link(&mut self, id: u32) -> &mut Link {
        &mut self[id as usize]
    }
}

impl Links for Vec<Link> {
    fn link(&mut self, id: u32) -> &mut Link {
        &mut self[id as usize]
    }
}

/// A list: first in, first out, and anything out from anywhere.
///
/// # Invariants
///
/// 1. Both ends are [`NIL`] (empty), or neither is.
/// 2. From `head` along `next`, and from `tail` along `prev`, are the same
///    entries, in opposite order; both ways end with `NIL`.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    head: u32,
    tail: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { head: NIL, tail: NIL };

    pub(super) const fn is_empty(&self) -> bool {
        self.head == NIL
    }

    /// The oldest entry, or [`NIL`].
    pub(super) const fn head(&self) -> u32 {
        self.head
    }

    /// Queues `id`, which is in no list, behind all others.
    pub(super) fn push<L: Links + ?Sized>(&mut self, links: &mut L, id: u32, tick: u64) {
        let last = self.tail;
        *links.link(id) = Link { expires: tick, prev: last, next: NIL };
        if last == NIL {
            self.head = id;
        } else {
            links.link(last).next = id;
        }
        self.tail = id;
    }

    /// Takes the entry whose link reads `link` out of this list, which it is in.
    /// Its own link is left as it was.
    pub(super) fn unlink<L: Links + ?Sized>(&mut self, links: &mut L, link: Link) {
        if link.prev == NIL {
            self.head = link.next;
        } else {
            links.link(link.prev).next = link.next;
        }
        if link.next == NIL {
            self.tail = link.prev;
        } else {
            links.link(link.next).prev = link.prev;
        }
    }

    /// Empties the list and hands its entries to `each`, oldest first, with the
    /// ticks they are queued for; `each` may link them anew.
    pub(super) fn drain<L: Links + ?Sized>(
        &mut self,
        links: &mut L,
        mut each: impl FnMut(&mut L, u32, u64),
    ) {
        let mut id = core::mem::replace(self, Self::EMPTY).head;
        while id != NIL {
            let link = *links.link(id);
            each(links, id, link.expires);
            id = link.next;
        }
    }

    /// The entries, oldest first; panics if the list's invariants do not hold.
    #[cfg(test)]
    pub(super) fn entries(&self, links: &[Link]) -> Vec<u32> {
        let (mut entries, mut before, mut id) = (Vec::new(), NIL, self.head);
        while id != NIL {
            assert!(entries.len() < links.len(), "the list is a circle");
            let link = links[id as usize];
            assert_eq!(link.prev, before, "entry {id}");
            assert!(link.is_queued(), "entry {id}");
            entries.push(id);
            (before, id) = (id, link.next);
        }
        assert_eq!(self.tail, before);
        entries
    }
}
