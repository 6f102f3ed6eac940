//! From a timer's address to its record: a two-level table over addresses.
//!
//! A timer is at least 40 bytes long, so no two begin within the same 32: each such
//! *granule* has a cell, and cells of neighbours lie together, as the timers do. A
//! leaf has the cells of 64 KiB; a leaf that is empty is kept for the next address.
//! Against a hash map that is a cache miss less a call, a seventh of the memory,
//! and it never has to be copied to grow.
//!
//! Timers that were forgotten by the program (on a stack frame that is gone, say)
//! may overlap with new ones: what finds its cell taken is a *clash*, of which
//! there are few.

use std::collections::{HashMap, TryReserveError};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// Bytes of a granule, as a power of two.
const GRANULE_BITS: u32 = 5;
/// Bytes that a leaf covers, as a power of two.
const LEAF_BITS: u32 = 16;
/// Cells of a leaf.
const CELLS: usize = 1 << (LEAF_BITS - GRANULE_BITS);
/// Empty leaves kept.
const SPARE: usize = 8;
/// No leaf: no address lies so high.
const NO_KEY: usize = usize::MAX;

type ByAddr<V> = HashMap<usize, V, BuildHasherDefault<AddrHasher>>;

/// The cells of 64 KiB of addresses.
#[derive(Debug)]
struct Leaf {
    /// Record numbers plus one; 0 for none.
    cells: Vec<u32>,
    used: usize,
}

/// The map. It holds record numbers; whose address a record has, its owner knows.
#[derive(Debug)]
pub struct AddrMap {
    leaves: Vec<Leaf>,
    by_key: ByAddr<u32>,
    /// Leaves that are in use for no address.
    spare: Vec<u32>,
    /// The leaf asked for last.
    last: (usize, u32),
    clashes: ByAddr<u32>,
}

impl AddrMap {
    /// An empty map.
    pub const fn new() -> Self {
        AddrMap {
            leaves: Vec::new(),
            by_key: HashMap::with_hasher(BuildHasherDefault::new()),
            spare: Vec::new(),
            last: (NO_KEY, 0),
            clashes: HashMap::with_hasher(BuildHasherDefault::new()),
        }
    }

    /// What stands in the cell of an address: perhaps another's.
    #[inline]
    pub fn candidate(&mut self, addr: usize) -> Option<u32> {
        let leaf = self.leaf(addr >> LEAF_BITS)?;
        self.leaves[leaf as usize].cells[cell(addr)].checked_sub(1)
    }

    /// The record of an address whose cell was another's.
    #[inline]
    pub fn clash(&self, addr: usize) -> Option<u32> {
        if self.clashes.is_empty() { None } else { self.clashes.get(&addr).copied() }
    }

    #[inline]
    fn leaf(&mut self, key: usize) -> Option<u32> {
        if self.last.0 != key {
            self.last = (key, *self.by_key.get(&key)?);
        }
        Some(self.last.1)
    }

    /// Makes room for one more, at this address.
    pub fn reserve(&mut self, addr: usize) -> Result<(), TryReserveError> {
        self.clashes.try_reserve(1)?;
        let key = addr >> LEAF_BITS;
        if self.leaf(key).is_some() {
            return Ok(());
        }
        self.by_key.try_reserve(1)?;
        let number = match self.spare.pop() {
            Some(number) => number,
            None => {
                let mut cells = Vec::new();
                cells.try_reserve_exact(CELLS)?;
                cells.resize(CELLS, 0);
                self.leaves.try_reserve(1)?;
                // Giving a leaf back must not need memory.
                self.spare.try_reserve(self.leaves.len() + 1)?;
                self.leaves.push(Leaf { cells, used: 0 });
                self.leaves.len() as u32 - 1
            }
        };
        let leaf = &mut self.leaves[number as usize];
        if leaf.cells.is_empty() {
            if let Err(error) = leaf.cells.try_reserve_exact(CELLS) {
                self.spare.push(number);
                return Err(error);
            }
            leaf.cells.resize(CELLS, 0);
        }
        self.by_key.insert(key, number);
        Ok(())
    }

    /// Adds a record, for which there is [room](Self::reserve).
    pub fn insert(&mut self, addr: usize, id: u32) {
        let Some(number) = self.leaf(addr >> LEAF_BITS) else { return };
        let leaf = &mut self.leaves[number as usize];
        let cell = &mut leaf.cells[cell(addr)];
        if *cell == 0 {
            *cell = id + 1;
            leaf.used += 1;
        } else {
            self.clashes.insert(addr, id);
        }
    }

