//! The timer wheel: which entry expires when, and in what order.
//!
//! Pure: no clock, no lock, no thread, no allocation. Time is a 64-bit tick that
//! never wraps; the caller maps jiffies to it and says how far it has come.
//! Entries are numbers; their links are injected ([`Links`]).
//!
//! ```text
//!  level 10  [ . . . . . . . . . . . . . . . . ]             one slot = 64^10 ticks
//!    ...
//!  level 2   [ . . . . # . . . . . . . ... . . ]  64 slots, one slot = 4096 ticks
//!                      | now enters the slot: cascade
//!  level 1   [ . . # . . # . . . . . . ... . . ]  64 slots, one slot =   64 ticks
//!                  | cascade
//!  level 0   [ . . . # # . # . . . . . ... . . ]  64 slots, one slot =    1 tick
//!                    | now enters the slot: splice (one store)
//!  expired   # # #  -> pop_expired
//! ```
//!
//! A tick is read as eleven groups of six bits. An entry's level is the highest
//! group in which its tick differs from `now`, its slot that group's value. So the
//! place of an entry follows from (`expires`, `now`) alone, and hence
//!
//! * entries of one tick are in one list at any time, in the order in which they
//!   were queued: cascades move lists from head to tail and keep it;
//! * all of level n expires before any of level n + 1, so the next thing to happen
//!   is the lowest slot of the lowest level in use, and `now` can jump to it.
//!
//! # Ground rules
//!
//! One caller at a time: `&mut` says so; the engine holds its base's lock. Between
//! two calls nobody changes the links of queued entries. Handlers run between
//! [`Wheel::pop_expired`] calls and may add, move and remove anything, what waits
//! in `expired` included.

mod list;
#[cfg(test)]
mod tests;

use core::num::NonZeroU64;

use list::List;
pub use list::{Link, Links};

/// Bits of a tick that one level resolves: a level's occupancy is one word.
const GROUP_BITS: u32 = 6;
/// Slots of a level.
const SLOTS: usize = 1 << GROUP_BITS;
/// Levels that cover every difference of two ticks.
const LEVELS: usize = u64::BITS.div_ceil(GROUP_BITS) as usize;
/// Where time stops: one tick is left, so that "the next tick" always exists. An
/// entry there never expires.
const LAST_TICK: u64 = u64::MAX - 1;

/// What [`Wheel::add`] made of the tick it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// The entry is queued for that tick.
    AsAsked,
    /// That tick was now or past; the entry is queued for the next one.
    NextTick,
}

/// A hierarchical timer wheel, 11 levels of 64 slots: every 64-bit tick.
///
/// `add`, `remove` and `pop_expired` are O(1); a tick's entries move down at most
/// once per level before they expire. An entry number is any `u32` but `u32::MAX`.
///
/// # Invariants
///
/// 1. `expired` holds exactly the queued entries with `expires == now`, the slots
///    those with `expires > now`; `now <= LAST_TICK`.
/// 2. An entry is in the slot that [`place`](Self::place) computes.
/// 3. Bit s of `occupied[n]` is set exactly if `slots[n][s]` is not empty.
/// 4. At each level the slots up to and including `now`'s are empty (follows from
///    1 and 2).
/// 5. `len` is the number of entries in all lists, `expired` included.
///
/// 3 to 5 and the lists' own are checked by the tests' `Wheel::check`, 4 by
/// `debug_assert_invariants` at the end of every change.
///
/// ```
/// use deadwalk_timer::wheel::{Link, Queued, Wheel};
///
/// let mut links = vec![Link::new(); 2];
/// let mut wheel = Wheel::new(1000);
/// assert_eq!(wheel.add(&mut links, 0, 1005), Queued::AsAsked);
/// assert_eq!(wheel.add(&mut links, 1, 900), Queued::NextTick);
/// assert!(wheel.advance(&mut links, 2000));
/// assert_eq!((wheel.now(), wheel.pop_expired(&mut links)), (1001, Some(1)));
/// assert!(wheel.remove(&mut links, 0));
/// assert!(!wheel.advance(&mut links, 2000));
/// assert_eq!(wheel.now(), 2000);
/// ```
#[derive(Debug)]
pub struct Wheel {
    now: u64,
    len: usize,
    /// The entries of tick `now` that were not popped yet.
    expired: List,
    occupied: [u64; LEVELS],
    slots: [[List; SLOTS]; LEVELS],
    /// Slots entered so far: what a jump costs.
    #[cfg(test)]
    entered: u64,
}

/// A list of the wheel, other than `expired`.
#[derive(Clone, Copy)]
struct Place {
    level: usize,
    slot: usize,
}

impl Wheel {
    /// An empty wheel at tick `now`.
    pub const fn new(now: u64) -> Self {
        Self {
            now: if now < LAST_TICK { now } else { LAST_TICK },
            len: 0,
            expired: List::EMPTY,
            occupied: [0; LEVELS],
            slots: [[List::EMPTY; SLOTS]; LEVELS],
            #[cfg(test)]
            entered: 0,
        }
    }

    /// The tick up to which everything has been spliced off.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Number of queued entries, those in `expired` included.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if nothing is queued.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Queues entry `id` for tick `expires`, behind the others of that tick.
    ///
    /// A tick that is not after `now` becomes the next one: what a handler adds is
    /// never run in the pass that runs the handler. An entry that is queued is
    /// moved, which is [`remove`](Self::remove), then `add` (`mod_timer`).
    pub fn add<L: Links + ?Sized>(&mut self, links: &mut L, id: u32, expires: u64) -> Queued {
        self.remove(links, id);
        self.insert(links, id, expires)
    }

