//! An ordered map of (time, sequence), what many programs write for themselves.

use crate::work::Timers;
use std::collections::BTreeMap;
use std::hint::black_box;

/// The map, and each timer's key.
pub struct Map {
    queue: BTreeMap<(u64, u64), u32>,
    keys: Vec<(u64, u64)>,
    sequence: u64,
}

impl Timers for Map {
    fn new(count: usize) -> Self {
        Map { queue: BTreeMap::new(), keys: vec![(0, 0); count], sequence: 0 }
    }

    fn add(&mut self, id: u32, ms: u64) {
        self.sequence += 1;
        self.keys[id as usize] = (ms, self.sequence);
        self.queue.insert((ms, self.sequence), id);
    }

    fn modify(&mut self, id: u32, ms: u64) {
        self.delete(id);
        self.add(id, ms);
    }

    fn delete(&mut self, id: u32) {
        black_box(self.queue.remove(&self.keys[id as usize]));
    }

    fn expire(&mut self, ms: u64) -> usize {
        let mut count = 0;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= ms) {
            black_box(entry.remove());
            count += 1;
        }
        count
    }
}
