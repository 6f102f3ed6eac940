//! The heap blocks that timers' values point into.
//!
//! One entry a block, shared by all its timers, so that the free of a block
//! costs one look-up however many timers use it.
//!
//! # Ground rules
//!
//! One word holds the state (Vacant -> Claimed -> Live -> Freed -> Claimed ...),
//! the number of registry slots that refer to the entry (resting ones too), and
//! a count of its uses. It is claimed only when nobody refers to it, in one
//! compare-and-swap, and who refers to it keeps its fields as they are. Runs
//! inside `free`: nothing here waits or allocates.

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::index_map::IndexMap;

/// Blocks known at the same time.
pub const BLOCKS: usize = 1 << 15;

const VACANT: u64 = 0;
const CLAIMED: u64 = 1;
const LIVE: u64 = 2;
const FREED: u64 = 3;
const STATE: u64 = 3;
/// One reference; there are fewer than 2^30 timers.
const TIMER: u64 = 4;
const TIMERS: u64 = 0xffff_fffc;
const USE: u64 = 1 << 32;

/// A block.
pub struct BlockEntry {
    word: AtomicU64,
    base: AtomicU64,
    size: AtomicU64,
    alloc_site: AtomicU64,
    /// Timers armed now whose value points into the block.
    pub armed: AtomicU32,
    /// Stack of the free, index + 1.
    pub free_stack: AtomicU32,
    /// Time of the free, ns.
    pub freed_ns: AtomicU64,
}

impl BlockEntry {
    const fn new() -> BlockEntry {
        BlockEntry {
            word: AtomicU64::new(VACANT),
            base: AtomicU64::new(0),
            size: AtomicU64::new(0),
            alloc_site: AtomicU64::new(0),
            armed: AtomicU32::new(0),
            free_stack: AtomicU32::new(0),
            freed_ns: AtomicU64::new(0),
        }
    }

    /// Was it freed?
    pub fn is_freed(&self) -> bool {
        self.word.load(Acquire) & STATE == FREED
    }

    /// Its start, size and allocation site.
    pub fn facts(&self) -> HeapBlock {
        HeapBlock {
            base: self.base.load(Relaxed) as usize,
            size: self.size.load(Relaxed) as usize,
            alloc_site: self.alloc_site.load(Relaxed) as usize,
        }
    }
}

/// A heap block as the allocator describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapBlock {
    /// Its start.
    pub base: usize,
    /// Its requested size.
    pub size: usize,
    /// Return address of its allocation, 0 if unknown.
    pub alloc_site: usize,
}

/// All blocks that matter to timers.
pub struct BlockTable {
    entries: &'static [BlockEntry],
    bases: IndexMap,
    used: AtomicU32,
    hand: AtomicU32,
}

static ENTRIES: [BlockEntry; BLOCKS] = [const { BlockEntry::new() }; BLOCKS];
static CELLS: [AtomicU32; 2 * BLOCKS] = [const { AtomicU32::new(0) }; 2 * BLOCKS];

impl BlockTable {
    /// The process's table. There must be one user of it.
    pub const fn global() -> BlockTable {
        BlockTable::over(&ENTRIES, &CELLS)
    }

    const fn over(entries: &'static [BlockEntry], cells: &'static [AtomicU32]) -> BlockTable {
        BlockTable {
            entries,
            bases: IndexMap::new(cells),
            used: AtomicU32::new(0),
            hand: AtomicU32::new(0),
        }
    }

    /// A small table of its own.
    #[cfg(test)]
    pub fn small(blocks: usize) -> BlockTable {
        let entries: Vec<BlockEntry> = (0..blocks).map(|_| BlockEntry::new()).collect();
        let cells: Vec<AtomicU32> = (0..2 * blocks).map(|_| AtomicU32::new(0)).collect();
        BlockTable::over(entries.leak(), cells.leak())
    }

    /// The entry of a live block for one more timer; `None` if the table is full.
    pub fn acquire(&self, block: &HeapBlock) -> Option<u32> {
        let live = |i| self.live_at(i, block.base).is_some();
        if let Some(index) = self.bases.find(block.base as u64, live) {
            self.entries[index as usize].word.fetch_add(TIMER, AcqRel);
            // It may have been claimed for another block between look and count.
            if live(index) {
                return Some(index);
            }
            self.release(index);
        }
        let index = self.vacant()?;
        let entry = &self.entries[index as usize];
        entry.base.store(block.base as u64, Relaxed);
        entry.size.store(block.size as u64, Relaxed);
        entry.alloc_site.store(block.alloc_site as u64, Relaxed);
        entry.armed.store(0, Relaxed);
        entry.free_stack.store(0, Relaxed);
        entry.freed_ns.store(0, Relaxed);
        if !self.bases.insert(block.base as u64, index) {
            entry.word.fetch_sub(CLAIMED - VACANT, AcqRel);
            return None;
        }
        // Others may count themselves in for a moment, so it is no plain store.
        entry.word.fetch_add(LIVE - CLAIMED + TIMER, AcqRel);
        Some(index)
    }

