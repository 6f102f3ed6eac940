//! The truth about timers: a record per address and generation.
//!
//! A record lives from the first call on its timer until the timer is
//! initialised again, its block is freed, or nobody remembers it. If its
//! handler runs at that moment it stays as an *orphan*, found by number and
//! generation but by no address, until the handler has ended. So a number alone
//! says nothing: whoever let the lock go asks with [`RecordRef`].
//!
//! The name that the detector has for a timer is given as late as possible, and
//! taken back when nothing hangs on it: `names.rs`.

use std::collections::TryReserveError;

use crate::addr_map::AddrMap;
use crate::canary::GENERATIONS;
use crate::chunks::Chunks;
use crate::record::{FULL, IN_BLOCK, MAPPED, NONE, Rare, Record, RecordRef, Run, SHUTDOWN, STUCK};
use crate::wheel::{Link, Links};

/// More records than this, and idle ones outside the heap are forgotten: nobody
/// tells of the end of a timer on a stack.
const MANY: usize = 1 << 15;
/// Records looked at for that at each new one.
const LOOK: usize = 4;

/// All records.
#[derive(Debug)]
pub struct Table<T, R> {
    records: Chunks<Record>,
    /// The first vacant one: they are chained.
    vacant: u32,
    used: usize,
    addrs: AddrMap,
    /// Found records whose timers lie in heap blocks.
    in_blocks: usize,
    rare: Vec<Rare<T, R>>,
    rare_vacant: Vec<u32>,
    generations: u32,
    hand: u32,
}

impl<T, R> Links for Table<T, R> {
    #[inline]
    fn link(&mut self, id: u32) -> &mut Link {
        &mut self.records.at_mut(id).link
    }
}

impl<T: Copy, R: Copy> Table<T, R> {
    /// No records.
    pub const fn new() -> Self {
        Table {
            records: Chunks::new(),
            vacant: NONE,
            used: 0,
            addrs: AddrMap::new(),
            in_blocks: 0,
            rare: Vec::new(),
            rare_vacant: Vec::new(),
            generations: 0,
            hand: 0,
        }
    }

    /// The timer at an address.
    #[inline]
    pub fn find(&mut self, addr: usize) -> Option<RecordRef> {
        let mut found = self.addrs.candidate(addr);
        if found.is_none_or(|id| self.records.at(id).addr != addr) {
            found = self.addrs.clash(addr);
        }
        let id = found?;
        Some(RecordRef { id, generation: self.records.at(id).generation })
    }

    /// The record that stands for an address, or for one near it.
    #[inline(always)]
    pub fn candidate(&mut self, addr: usize) -> Option<(u32, &Record)> {
        let id = self.addrs.candidate(addr)?;
        Some((id, self.records.at(id)))
    }

    /// A record, unless it has ended.
    pub fn get(&mut self, timer: RecordRef) -> Option<&mut Record> {
        let record = self.records.get_mut(timer.id)?;
        (record.generation == timer.generation).then_some(record)
    }

    /// A record that the caller has just found, under the same lock.
    #[inline]
    pub fn at(&mut self, id: u32) -> &mut Record {
        self.records.at_mut(id)
    }

    /// What a timer has that few have.
    #[inline]
    pub fn rare(&self, id: u32) -> Option<&Rare<T, R>> {
        let rare = self.records.at(id).rare;
        if rare == NONE { None } else { self.rare.get(rare as usize) }
    }

    /// The same, to be changed.
    #[inline]
    pub fn rare_mut(&mut self, id: u32) -> Option<&mut Rare<T, R>> {
        let rare = self.records.at(id).rare;
        if rare == NONE { None } else { self.rare.get_mut(rare as usize) }
    }

    /// The same, made if there is none; `None` without memory.
    pub fn rare_or_new(&mut self, id: u32) -> Option<&mut Rare<T, R>> {
        if self.records.at(id).rare == NONE {
            self.reserve_rare().ok()?;
            let number = self.rare_vacant.pop().unwrap_or_else(|| {
                self.rare.push(Rare::NOTHING);
                self.rare.len() as u32 - 1
            });
            self.records.at_mut(id).rare = number;
        }
        self.rare_mut(id)
    }

    /// Makes room for one more timer that has something rare.
    pub fn reserve_rare(&mut self) -> Result<(), TryReserveError> {
        if self.rare_vacant.is_empty() {
            self.rare.try_reserve(1)?;
            // Giving it back must not need memory.
            let more = self.rare.len() + 1 - self.rare_vacant.len();
            self.rare_vacant.try_reserve(more)?;
        }
        Ok(())
    }

