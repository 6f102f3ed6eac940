//! A plain wheel behind a mutex: nine levels of 64 slots, doubly linked lists over
//! an arena, nothing checked.

use crate::work::Timers;
use std::hint::black_box;
use std::sync::Mutex;

const LEVELS: usize = 9;
const SLOTS: usize = 64;
const BITS: u32 = 6;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Entry {
    next: u32,
    prev: u32,
    slot: u32,
    tick: u64,
}

struct Wheel {
    now: u64,
    entries: Vec<Entry>,
    heads: [u32; LEVELS * SLOTS],
}

impl Wheel {
    fn push(&mut self, id: u32, tick: u64) {
        let level = ((tick.saturating_sub(self.now) | 1).ilog2() / BITS) as usize;
        let slot = level * SLOTS + (tick >> (level as u32 * BITS)) as usize % SLOTS;
        let next = std::mem::replace(&mut self.heads[slot], id);
        if next != NONE {
            self.entries[next as usize].prev = id;
        }
        self.entries[id as usize] = Entry { next, prev: NONE, slot: slot as u32, tick };
    }

    fn unlink(&mut self, id: u32) {
        let Entry { next, prev, slot, .. } = self.entries[id as usize];
        match prev {
            NONE => self.heads[slot as usize] = next,
            prev => self.entries[prev as usize].next = next,
        }
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
    }

    /// One tick: slots that begin there move down, the lowest expires.
    fn tick(&mut self) -> usize {
        self.now += 1;
        for level in 1..LEVELS {
            if !self.now.is_multiple_of(1 << (level as u32 * BITS)) {
                break;
            }
            let slot = level * SLOTS + (self.now >> (level as u32 * BITS)) as usize % SLOTS;
            let mut id = std::mem::replace(&mut self.heads[slot], NONE);
            while id != NONE {
                let Entry { next, tick, .. } = self.entries[id as usize];
                self.push(id, tick);
                id = next;
            }
        }
        let slot = self.now as usize % SLOTS;
        let mut id = std::mem::replace(&mut self.heads[slot], NONE);
        let mut count = 0;
        while id != NONE {
            id = black_box(self.entries[id as usize].next);
            count += 1;
        }
        count
    }
}

/// The wheel with its lock.
pub struct Plain(Mutex<Wheel>);

impl Timers for Plain {
    fn new(count: usize) -> Self {
        let empty = Entry { next: NONE, prev: NONE, slot: 0, tick: 0 };
        let heads = [NONE; LEVELS * SLOTS];
        Plain(Mutex::new(Wheel { now: 0, entries: vec![empty; count], heads }))
    }

    fn add(&mut self, id: u32, ms: u64) {
        self.0.lock().unwrap().push(id, ms);
    }

    fn modify(&mut self, id: u32, ms: u64) {
        let mut wheel = self.0.lock().unwrap();
        wheel.unlink(id);
        wheel.push(id, ms);
    }

    fn delete(&mut self, id: u32) {
        self.0.lock().unwrap().unlink(id);
    }

    fn expire(&mut self, ms: u64) -> usize {
        let mut wheel = self.0.lock().unwrap();
        (wheel.now..ms).map(|_| wheel.tick()).sum()
    }
}
