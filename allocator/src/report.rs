//! From damaged bytes to a misuse.
//!
//! Cold code: every function here may be called only when the bins are
//! consistent and no lock is held, since it ends in the observer.

use crate::cache::{Cache, Pending};
use crate::observer::{Block, BlockState, Misuse, MisuseKind, deliver, resolve};
use crate::place::Slot;
use crate::poison::{self, expected_at};
use crate::slot::{LIVE, RETIRED};

/// Bytes shown around the first damaged one.
const SHOWN: usize = 16;

/// Damaged bytes of a block: offsets of the first and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Offset of the first damaged byte.
    pub first: usize,
    /// Offset of the last one.
    pub last: usize,
}

/// Describes damage. `keep` bytes at the block's start are the program's, so
/// they are as expected; `slot` is the slot's size (`usize::MAX` if its last
/// byte is nothing special).
pub fn damaged(
    kind: MisuseKind,
    block: &Block,
    damage: Damage,
    keep: usize,
    slot: usize,
    caller: usize,
) -> Misuse {
    let mut misuse = Misuse::of(kind, block.base + damage.first, Some(*block), caller);
    misuse.len = damage.last - damage.first + 1;
    let start = damage.first & !(SHOWN - 1);
    for at in 0..SHOWN {
        let offset = start + at;
        // SAFETY: slots are multiples of 16 bytes, so the shown ones are inside.
        misuse.found[at] = unsafe { (block.base as *const u8).add(offset).read_volatile() };
        misuse.expected[at] =
            if offset < keep { misuse.found[at] } else { expected_at(offset, slot) };
    }
    misuse
}

/// The slot behind a small one, if a block lives in it.
fn live_neighbour(slot: Slot) -> Option<Block> {
    let next = Slot { index: slot.index + 1, ..slot };
    let exists = next.index < crate::depot::DEPOTS[slot.class].bump() as usize;
    let block = exists.then(|| next.block()).flatten();
    block.filter(|block| block.state == BlockState::Live)
}

/// Names the damage of a small slot. What begins behind the block's own first
/// canary byte and reaches the slot's end was written from the block behind.
pub fn small_damage(slot: Slot, block: &Block, damage: Damage, caller: usize) -> Misuse {
    let bytes = slot.bytes();
    let reaches_back = damage.first > block.size && damage.last == bytes - 1;
    if let Some(next) = live_neighbour(slot).filter(|_| reaches_back) {
        return underflow(slot, block, &next, damage, caller);
    }
    let freed = block.state == BlockState::Freed;
    if freed && damage.first < block.size {
        let mut misuse = damaged(MisuseKind::UseAfterFreeWrite, block, damage, 0, bytes, caller);
        misuse.late = true;
        return misuse;
    }
    let keep = if freed { 0 } else { block.size };
    damaged(MisuseKind::HeapBufferOverflow, block, damage, keep, bytes, caller)
}

/// Damage at the end of `slot`, seen from the block behind it.
pub fn underflow(slot: Slot, owner: &Block, next: &Block, damage: Damage, caller: usize) -> Misuse {
    let mut misuse =
        damaged(MisuseKind::HeapBufferUnderflow, owner, damage, owner.size, slot.bytes(), caller);
    misuse.base = next.base;
    misuse.size = next.size;
    misuse.offset = misuse.addr.wrapping_sub(next.base) as isize;
    misuse.alloc_site = next.alloc_site;
    misuse.free_site = 0;
    misuse
}

/// Tells what was found in a free slot that is retired by now.
pub fn tell_stale(slot: Slot, free_site: u32, caller: usize) {
    let bytes = slot.bytes();
    let Some(mut block) = slot.block() else { return };
    block.state = BlockState::Freed;
    if free_site != 0 {
        block.free_site = resolve(free_site);
    }
    // SAFETY: the slot exists.
    let found = unsafe { poison::damage(block.base as *const u8, 0, bytes, bytes) };
    // A slot whose damage healed meanwhile stays retired, but nothing is claimed.
    let Some((first, last)) = found else { return };
    let mut misuse = small_damage(slot, &block, Damage { first, last }, caller);
    misuse.late = true;
    deliver(&misuse);
}

/// Tells everything a cache has noted.
///
/// # Safety
///
/// * The caller owns the cache and holds no reference into it: the observer may
///   allocate.
pub unsafe fn tell_pending(cache: *mut Cache) {
    loop {
        // SAFETY: the caller owns the cache; the borrow ends here.
        let next = unsafe { if !(*cache).has_pending() { None } else { (*cache).next_pending() } };
        let Some(found) = next else { return };
        tell(found);
    }
}

#[cold]
fn tell(found: Pending) {
    let slot = Slot { class: found.class, index: found.slot.slot as usize };
    if !found.is_double_free {
        debug_assert_ne!(slot.meta().load().state(), LIVE);
        debug_assert_eq!(slot.meta().load().state(), RETIRED);
        return tell_stale(slot, found.slot.free_site, 0);
    }
    let caller = resolve(found.slot.free_site);
    let mut misuse = Misuse::of(MisuseKind::DoubleFree, slot.base(), slot.block(), caller);
    misuse.late = true;
    deliver(&misuse);
}