    /// Gives back what a timer had that few have, if nothing is left of it.
    pub fn drop_rare(&mut self, id: u32) {
        if self.rare(id).is_some_and(Rare::is_nothing) {
            self.forget_rare(id);
        }
    }

    fn forget_rare(&mut self, id: u32) {
        let number = core::mem::replace(&mut self.records.at_mut(id).rare, NONE);
        if let Some(rare) = self.rare.get_mut(number as usize) {
            *rare = Rare::NOTHING;
            self.rare_vacant.push(number);
        }
    }

    /// The timer's handler, if it runs.
    #[inline]
    pub fn run(&mut self, id: u32) -> Option<&mut Run<R>> {
        self.rare_mut(id)?.run.as_mut()
    }

    /// The handler of a timer that may have ended.
    pub fn run_of(&mut self, timer: RecordRef) -> Option<&mut Run<R>> {
        self.get(timer)?;
        self.run(timer.id)
    }

    /// The timer's handler, if that runs on another thread than `me`.
    #[inline]
    pub fn running_elsewhere(&mut self, id: u32, me: u32) -> Option<&mut Run<R>> {
        self.run(id).filter(|run| run.thread != me)
    }

    /// The timer's handler, if that runs on thread `me`.
    #[inline]
    pub fn running_here(&mut self, id: u32, me: u32) -> Option<&mut Run<R>> {
        self.run(id).filter(|run| run.thread == me)
    }

    /// The detector's name of a timer.
    #[inline]
    pub fn name(&self, id: u32) -> Option<T> {
        self.rare(id)?.timer
    }

    /// The open `rearm-after-del` of a timer, from now on another's.
    pub fn take_rearm_finding(&mut self, id: u32) -> Option<u32> {
        let finding = self.rare_mut(id)?.rearm_finding.take();
        self.drop_rare(id);
        finding
    }

    /// Could a canary name this record, in use or not?
    pub fn has_named(&self, id: u32, generation: u32) -> bool {
        (id as usize) < self.records.len() && generation <= self.generations
    }

    /// A new record for an address that has none, in a heap block or not. Its
    /// generation is new. `retire` gets the names of records that are forgotten
    /// for it. `None`: no memory.
    pub fn insert(&mut self, addr: usize, in_block: bool, retire: impl FnMut(T)) -> Option<u32> {
        self.forget_idle(retire);
        self.addrs.reserve(addr).ok()?;
        if self.vacant == NONE {
            self.records.reserve_one(|| Record::new(0, 0, 0)).ok()?;
        }
        let flags = MAPPED | if in_block { IN_BLOCK } else { 0 };
        let record = Record::new(addr, self.next_generation(), flags);
        let id = match self.vacant {
            NONE => self.records.push(record),
            id => {
                let place = self.records.at_mut(id);
                self.vacant = place.rare;
                *place = record;
                id
            }
        };
        self.used += 1;
        self.addrs.insert(addr, id);
        self.in_blocks += usize::from(in_block);
        Some(id)
    }

    fn next_generation(&mut self) -> u32 {
        self.generations = self.generations % (GENERATIONS - 1) + 1;
        self.generations
    }

    /// Makes an idle record that of the next timer at its address; the name that
    /// the old one had.
    pub fn renew(&mut self, id: u32) -> Option<T> {
        let name = self.name(id);
        self.forget_rare(id);
        let generation = self.next_generation();
        let record = self.records.at_mut(id);
        record.generation = generation;
        record.set(FULL | SHUTDOWN | STUCK, false);
        record.futile_count = 0;
        (record.arm_site, record.del_site) = (0, 0);
        (record.function, record.data) = (0, 0);
        name
    }

    /// Takes a record, which is not armed, from its address. While its handler
    /// runs it stays as an orphan. The timer's name.
    pub fn unmap(&mut self, id: u32) -> Option<T> {
        let name = self.name(id);
        let is_orphan = self.run(id).is_some();
        let record = self.records.at_mut(id);
        let (addr, in_block) = (record.addr, record.is(IN_BLOCK));
        record.set(MAPPED, false);
        self.addrs.remove(addr, id);
        self.in_blocks -= usize::from(in_block);
        if !is_orphan {
            self.release(id);
        }
        name
    }

    /// Gives back the record of an orphan whose handler has ended.
    pub fn release(&mut self, id: u32) {
        self.forget_rare(id);
        let record = self.records.at_mut(id);
        record.generation = 0;
        record.rare = self.vacant;
        self.vacant = id;
        self.used -= 1;
    }

