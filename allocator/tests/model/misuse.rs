//! Misuse that is committed on purpose, and what must be told of it.
//!
//! An object is misused once. What cannot be committed with a certain outcome is
//! skipped: a write into freed memory that left the quarantine (the next owner
//! may overwrite it first), or in front of a block where nothing verified lies.

use std::collections::BTreeSet;
use std::sync::Mutex;

use deadwalk_alloc::{Block, BlockState, MisuseKind, freed_intact, heap, lookup};

use crate::block::{Live, Mark, PAGE};
use crate::step::Misuse;
use crate::world::{FREE_SITE, World};

/// The bytes of a free slot: written over with themselves, nothing is damaged.
const POISON: [u8; 2] = [deadwalk_alloc::POISON_FREE, deadwalk_alloc::POISON_END];
/// Bytes checked behind a large block, if its page has them.
const LARGE_CANARY: usize = 16;

/// Bases of slots that misuse damaged: they may be out of use for good.
static TAINTED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

fn taint(base: usize) {
    TAINTED.lock().unwrap().insert(base);
}

fn is_tainted(base: usize) -> bool {
    TAINTED.lock().unwrap().contains(&base)
}

/// Writes `len` bytes that are no poison.
fn damage(addr: usize, len: usize, value: u8) {
    let value = if POISON.contains(&value) { !value } else { value };
    // SAFETY: mapped memory of the heap; writing it is the misuse under test.
    unsafe { (addr as *mut u8).write_bytes(value, len) };
}

impl World {
    /// Commits a misuse and notes what must be told.
    pub fn commit(&mut self, misuse: &Misuse) {
        match *misuse {
            Misuse::WriteAfterFree { which, offset, len, value } => {
                self.write_after_free(which, offset, len, value);
            }
            Misuse::DoubleFree { which } => self.free_again(which, |block| {
                // SAFETY: the second free is the misuse under test.
                unsafe { heap::free(block, FREE_SITE) };
            }),
            Misuse::ReallocFreed { which, size } => self.free_again(which, |block| {
                // SAFETY: as above.
                assert!(unsafe { heap::realloc(block, size, FREE_SITE) }.is_null());
            }),
            Misuse::InteriorFree { which, offset } => self.free_inside(which, offset, |addr| {
                // SAFETY: freeing inside a block is the misuse under test.
                unsafe { heap::free(addr, FREE_SITE) };
            }),
            Misuse::InteriorRealloc { which, offset } => self.free_inside(which, offset, |addr| {
                // SAFETY: as above.
                assert!(unsafe { heap::realloc(addr, 40, FREE_SITE) }.is_null());
            }),
            Misuse::Overflow { which, len, value } => self.overflow(which, len, value),
            Misuse::Underflow { which, len, value } => self.underflow(which, len, value),
            Misuse::ForeignFree { offset } => self.free_foreign(offset),
        }
    }

    fn expect(&mut self, serial: u32, base: usize, kind: MisuseKind) {
        self.expected.insert(serial, kind);
        taint(base);
    }

    /// A freed object that is still there, and what the heap knows of it.
    fn gone(&self, which: usize) -> Option<(usize, Block)> {
        let at = which.checked_rem(self.gone.len())?;
        let gone = &self.gone[at];
        let known = lookup(gone.base)?;
        let is_same = known.base == gone.base && known.alloc_site == gone.serial as usize;
        (is_same && known.state == BlockState::Freed).then_some((at, known))
    }

    fn write_after_free(&mut self, which: usize, offset: usize, len: usize, value: u8) {
        let Some((at, known)) = self.gone(which) else { return };
        let gone = &mut self.gone[at];
        // Who freed it is known while it is in quarantine.
        let is_kept = known.free_site == FREE_SITE && freed_intact(gone.base) == Some(true);
        if gone.mark != Mark::Clean || !is_kept || gone.size == 0 {
            return;
        }
        let offset = offset % gone.size;
        damage(gone.base + offset, len.min(gone.size - offset), value);
        gone.mark = Mark::Told;
        let (serial, base) = (gone.serial, gone.base);
        self.expect(serial, base, MisuseKind::UseAfterFreeWrite);
    }

