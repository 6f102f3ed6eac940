//! A lock-free multimap from a hash to table indexes.
//!
//! The key is not stored: it stands in the table's entry, and the caller
//! compares it there. So the map is one array of `u32`: a cell is 0 or an index
//! plus one.
//!
//! # Ground rules
//!
//! * Any thread may insert, remove and look up at any time, also in a signal
//!   handler: one compare-and-swap or one store a cell, no loop that waits.
//! * An entry lies within `reach` cells of its hash. `reach` only grows, and
//!   grows before the cell is filled, so a look-up never misses an entry whose
//!   insertion had returned. There are no tombstones: look-ups do not stop at
//!   an empty cell.

use crate::sync::{AtomicU32, Ordering};

/// Longest distance from the hash; an insertion that finds no cell is refused.
const MAX_REACH: usize = 4096;

/// The map; see the module's head.
pub struct IndexMap {
    cells: &'static [AtomicU32],
    reach: AtomicU32,
}

impl IndexMap {
    /// A map over `cells`, all zero; their number must be a power of two.
    #[cfg(not(loom))]
    pub const fn new(cells: &'static [AtomicU32]) -> IndexMap {
        assert!(cells.len().is_power_of_two());
        IndexMap { cells, reach: AtomicU32::new(0) }
    }

    /// A map over `cells`, all zero; their number must be a power of two.
    #[cfg(loom)]
    pub fn new(cells: &'static [AtomicU32]) -> IndexMap {
        IndexMap { cells, reach: AtomicU32::new(0) }
    }

    #[inline]
    fn start(&self, key: u64) -> usize {
        // Fibonacci hashing; the upper bits are the well-mixed ones.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 32) as usize & (self.cells.len() - 1)
    }

    #[inline]
    fn cell(&self, start: usize, distance: usize) -> &AtomicU32 {
        &self.cells[(start + distance) & (self.cells.len() - 1)]
    }

    /// Adds `index` under `key`; `false` if there is no room near its hash.
    pub fn insert(&self, key: u64, index: u32) -> bool {
        let start = self.start(key);
        for distance in 0..MAX_REACH.min(self.cells.len()) {
            let cell = self.cell(start, distance);
            if cell.load(Ordering::Relaxed) == 0 {
                self.reach.fetch_max(distance as u32 + 1, Ordering::Relaxed);
                if cell.compare_exchange(0, index + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
                {
                    return true;
                }
            }
        }
        false
    }

    /// Removes `index` from under `key`; `false` if it was not there.
    pub fn remove(&self, key: u64, index: u32) -> bool {
        let start = self.start(key);
        (0..self.reach.load(Ordering::Relaxed) as usize).any(|distance| {
            self.cell(start, distance)
                .compare_exchange(index + 1, 0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// The first index under `key` that `accept` takes.
    #[inline]
    pub fn find(&self, key: u64, mut accept: impl FnMut(u32) -> bool) -> Option<u32> {
        let start = self.start(key);
        (0..self.reach.load(Ordering::Relaxed) as usize)
            .map(|distance| self.cell(start, distance).load(Ordering::Acquire))
            .find(|&value| value != 0 && accept(value - 1))
            .map(|value| value - 1)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn map(cells: usize) -> IndexMap {
        let cells: Vec<AtomicU32> = (0..cells).map(|_| AtomicU32::new(0)).collect();
        IndexMap::new(cells.leak())
    }

    proptest! {
        /// Against a set of (key, index) pairs.
        #[test]
        fn index_map_matches_model(
            operations in prop::collection::vec((0u8..3, 0u64..6, 0u32..12), 0..300)
        ) {
            let map = map(64);
            let mut model = BTreeSet::new();
            for (operation, key, index) in operations {
                // In the tables an index stands under one key at a time.
                let index = index + 12 * key as u32;
                match operation {
                    0 if !model.contains(&(key, index)) => {
                        prop_assert_eq!(map.insert(key, index), model.len() < 64);
                        if model.len() < 64 { model.insert((key, index)); }
                    }
                    1 => prop_assert_eq!(map.remove(key, index), model.remove(&(key, index))),
                    _ => {}
                }
                for k in 0..6 {
                    let mut seen = BTreeSet::new();
                    map.find(k, |i| { seen.insert(i); false });
                    prop_assert!(model.iter().filter(|(mk, _)| *mk == k).all(|(_, i)| seen.contains(i)));
                }
                let known = model.contains(&(key, index));
                prop_assert_eq!(map.find(key, |i| i == index).is_some(), known);
            }
        }
    }
}