    /// A timer of the heap block that starts at `base`, from address `from` on.
    pub fn next_in_block(&mut self, from: usize, base: usize, size: usize) -> Option<u32> {
        let (records, mut found) = (&self.records, None);
        self.addrs.each_in(from..base + size.max(1), |id| {
            let record = records.at(id);
            let is_there = record.addr >= from && record.addr - base < size.max(1);
            if is_there && record.is(IN_BLOCK) {
                found = Some(id);
            }
            found.is_some()
        });
        found
    }

    /// Is there any timer in the heap?
    pub const fn has_blocks(&self) -> bool {
        self.in_blocks > 0
    }

    /// No records, as after a fork: generations go on, so that what the parent's
    /// threads still name is nobody's.
    pub fn empty_after(&self) -> Self {
        let mut table = Table::new();
        table.generations = self.generations;
        table
    }

    /// Was there ever a timer?
    pub const fn was_used(&self) -> bool {
        self.generations != 0
    }

    /// The next record in use from number `from` on, orphans too.
    pub fn next_used(&self, from: u32) -> Option<u32> {
        (from..self.records.len() as u32).find(|&id| self.records.at(id).generation != 0)
    }

    /// Records in use, orphans too.
    #[cfg(test)]
    pub const fn used(&self) -> usize {
        self.used
    }

    fn forget_idle(&mut self, mut retire: impl FnMut(T)) {
        if self.used < MANY {
            return;
        }
        for _ in 0..LOOK {
            self.hand = (self.hand + 1) % self.records.len() as u32;
            let id = self.hand;
            let is_running = self.run(id).is_some();
            let record = self.records.at(id);
            let is_idle = record.generation != 0
                && record.is(MAPPED)
                && !record.is(IN_BLOCK | SHUTDOWN | STUCK)
                && !record.is_pending()
                && !is_running;
            if is_idle && let Some(name) = self.unmap(id) {
                retire(name);
            }
        }
    }
}

impl<T: Copy, R: Copy> Default for Table<T, R> {
    fn default() -> Self {
        Table::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_block_knows_its_timers() {
        let mut table = Table::<u32, u32>::new();
        let ids: Vec<u32> = (1..=3).map(|i| table.insert(i * 64, true, |_| ()).unwrap()).collect();
        let outside = table.insert(4 * 64, false, |_| ()).unwrap();
        let in_block = |table: &mut Table<u32, u32>| {
            let (mut found, mut from) = (vec![], 64);
            while let Some(id) = table.next_in_block(from, 64, 256) {
                found.push(id);
                from = table.at(id).addr + 8;
            }
            found
        };
        assert_eq!(in_block(&mut table), ids);
        table.unmap(ids[1]);
        assert_eq!(in_block(&mut table), [ids[0], ids[2]]);
        assert_eq!(table.next_in_block(64, 64, 65), Some(ids[0]));
        assert_eq!(table.next_in_block(128, 128, 64), None);
        table.unmap(ids[2]);
        table.unmap(ids[0]);
        assert!(!table.has_blocks() && table.next_used(0) == Some(outside));
    }

    #[test]
    fn an_orphan_is_known_by_number_until_it_is_released() {
        let mut table = Table::<u32, u32>::new();
        let id = table.insert(64, false, |_| ()).unwrap();
        let timer = table.find(64).unwrap();
        table.rare_or_new(id).unwrap().run = Some(Run {
            thread: 1,
            token: None,
            sequence: 1,
            handler: 0,
            block: 0,
            has_flag: false,
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
        let other = table.insert(64, false, |_| ()).unwrap();
        assert_ne!(other, id);
        table.release(id);
        assert!(table.get(timer).is_none());
        assert_eq!(table.insert(128, false, |_| ()), Some(id));
        assert!(table.get(timer).is_none(), "another generation");
    }

    #[test]
    fn what_few_have_is_given_back() {
        let mut table = Table::<u32, u32>::new();
        let ids: Vec<u32> = (1..=3).map(|i| table.insert(i * 64, false, |_| ()).unwrap()).collect();
        for _ in 0..3 {
            for &id in &ids {
                table.rare_or_new(id).unwrap().timer = Some(id);
                assert_eq!(table.name(id), Some(id));
                assert_eq!(table.renew(id), Some(id));
                assert_eq!(table.name(id), None);
            }
        }
        assert_eq!(table.rare.len(), 1);
        table.rare_or_new(ids[0]).unwrap().rearm_finding = Some(5);
        assert_eq!(table.take_rearm_finding(ids[0]), Some(5));
        assert!(table.rare(ids[0]).is_none());
    }
}
