//! Families of allocation functions: malloc and its like, C++'s `new`, `new[]`.
//!
//! A block that came from one family must go back to the same, and with the size
//! it was made with where the call names one.
//!
//! Ground rules. A block's family stands in flags of its slot ([`NEW`],
//! [`NEW_ARRAY`]) or in the table of huge blocks, and is written by whoever holds
//! the block. Blocks of malloc have no flag, so nothing of this is on the fast
//! paths: a flagged block's free takes the slow one. Whether anything is told is
//! a setting (`Config::new_delete`); blocks may be marked before that is known.
//! No lock is waited for that the calling thread may hold: signal handlers come
//! here too.

use crate::counters::{self, Counter};
use crate::observer::{Misuse, MisuseKind, deliver};
use crate::place::{Place, locate};
use crate::slot::{LIVE, NEW, NEW_ARRAY, REPORTED, STATE};
use crate::{config, heap, huge, large};

/// Flags of a family.
pub(crate) const FAMILY: u8 = NEW | NEW_ARRAY;

/// Who made a block, or gives it back. The numbers stand in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    /// malloc, calloc, ...; free, realloc.
    Malloc = 0,
    /// `operator new`, `operator delete`.
    New = 1,
    /// `operator new[]`, `operator delete[]`.
    NewArray = 2,
}

impl Family {
    fn of(flags: u8) -> Family {
        match flags & FAMILY {
            0 => Family::Malloc,
            NEW => Family::New,
            _ => Family::NewArray,
        }
    }

    fn flag(self) -> u8 {
        match self {
            Family::Malloc => 0,
            Family::New => NEW,
            Family::NewArray => NEW_ARRAY,
        }
    }
}

/// Notes which family made a live block that the caller holds; nothing for what
/// is no block of this heap.
pub fn mark(block: *mut u8, family: Family) {
    set(block as usize, family.flag());
}

/// Whether a live block of this heap starts there.
pub fn is_block(block: *mut u8) -> bool {
    flags(block as usize).is_some()
}

/// Frees a block for a family; `size` is what the call says the block has. What
/// the call does wrong is told, and the block is freed.
///
/// # Safety
///
/// * As for [`heap::free`].
pub unsafe fn free(block: *mut u8, family: Family, size: Option<usize>, site: usize) {
    leave(block as usize, family, size, site);
    // SAFETY: passed on.
    unsafe { heap::free(block, site) }
}

/// A block leaves its family: tells if it goes to another one or with a wrong
/// size, and takes the mark away. What is no live block's start is left to free.
#[cold]
pub(crate) fn leave(addr: usize, family: Family, size: Option<usize>, site: usize) {
    let Some(flags) = flags(addr) else { return };
    if config::checks_families() {
        check(addr, flags, family, size, site);
    }
    if flags & FAMILY != 0 {
        set(addr, 0);
    }
}

/// State and flags of the live block at `addr`.
fn flags(addr: usize) -> Option<u8> {
    let flags = match locate(addr) {
        Place::In(slot, true) if slot.is_small() => slot.meta().load().flags(),
        Place::In(slot, true) => large::meta(slot).flags(),
        Place::Huge => huge::flags(addr)?,
        Place::In(..) | Place::Foreign | Place::Nowhere => return None,
    };
    (flags & STATE == LIVE).then_some(flags)
}

/// Replaces the family's flags of the live block at `addr`.
fn set(addr: usize, flag: u8) {
    match locate(addr) {
        Place::In(slot, true) if slot.is_small() => {
            slot.meta().remove_flag(FAMILY & !flag);
            if flag != 0 {
                slot.meta().add_flag(flag);
            }
        }
        Place::In(slot, true) => large::meta(slot).replace_flags(FAMILY, flag),
        Place::Huge => huge::replace_flags(addr, FAMILY, flag),
        Place::In(..) | Place::Foreign | Place::Nowhere => {}
    }
}

fn check(addr: usize, flags: u8, family: Family, size: Option<usize>, site: usize) {
    let block = match locate(addr) {
        Place::In(slot, _) => slot.block(),
        _ => huge::live_block(addr),
    };
    let Some(block) = block else { return };
    let from = Family::of(flags);
    if from == family && size.is_none_or(|size| size == block.size) {
        return;
    }
    if flags & REPORTED != 0 {
        counters::add(Counter::RepeatedMisuses, 1);
        return;
    }
    let mut misuse = Misuse::of(MisuseKind::AllocDeallocMismatch, addr, Some(block), site);
    misuse.expected = describe(from, block.size);
    misuse.found = describe(family, size.unwrap_or(block.size));
    deliver(&misuse);
}

/// A family's number in the first byte, a size in the last eight.
fn describe(family: Family, size: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = family as u8;
    bytes[8..].copy_from_slice(&(size as u64).to_le_bytes());
    bytes
}
