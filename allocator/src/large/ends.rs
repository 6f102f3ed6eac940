//! The bytes behind live large blocks, looked at while their owners go on.
//!
//! Ground rules. The program's memory may go at any time, so the kernel copies
//! the bytes. They count only if the slot's number of changes is even, the same
//! before and after, and the block is the one that was looked at: a resize makes
//! the number odd before it touches anything behind the block, and even once the
//! block has its new size, before the program may write there.

use core::sync::atomic::{Ordering::Acquire, fence};

use crate::depot::{DEPOTS, LARGE_META};
use crate::observer::{Block, Misuse, MisuseKind, deliver};
use crate::os;
use crate::place::Slot;
use crate::poison::POISON_FREE;
use crate::slot::{LIVE, REPORTED, STATE};

use super::canary::canary_end;
use super::meta::meta;

/// Bytes looked at behind a block: who overflows by more hits these, too.
const LOOK: usize = 256;

/// The first damaged bytes behind a block of `size` bytes at `base` whose canary
/// has `canary` bytes. None if there are none, or they cannot be read.
pub fn damage_behind(block: &Block, canary: usize) -> Option<Misuse> {
    let mut bytes = [POISON_FREE; LOOK];
    let bytes = &mut bytes[..canary.min(LOOK)];
    if bytes.is_empty() || !os::read_any(block.base + block.size, bytes) {
        return None;
    }
    let first = bytes.iter().position(|&byte| byte != POISON_FREE)?;
    let last = bytes.iter().rposition(|&byte| byte != POISON_FREE)?;
    let offset = block.size + first;
    let kind = MisuseKind::HeapBufferOverflow;
    let mut misuse = Misuse::of(kind, block.base + offset, Some(*block), 0);
    misuse.len = last - first + 1;
    misuse.late = true;
    let start = offset & !15;
    if !os::read_any(block.base + start, &mut misuse.found) {
        return None;
    }
    misuse.expected = misuse.found;
    let keep = block.size.saturating_sub(start).min(16);
    misuse.expected[keep..].fill(POISON_FREE);
    Some(misuse)
}

/// What looking at a block costs, as bytes read otherwise: a system call.
const COST: usize = 4096;

/// Looks at the live blocks of a class from slot `at` on, as far as the budget
/// reaches; how many were damaged. They are told of, and their slots retired when
/// they are freed.
pub fn sweep_ends(class: usize, at: &mut u32, budget: &mut usize) -> usize {
    let bump = DEPOTS[class].bump();
    let mut damaged = 0;
    while *at < bump && *budget > 0 {
        *budget = budget.saturating_sub(LARGE_META);
        damaged += is_damaged(Slot { class, index: *at as usize }, budget) as usize;
        *at += 1;
    }
    damaged
}

fn is_damaged(slot: Slot, budget: &mut usize) -> bool {
    let meta = meta(slot);
    let (changes, flags) = (meta.changes(), meta.flags());
    let is_looked_at = flags & (STATE | REPORTED) == LIVE && changes.is_multiple_of(2);
    if !is_looked_at {
        return false;
    }
    *budget = budget.saturating_sub(COST);
    let Some(block) = meta.block(slot.start()) else { return false };
    let len = block.base - slot.base() + block.size;
    let canary = canary_end(slot, meta, len).saturating_sub(len);
    let Some(misuse) = damage_behind(&block, canary) else { return false };
    fence(Acquire);
    let is_true = meta.changes() == changes && meta.swap(flags, flags | REPORTED);
    if is_true {
        deliver(&misuse);
    }
    is_true
}