    /// [`add`](Self::add) of an entry that is not queued.
    #[inline]
    pub fn insert<L: Links + ?Sized>(&mut self, links: &mut L, id: u32, expires: u64) -> Queued {
        debug_assert!(!links.link(id).is_queued());
        let (tick, queued) = if expires > self.now {
            (expires, Queued::AsAsked)
        } else {
            (self.now + 1, Queued::NextTick)
        };
        self.place_in(links, id, tick);
        self.len += 1;
        self.debug_assert_invariants();
        queued
    }

    /// Takes entry `id` off the wheel, `expired` included. False if it was not
    /// queued.
    #[inline]
    pub fn remove<L: Links + ?Sized>(&mut self, links: &mut L, id: u32) -> bool {
        let link = core::mem::take(links.link(id));
        if !link.is_queued() {
            return false;
        }
        if link.tick() <= self.now {
            self.expired.unlink(links, link);
        } else {
            let Place { level, slot } = self.place(link.tick());
            let list = &mut self.slots[level][slot];
            list.unlink(links, link);
            self.occupied[level] &= !(u64::from(list.is_empty()) << slot);
        }
        self.len -= 1;
        self.debug_assert_invariants();
        true
    }

    /// Moves to the next tick, at most `until`, at which something expires, and
    /// puts that tick's entries on the expired list; they stay queued until they
    /// are popped. True if there are any.
    ///
    /// False: nothing expires up to `until`, and `now` is `until`. Stays where it
    /// is while the expired list is not empty, and if `until` is past.
    ///
    /// Jumps: the cost is that of the cascades on the way, at most one move per
    /// entry and level, whatever the distance.
    pub fn advance<L: Links + ?Sized>(&mut self, links: &mut L, until: u64) -> bool {
        while self.expired.is_empty() {
            match self.next_slot() {
                Some((place, tick)) if tick <= until.min(LAST_TICK) => {
                    self.enter(links, place, tick);
                }
                // No slot in use begins before `until`, so no entry changes its place.
                _ => {
                    self.now = self.now.max(until.min(LAST_TICK));
                    self.debug_assert_invariants();
                    return false;
                }
            }
        }
        true
    }

    /// Takes the oldest entry off the expired list.
    pub fn pop_expired<L: Links + ?Sized>(&mut self, links: &mut L) -> Option<u32> {
        if self.expired.is_empty() {
            return None;
        }
        let id = self.expired.head();
        self.remove(links, id);
        Some(id)
    }

    /// A tick up to which nothing expires: exact if less than 64 ticks away and in
    /// the same block of 64, else the tick of a cascade on the way. `now` while the
    /// expired list is not empty, `None` if nothing is queued.
    #[inline]
    pub fn next_expiry(&self) -> Option<u64> {
        if !self.expired.is_empty() {
            return Some(self.now);
        }
        self.next_slot().map(|(_, tick)| tick)
    }

    /// Takes everything off the wheel; `now` stays. O(n).
    pub fn clear<L: Links + ?Sized>(&mut self, links: &mut L) {
        for list in self.slots.as_flattened_mut().iter_mut().chain([&mut self.expired]) {
            list.drain(links, |links, id, _| *links.link(id) = Link::new());
        }
        self.occupied = [0; LEVELS];
        self.len = 0;
    }

    /// The place of an entry for `tick`, which is after `now`.
    #[inline]
    fn place(&self, tick: u64) -> Place {
        // `| 1` changes no level and tells the compiler that a bit is set.
        let level = (((tick ^ self.now) | 1).ilog2() / GROUP_BITS) as usize;
        Place { level, slot: group(tick, level) }
    }

    /// The slot that `now` enters next, and the tick at which it does.
    #[inline]
    fn next_slot(&self) -> Option<(Place, u64)> {
        let in_use = |(level, &slots)| NonZeroU64::new(slots).map(|slots| (level, slots));
        let (level, slots) = self.occupied.iter().enumerate().find_map(in_use)?;
        let slot = slots.trailing_zeros() as usize;
        let shift = level as u32 * GROUP_BITS;
        let block = (self.now >> shift) & !(SLOTS as u64 - 1);
        Some((Place { level, slot }, (block | slot as u64) << shift))
    }

    /// Moves `now` to the first tick of a slot, `tick`, and what is in the slot down.
    fn enter<L: Links + ?Sized>(&mut self, links: &mut L, place: Place, tick: u64) {
        let Place { level, slot } = place;
        self.now = tick;
        self.occupied[level] &= !(1 << slot);
        let mut list = core::mem::replace(&mut self.slots[level][slot], List::EMPTY);
        if level == 0 {
            self.expired = list;
        } else {
            list.drain(links, |links, id, tick| self.place_in(links, id, tick));
        }
        #[cfg(test)]
        {
            self.entered += 1;
        }
        self.debug_assert_invariants();
    }

    /// Puts an entry at the end of its list; `tick` is not before `now`.
    #[inline]
    fn place_in<L: Links + ?Sized>(&mut self, links: &mut L, id: u32, tick: u64) {
        if tick <= self.now {
            self.expired.push(links, id, tick);
        } else {
            let Place { level, slot } = self.place(tick);
            self.slots[level][slot].push(links, id, tick);
            self.occupied[level] |= 1 << slot;
        }
    }

    /// Invariant 4: a slot `now` is in or has left would never be entered again.
    fn debug_assert_invariants(&self) {
        debug_assert!(self.now <= LAST_TICK);
        debug_assert!((0..LEVELS).all(|level| {
            self.occupied[level] & (u64::MAX >> (SLOTS - 1 - group(self.now, level))) == 0
        }));
    }
}

/// Group `level` of a tick.
#[inline]
const fn group(tick: u64, level: usize) -> usize {
    (tick >> (level as u32 * GROUP_BITS)) as usize & (SLOTS - 1)
}
