//! The slot in front of a block, if it was never used: what is written there comes
//! from the block behind.
//!
//! Ground rules. A slot that was never used is zero (the pad in front of a class's
//! first slot ends in `POISON_END`), but for the poison that a thread may be
//! writing just now, as it hands the slot out. Anything else was written by
//! somebody who has no business there, if the slot still is unused after its
//! bytes were read. Nobody clears it: another thread may get the slot any time.
//! That it was told is kept in the slot's own REPORTED flag.

use core::sync::atomic::{Ordering::Acquire, fence};

use crate::observer::{Misuse, MisuseKind};
use crate::place::Slot;
use crate::poison::{POISON_END, POISON_FREE};
use crate::slot::{NEVER, REPORTED, STATE};

/// Bytes looked at.
const IN_FRONT: usize = 32;
/// Bytes shown.
const SHOWN: usize = 16;

/// The slot in front of a small one, if it was never used and nothing was told
/// of it.
pub fn front(slot: Slot) -> Option<Slot> {
    let front = Slot { index: slot.index.checked_sub(1)?, ..slot };
    (front.meta().load().flags() & (STATE | REPORTED) == NEVER).then_some(front)
}

/// Notes that damage in front of `slot` is told; false if somebody else did, or
/// the slot in front is in use by now.
pub fn mark(slot: Slot) -> bool {
    front(slot).is_some_and(|front| front.meta().swap_flags(NEVER, NEVER | REPORTED))
}

/// What the block in `slot` wrote in front of itself, to a slot never used.
pub fn underflow(slot: Slot, caller: usize) -> Option<Misuse> {
    let end = front(slot)?.base() + slot.bytes();
    let bytes = IN_FRONT.min(slot.bytes());
    let is_damaged = |at: &usize| {
        // SAFETY: up to `bytes` in front of the slot lies the slot in front. It
        // exists, and a slot in front of one that was handed out is mapped.
        let byte = unsafe { ((end - at) as *const u8).read_volatile() };
        byte != 0 && byte != POISON_FREE && !(byte == POISON_END && *at == 1)
    };
    let first = (1..=bytes).rev().find(is_damaged)?;
    let last = (1..=first).find(is_damaged)?;
    fence(Acquire);
    front(slot)?;
    let block = slot.block()?;
    let kind = MisuseKind::HeapBufferUnderflow;
    let mut misuse = Misuse::of(kind, end - first, Some(block), caller);
    misuse.free_site = 0;
    misuse.len = first - last + 1;
    let shown = (end - first) & !(SHOWN - 1);
    // SAFETY: as above; slots are multiples of 16 bytes.
    misuse.found = unsafe { (shown as *const [u8; SHOWN]).read_volatile() };
    misuse.expected = core::array::from_fn(|at| {
        let is_damage = (end - first..=end - last).contains(&(shown + at));
        if is_damage { 0 } else { misuse.found[at] }
    });
    Some(misuse)
}
