//! The truth about timers: a record per address and generation.
//!
//! A record lives from the first call on its timer until the timer is
//! initialised again, its block is freed, or nobody remembers it. If its
//! handler runs at that moment it stays as an *orphan*, found by number and
//! generation but by no address, until the handler has ended. So a number alone
//! says nothing: whoever let the lock go asks with [`RecordRef`].

use std::collections::{HashMap, TryReserveError};
use std::hash::{BuildHasherDefault, Hasher};

use crate::canary::GENERATIONS;
use crate::record::{NONE, Record, RecordRef};
use crate::wheel::{Link, Links};

/// More records than this, and idle ones outside the heap are forgotten: nobody
/// tells of the end of a timer on a stack.
const MANY: usize = 1 << 15;
/// Records looked at for that at each new one.
const LOOK: usize = 4;

/// All records.
#[derive(Debug)]
pub struct Table<T, R> {
    records: Vec<Record<T, R>>,
    vacant: Vec<u32>,
    by_addr: HashMap<usize, u32, BuildHasherDefault<AddrHasher>>,
    /// First record of each heap block.
    by_block: HashMap<usize, u32, BuildHasherDefault<AddrHasher>>,
    generations: u32,
    hand: usize,
}

impl<T, R> Links for Table<T, R> {
    fn link(&mut self, id: u32) -> &mut Link {
        &mut self.records[id as usize].link
    }
}

impl<T: Copy, R: Copy> Table<T, R> {
    /// No records.
    pub const fn new() -> Self {
        Table {
            records: Vec::new(),
            vacant: Vec::new(),
            by_addr: HashMap::with_hasher(BuildHasherDefault::new()),
            by_block: HashMap::with_hasher(BuildHasherDefault::new()),
            generations: 0,
            hand: 0,
        }
    }

    /// The timer at an address.
    pub fn find(&self, addr: usize) -> Option<RecordRef> {
        let id = *self.by_addr.get(&addr)?;
        Some(RecordRef { id, generation: self.records[id as usize].generation })
    }

    /// A record, unless it has ended.
    pub fn get(&mut self, timer: RecordRef) -> Option<&mut Record<T, R>> {
        let record = self.records.get_mut(timer.id as usize)?;
        (record.generation == timer.generation).then_some(record)
    }

    /// A record that the caller has just found, under the same lock.
    pub fn at(&mut self, id: u32) -> &mut Record<T, R> {
        &mut self.records[id as usize]
    }

    /// Could a canary name this record, in use or not?
    pub fn has_named(&self, id: u32, generation: u32) -> bool {
        (id as usize) < self.records.len() && generation <= self.generations
    }

    /// A new record for an address that has none, in heap block `block` (0: in
    /// none). Its generation is new. `retire` gets the timers of records that are
    /// forgotten for it. `None`: no memory.
    pub fn insert(&mut self, addr: usize, block: usize, retire: impl FnMut(T)) -> Option<u32> {
        self.forget_idle(retire);
        self.reserve().ok()?;
        let record = Record {
            link: Link::new(),
            addr,
            generation: self.next_generation(),
            is_mapped: true,
            cpu: 0,
            is_full: false,
            is_shutdown: false,
            is_stuck: false,
            armed_with: (0, 0, 0),
            readd: None,
            run: None,
            block,
            next_in_block: NONE,
            prev_in_block: NONE,
            timer: None,
            rearm_finding: None,
            futile_count: 0,
            futile_since_ns: 0,
        };
        let id = match self.vacant.pop() {
            Some(id) => {
                self.records[id as usize] = record;
                id
            }
            None => {
                self.records.push(record);
                self.records.len() as u32 - 1
            }
        };
        self.by_addr.insert(addr, id);
        if block != 0 {
            let next = self.by_block.insert(block, id).unwrap_or(NONE);
            self.records[id as usize].next_in_block = next;
            if let Some(next) = self.records.get_mut(next as usize) {
                next.prev_in_block = id;
            }
        }
        Some(id)
    }

    /// Makes room for one more record, wherever it may go.
    fn reserve(&mut self) -> Result<(), TryReserveError> {
        if self.vacant.is_empty() {
            self.records.try_reserve(1)?;
            // Giving records back must not need memory.
            self.vacant.try_reserve(self.records.len() + 1)?;
        }
        self.by_addr.try_reserve(1)?;
        self.by_block.try_reserve(1)
    }

    fn next_generation(&mut self) -> u32 {
        self.generations = self.generations % (GENERATIONS - 1) + 1;
        self.generations
    }

    /// Makes an idle record that of the next timer at its address.
    pub fn renew(&mut self, id: u32) -> Option<T> {
        let generation = self.next_generation();
        let record = &mut self.records[id as usize];
        record.generation = generation;
        record.is_full = false;
        record.is_shutdown = false;
        record.is_stuck = false;
        record.rearm_finding = None;
        record.futile_count = 0;
        record.timer.take()
    }

