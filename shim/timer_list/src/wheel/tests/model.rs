//! The reference: an ordered map of (tick, order of queueing), driven beside a wheel.

use std::collections::BTreeMap;

use crate::wheel::{LAST_TICK, LEVELS, Link, List, Queued, SLOTS, Wheel, group};

impl Wheel {
    /// Panics if one of the wheel's invariants does not hold.
    pub fn check(&self, links: &[Link]) {
        let mut count = 0;
        let mut check = |list: &List, fits: &dyn Fn(u64) -> bool| {
            for id in list.entries(links) {
                count += 1;
                let tick = links[id as usize].tick();
                assert!(fits(tick), "entry {id} for {tick}, now {}", self.now);
            }
        };
        check(&self.expired, &|tick| tick == self.now);
        for (level, slots) in self.slots.iter().enumerate() {
            for (slot, list) in slots.iter().enumerate() {
                let bit = self.occupied[level] >> slot & 1 != 0;
                assert_eq!(bit, !list.is_empty(), "level {level} slot {slot}");
                assert!(!bit || slot > group(self.now, level), "level {level} slot {slot}");
                // Said anew, not by `place`: the groups above are those of `now`.
                check(list, &|tick| {
                    group(tick, level) == slot
                        && (level + 1..LEVELS).all(|up| group(tick, up) == group(self.now, up))
                });
            }
        }
        assert_eq!(count, self.len);
        assert_eq!(count, links.iter().filter(|link| link.is_queued()).count());
        assert!(SLOTS == 64 && self.now <= LAST_TICK);
    }
}

/// A wheel and its reference; every call compares the two.
pub struct Pair {
    pub wheel: Wheel,
    pub links: Vec<Link>,
    /// (tick, order of queueing) to entry.
    queue: BTreeMap<(u64, u64), u32>,
    keys: Vec<Option<(u64, u64)>>,
    now: u64,
    sequence: u64,
}

impl Pair {
    pub fn new(now: u64, entries: usize) -> Self {
        Self {
            wheel: Wheel::new(now),
            links: vec![Link::new(); entries],
            queue: BTreeMap::new(),
            keys: vec![None; entries],
            now,
            sequence: 0,
        }
    }

    /// Queues an entry, or moves it if it is queued.
    pub fn add(&mut self, id: u32, expires: u64) {
        if let Some(key) = self.keys[id as usize] {
            self.queue.remove(&key);
        }
        let key = (expires.max(self.now + 1), self.sequence);
        self.sequence += 1;
        self.queue.insert(key, id);
        self.keys[id as usize] = Some(key);

        let queued = self.wheel.add(&mut self.links, id, expires);
        assert_eq!(queued == Queued::NextTick, expires <= self.now);
        self.compare();
    }

    pub fn remove(&mut self, id: u32) {
        let key = self.keys[id as usize].take();
        if let Some(key) = key {
            self.queue.remove(&key);
        }
        assert_eq!(self.wheel.remove(&mut self.links, id), key.is_some());
        assert!(!self.links[id as usize].is_queued());
        self.compare();
    }

    /// Moves both; true if something expired.
    pub fn advance(&mut self, until: u64) -> bool {
        let first = self.first().filter(|&tick| tick <= until.max(self.now));
        self.now = first.unwrap_or(until).max(self.now);
        assert_eq!(self.wheel.advance(&mut self.links, until), first.is_some());
        self.compare();
        first.is_some()
    }

    /// The next entry of the tick that both are at.
    pub fn pop(&mut self) -> Option<u32> {
        let id = match self.queue.first_key_value() {
            Some((&(tick, _), &id)) if tick <= self.now => {
                assert_eq!(self.links[id as usize].expires(), Some(self.now));
                self.keys[id as usize] = None;
                self.queue.pop_first();
                Some(id)
            }
            _ => None,
        };
        assert_eq!(self.wheel.pop_expired(&mut self.links), id, "at {}", self.now);
        self.compare();
        id
    }

    pub fn check(&self) {
        self.wheel.check(&self.links);
        for (link, key) in self.links.iter().zip(&self.keys) {
            assert_eq!(link.expires(), key.map(|(tick, _)| tick));
        }
    }

    fn first(&self) -> Option<u64> {
        self.queue.first_key_value().map(|(&(tick, _), _)| tick)
    }

    /// What can be compared after every call.
    fn compare(&self) {
        assert_eq!(self.wheel.now(), self.now);
        assert_eq!(self.wheel.len(), self.queue.len());
        match (self.first(), self.wheel.next_expiry()) {
            (None, None) => {}
            (Some(first), Some(next)) if first <= self.now => assert_eq!(next, self.now),
            (Some(first), Some(next)) => {
                assert!(self.now < next && next <= first, "{} {next} {first}", self.now);
                assert!(next == first || first - self.now >= 64 || first / 64 != self.now / 64);
            }
            (first, next) => panic!("next expiry {next:?} for {first:?}"),
        }
    }
}