    /// Frees a freed block again: told once, however often.
    fn free_again(&mut self, which: usize, call: impl Fn(*mut u8)) {
        let Some((at, _)) = self.gone(which) else { return };
        let gone = &mut self.gone[at];
        let was = core::mem::replace(&mut gone.mark, Mark::Told);
        let (serial, base) = (gone.serial, gone.base);
        match was {
            Mark::Clean => {
                call(base as *mut u8);
                self.expect(serial, base, MisuseKind::DoubleFree);
                self.check_latest(serial);
            }
            // Again, of an object that was told of.
            _ if self.expected.get(&serial) == Some(&MisuseKind::DoubleFree) => {
                call(base as *mut u8);
            }
            _ => {}
        }
    }

    fn check_latest(&mut self, serial: u32) {
        let latest = self.take_told().expect("told at once");
        assert_eq!(latest.alloc_site, serial as usize, "{latest:x?}");
        assert!(!latest.late && latest.caller == FREE_SITE, "{latest:x?}");
    }

    fn clean_live(&mut self, which: usize) -> Option<&mut Live> {
        let at = which.checked_rem(self.live.len())?;
        Some(&mut self.live[at]).filter(|block| block.mark == Mark::Clean)
    }

    fn free_inside(&mut self, which: usize, offset: usize, call: impl Fn(*mut u8)) {
        let Some(block) = self.clean_live(which).filter(|block| block.size > 1) else { return };
        block.mark = Mark::Told;
        let (serial, base) = (block.serial, block.base);
        call((base + 1 + offset % (block.size - 1)) as *mut u8);
        self.expect(serial, base, MisuseKind::InvalidFree);
        self.check_latest(serial);
    }

    fn overflow(&mut self, which: usize, len: usize, value: u8) {
        let Some(block) = self.clean_live(which) else { return };
        let end = block.base + block.size;
        let room = match block.is_small() {
            true => block.counted - block.size,
            // A block that ends with its page has a trap behind it.
            false if end.is_multiple_of(PAGE) => return,
            false => LARGE_CANARY.min(end.next_multiple_of(PAGE) - end),
        };
        damage(end, len.min(room), value);
        block.mark = Mark::Overflowed;
        let (serial, base) = (block.serial, block.base);
        self.expect(serial, base, MisuseKind::HeapBufferOverflow);
    }

    /// Writes into the end of the slot in front, behind whatever lay there.
    fn underflow(&mut self, which: usize, len: usize, value: u8) {
        let Some(block) = self.clean_live(which) else { return };
        // Larger slots do not end in poison.
        if !block.is_small() || block.counted > PAGE {
            return;
        }
        let (serial, base, slot) = (block.serial, block.base, block.counted);
        let Some(front) = lookup(base - 1) else { return };
        // One byte behind its end stays: damaged, it would be the front's own.
        let room = (slot - front.size).saturating_sub(1).min(LARGE_CANARY);
        if room == 0 || front.base + slot != base {
            return;
        }
        let is_live = front.state == BlockState::Live;
        if !is_live && is_tainted(front.base) {
            return;
        }
        let fronts = self.live.iter_mut().chain(&mut self.gone);
        let mut fronts = fronts.filter(|other| other.serial as usize == front.alloc_site);
        match fronts.next() {
            Some(other) if other.mark == Mark::Clean => other.mark = Mark::InFront,
            // A freed block of long ago, not to be misused any more.
            None if !is_live => {}
            _ => return,
        }
        let len = len.min(room);
        damage(base - len, len, value);
        taint(front.base);
        let block = self.live.iter_mut().find(|block| block.serial == serial);
        block.expect("still live").mark = Mark::Underflowed;
        self.expect(serial, base, MisuseKind::HeapBufferUnderflow);
    }

    fn free_foreign(&mut self, offset: usize) {
        static IN_STATIC: u64 = 0;
        let on_stack = 0_u64;
        let places = [&raw const on_stack as usize, &raw const IN_STATIC as usize, 1 << 12];
        let addr = places[offset % 3] + offset / 3 % 100;
        // SAFETY: freeing what is no block is the misuse under test.
        unsafe { heap::free(addr as *mut u8, FREE_SITE) };
        self.foreign += 1;
    }
}