    /// Takes a record, which is not armed, from its address. While its handler
    /// runs it stays as an orphan.
    pub fn unmap(&mut self, id: u32) -> Option<T> {
        let record = &mut self.records[id as usize];
        let (addr, block) = (record.addr, record.block);
        let timer = record.timer;
        let is_orphan = record.run.is_some();
        record.is_mapped = false;
        self.by_addr.remove(&addr);
        if block != 0 {
            self.unchain(id, block);
        }
        if !is_orphan {
            self.release(id);
        }
        timer
    }

    fn unchain(&mut self, id: u32, block: usize) {
        let record = &mut self.records[id as usize];
        let next = core::mem::replace(&mut record.next_in_block, NONE);
        let prev = core::mem::replace(&mut record.prev_in_block, NONE);
        if let Some(next) = self.records.get_mut(next as usize) {
            next.prev_in_block = prev;
        }
        match self.records.get_mut(prev as usize) {
            Some(prev) => prev.next_in_block = next,
            None if next == NONE => {
                self.by_block.remove(&block);
            }
            None => {
                self.by_block.insert(block, next);
            }
        }
    }

    /// Gives back the record of an orphan whose handler has ended.
    pub fn release(&mut self, id: u32) {
        self.records[id as usize].generation = 0;
        self.records[id as usize].run = None;
        self.vacant.push(id);
    }

    /// The first timer of a heap block.
    pub fn first_in_block(&self, block: usize) -> Option<u32> {
        self.by_block.get(&block).copied()
    }

    /// Is there any timer in the heap?
    pub fn has_blocks(&self) -> bool {
        !self.by_block.is_empty()
    }

    /// No records, as after a fork: generations go on, so that what the parent's
    /// threads still name is nobody's.
    pub fn empty_after(&self) -> Self {
        let mut table = Table::new();
        table.generations = self.generations;
        table
    }

    /// The next record in use from number `from` on, orphans too.
    pub fn next_used(&self, from: u32) -> Option<u32> {
        (from..)
            .zip(self.records.get(from as usize..)?)
            .find(|(_, r)| r.generation != 0)
            .map(|r| r.0)
    }

    /// Every record in use, orphans too.
    #[cfg(test)]
    pub fn each(&self) -> impl Iterator<Item = (u32, &Record<T, R>)> {
        let numbered = (0..).zip(&self.records);
        numbered.filter(|(_, record)| record.generation != 0)
    }

    fn forget_idle(&mut self, mut retire: impl FnMut(T)) {
        if self.records.len() - self.vacant.len() < MANY {
            return;
        }
        for _ in 0..LOOK {
            self.hand = (self.hand + 1) % self.records.len();
            let record = &self.records[self.hand];
            let is_idle = record.generation != 0
                && record.is_mapped
                && record.block == 0
                && record.run.is_none()
                && !record.is_pending()
                && !record.is_shutdown
                && !record.is_stuck;
            if is_idle && let Some(timer) = self.unmap(self.hand as u32) {
                retire(timer);
            }
        }
    }
}

impl<T: Copy, R: Copy> Default for Table<T, R> {
    fn default() -> Self {
        Table::new()
    }
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
    use crate::record::Run;

    #[test]
    fn a_block_knows_its_timers() {
        let mut table = Table::<u32, u32>::new();
        let ids: Vec<u32> = (1..=3).map(|i| table.insert(i * 64, 64, |_| ()).unwrap()).collect();
        let in_block = |table: &Table<u32, u32>| {
            let mut at = table.first_in_block(64).unwrap_or(NONE);
            let mut found = vec![];
            while at != NONE {
                found.push(at);
                at = table.records[at as usize].next_in_block;
            }
            found
        };
        assert_eq!(in_block(&table), [ids[2], ids[1], ids[0]]);
        table.unmap(ids[1]);
        assert_eq!(in_block(&table), [ids[2], ids[0]]);
        table.unmap(ids[2]);
        table.unmap(ids[0]);
        assert!(!table.has_blocks() && table.each().count() == 0);
    }

    #[test]
    fn an_orphan_is_known_by_number_until_it_is_released() {
        let mut table = Table::<u32, u32>::new();
        let id = table.insert(64, 0, |_| ()).unwrap();
        let timer = table.find(64).unwrap();
        table.at(id).run = Some(Run {
            thread: 1,
            token: None,
            sequence: 1,
            handler: 0,
            is_deleted: false,
            took_back: false,
            is_gone: false,
            freed_own: false,
            has_exited: false,
            waiters: 0,
        });
        table.unmap(id);
        assert_eq!(table.find(64), None);
        assert!(table.get(timer).is_some());
        let other = table.insert(64, 0, |_| ()).unwrap();
        assert_ne!(other, id);
        table.release(id);
        assert!(table.get(timer).is_none());
        assert_eq!(table.insert(128, 0, |_| ()), Some(id));
        assert!(table.get(timer).is_none(), "another generation");
    }
}