    /// One more reference to an entry that the caller knows is referred to.
    pub fn retain(&self, index: u32) {
        if let Some(entry) = self.entries.get(index as usize) {
            entry.word.fetch_add(TIMER, AcqRel);
        }
    }

    /// One timer less refers to the entry.
    pub fn release(&self, index: u32) {
        if let Some(entry) = self.entries.get(index as usize) {
            entry.word.fetch_sub(TIMER, AcqRel);
        }
    }

    /// Marks the block at `base` as freed and calls `each` with every entry of it.
    pub fn freed(&self, base: usize, now_ns: u64, mut each: impl FnMut(u32, &BlockEntry)) {
        let live = |i| self.live_at(i, base).is_some();
        while let Some(index) = self.bases.find(base as u64, live) {
            let entry = &self.entries[index as usize];
            while let Some(word) = self.live_at(index, base) {
                // Held meanwhile, or it might become another block's.
                let freed = (word & !STATE | FREED) + TIMER;
                if entry.word.compare_exchange_weak(word, freed, AcqRel, Relaxed).is_ok() {
                    entry.freed_ns.store(now_ns, Relaxed);
                    self.bases.remove(base as u64, index);
                    each(index, entry);
                    self.release(index);
                }
            }
        }
    }

    /// An entry.
    pub fn get(&self, index: u32) -> Option<&BlockEntry> {
        self.entries.get(index as usize)
    }

    /// Forgets all blocks: a fork child has no timers.
    pub fn reset_after_fork(&self) {
        for (index, entry) in self.entries[..self.used()].iter().enumerate() {
            self.bases.remove(entry.base.load(Relaxed), index as u32);
            entry.word.store(VACANT, Release);
        }
    }

    fn used(&self) -> usize {
        (self.used.load(Relaxed) as usize).min(self.entries.len())
    }

    /// The entry's word, if it is of the live block at `base`.
    fn live_at(&self, index: u32, base: usize) -> Option<u64> {
        let entry = self.entries.get(index as usize)?;
        let word = entry.word.load(Acquire);
        (word & STATE == LIVE && entry.base.load(Relaxed) == base as u64).then_some(word)
    }

    /// Claims an entry that nobody refers to.
    fn vacant(&self) -> Option<u32> {
        let used = self.used();
        for _ in 0..used.min(8) {
            let index = self.hand.fetch_add(1, Relaxed) as usize % used;
            if self.claim(index) {
                return Some(index as u32);
            }
        }
        let index = self.used.fetch_add(1, Relaxed) as usize;
        if index >= self.entries.len() {
            self.used.fetch_sub(1, Relaxed);
            return None;
        }
        self.claim(index).then_some(index as u32)
    }

    fn claim(&self, index: usize) -> bool {
        let entry = &self.entries[index];
        let word = entry.word.load(Acquire);
        if word & STATE == CLAIMED || word & TIMERS != 0 {
            return false;
        }
        let claimed = (word & !STATE | CLAIMED).wrapping_add(USE);
        if entry.word.compare_exchange(word, claimed, AcqRel, Relaxed).is_err() {
            return false;
        }
        if word & STATE == LIVE {
            self.bases.remove(entry.base.load(Relaxed), index as u32);
        }
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn block(base: usize) -> HeapBlock {
        HeapBlock { base, size: 10, alloc_site: 1 }
    }

    #[test]
    fn timers_share_a_block_and_its_free_is_seen_once() {
        let table = BlockTable::small(4);
        let a = table.acquire(&block(64)).unwrap();
        assert_eq!(table.acquire(&block(64)), Some(a));
        let mut seen = vec![];
        table.freed(64, 5, |i, _| seen.push(i));
        table.freed(64, 6, |i, _| seen.push(i));
        table.freed(65, 6, |i, _| seen.push(i));
        assert_eq!(seen, [a]);
        assert!(table.get(a).unwrap().is_freed());
        let again = table.acquire(&block(64)).unwrap();
        assert_ne!(again, a, "the freed block and the new one at its address differ");
    }

    #[test]
    fn an_entry_is_reused_when_no_timer_refers_to_it() {
        let table = BlockTable::small(1);
        let a = table.acquire(&block(64)).unwrap();
        assert_eq!(table.acquire(&block(128)), None);
        table.release(a);
        assert_eq!(table.acquire(&block(128)), Some(a));
        let mut seen = 0;
        table.freed(64, 1, |_, _| seen += 1);
        assert_eq!(seen, 0);
    }
}