    /// Removes a record.
    pub fn remove(&mut self, addr: usize, id: u32) {
        let key = addr >> LEAF_BITS;
        let own = match self.leaf(key) {
            Some(number) if self.leaves[number as usize].cells[cell(addr)] == id + 1 => number,
            _ => {
                self.clashes.remove(&addr);
                return;
            }
        };
        let leaf = &mut self.leaves[own as usize];
        leaf.cells[cell(addr)] = 0;
        leaf.used -= 1;
        if leaf.used == 0 {
            if self.spare.len() >= SPARE {
                leaf.cells = Vec::new();
            }
            self.spare.push(own);
            self.by_key.remove(&key);
            self.last = (NO_KEY, 0);
        }
    }

    /// The first record in the cells of these addresses, or a clash there; its
    /// address is perhaps not in the range, but near.
    pub fn each_in(&mut self, range: Range<usize>, mut each: impl FnMut(u32) -> bool) {
        let mut at = range.start;
        while at < range.end {
            let end = ((at >> LEAF_BITS) + 1) << LEAF_BITS;
            if let Some(number) = self.leaf(at >> LEAF_BITS) {
                let cells = &self.leaves[number as usize].cells;
                let last = cell(end.min(range.end) - 1);
                for &found in cells[cell(at)..=last].iter().filter(|&&found| found != 0) {
                    if each(found - 1) {
                        return;
                    }
                }
            }
            at = end;
        }
        for (_, &id) in self.clashes.iter().filter(|(addr, _)| range.contains(addr)) {
            if each(id) {
                return;
            }
        }
    }
}

const fn cell(addr: usize) -> usize {
    addr >> GRANULE_BITS & (CELLS - 1)
}

/// Addresses of aligned objects: one multiplication.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddrHasher(u64);

impl Hasher for AddrHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }

    fn write_usize(&mut self, addr: usize) {
        let mixed = (self.0 ^ addr as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn found(map: &mut AddrMap, addrs: &BTreeMap<u32, usize>, addr: usize) -> Option<u32> {
        let own = |id: &u32| addrs.get(id) == Some(&addr);
        map.candidate(addr).filter(own).or_else(|| map.clash(addr))
    }

    proptest! {
        /// Against an ordered map; addresses are dense enough to clash.
        #[test]
        fn it_matches_a_map(
            operations in prop::collection::vec((any::<bool>(), 0usize..64, 0usize..3), 0..200)
        ) {
            let (mut map, mut ids, mut addrs) = (AddrMap::new(), BTreeMap::new(), BTreeMap::new());
            for (number, (adds, low, high)) in operations.into_iter().enumerate() {
                let (id, addr) = (number as u32, high << LEAF_BITS | low << 3);
                if adds && !ids.contains_key(&addr) {
                    map.reserve(addr).unwrap();
                    map.insert(addr, id);
                    ids.insert(addr, id);
                    addrs.insert(id, addr);
                } else if !adds && let Some(old) = ids.remove(&addr) {
                    map.remove(addr, old);
                    addrs.remove(&old);
                }
                for addr in (0..3).flat_map(|high| (0..64).map(move |low| high << LEAF_BITS | low << 3)) {
                    prop_assert_eq!(found(&mut map, &addrs, addr), ids.get(&addr).copied());
                }
                let range = 64..(1 << LEAF_BITS) + 128;
                let mut seen = vec![];
                map.each_in(range.clone(), |id| { seen.push(id); false });
                seen.retain(|id| range.contains(&addrs[id]));
                seen.sort_unstable();
                let mut want: Vec<u32> = ids.range(range).map(|(_, &id)| id).collect();
                want.sort_unstable();
                prop_assert_eq!(seen, want);
            }
        }
    }

    #[test]
    fn empty_leaves_are_used_again() {
        let mut map = AddrMap::new();
        for i in 0..100 {
            map.reserve(i << LEAF_BITS).unwrap();
            map.insert(i << LEAF_BITS, 7);
        }
        for i in 0..100 {
            map.remove(i << LEAF_BITS, 7);
        }
        let kept = map.leaves.iter().filter(|leaf| !leaf.cells.is_empty()).count();
        assert_eq!((map.leaves.len(), kept), (100, SPARE));
        for i in 0..100 {
            map.reserve(i << LEAF_BITS).unwrap();
        }
        assert_eq!(map.leaves.len(), 100);
    }
}
