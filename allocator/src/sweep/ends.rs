//! What surrounds live small blocks: the bytes behind each to its slot's end, and
//! those in front of one whose neighbour was never used.
//!
//! Ground rules. The damage of a live block is proven as `suspicion` says, that of
//! a slot which was never used as `fresh` says. All is looked at under the class's
//! lock: it keeps other sweeps out, and the memory of a slot that is freed
//! meanwhile from going back to the system.
//!
//! The memory of a live block is the program's, and it may have taken the access
//! to it away. That is asked of the kernel wherever a protected page could reach
//! behind a block: its end lies in a page that begins inside it.

use core::sync::atomic::{Ordering::Acquire, fence};

use super::spend;
use super::suspicion::{Proof, is_checked};
use crate::depot::DEPOTS;
use crate::observer::{Misuse, deliver};
use crate::os::PAGE;
use crate::place::Slot;
use crate::poison::{self, TAIL_LIMIT};
use crate::report::{self, Damage};
use crate::slot::{REPORTED, Word};
use crate::{fresh, os};

/// Slots whose ends are fetched ahead.
const AHEAD: u32 = 16;
/// What looking at a live block costs: one line of memory.
const BYTES_A_BLOCK: usize = 64;

/// Looks at the live blocks of a class from slot `from` on; how many were damaged.
pub fn sweep_ends(class: usize, from: &mut u32, budget: &mut usize) -> usize {
    let bump = DEPOTS[class].bump();
    let mut damaged = 0;
    while *from < bump && *budget > 0 {
        let end = bump.min(*from + AHEAD);
        // Slot 0 is nobody's.
        let slots = (*from).max(1)..end;
        *from = end;
        let mut live = 0;
        for slot in slots.clone().map(|index| Slot { class, index: index as usize }) {
            let word = slot.meta().load();
            if is_checked(word) {
                live += 1;
                // SAFETY: a prefetch does not fault.
                unsafe {
                    let end = (slot.base() + word.size()) as *const i8;
                    core::arch::x86_64::_mm_prefetch::<0>(end);
                }
            }
        }
        spend(budget, slots.len() * size_of::<Word>() + live * BYTES_A_BLOCK);
        if live == 0 {
            continue;
        }
        let mut mapped = DEPOTS[class].lock();
        for slot in slots.map(|index| Slot { class, index: index as usize }) {
            if let Some(misuse) = look(slot) {
                drop(mapped);
                deliver(&misuse);
                damaged += 1;
                mapped = DEPOTS[class].lock();
            }
        }
    }
    damaged
}

/// Looks at one slot, under the class's lock.
fn look(slot: Slot) -> Option<Misuse> {
    let word = slot.meta().load();
    if !is_checked(word) {
        return None;
    }
    fence(Acquire);
    if is_damaged(slot, word) {
        prove(slot, word)
    } else if fresh::front(slot).is_some() {
        underflow(slot, word)
    } else {
        None
    }
}

/// Whether the bytes behind the block that a word describes are damaged.
fn is_damaged(slot: Slot, word: Word) -> bool {
    let (base, size) = (slot.base(), word.size());
    if size >= slot.bytes() || !may_read(base, size) {
        return false;
    }
    // SAFETY: a slot that was live under the lock is mapped while it is held, and
    // the program lets its end be read.
    !unsafe { poison::end_holds(base as *const u8, size, slot.bytes()) }
}

/// Whether the program cannot have taken the access to a block's end away, or
/// has not: a page that begins in front of the block is not its own.
pub fn may_read(base: usize, size: usize) -> bool {
    let page = (base + size) & !(PAGE - 1);
    let is_its_own = page >= base && (base.is_multiple_of(PAGE) || size >= PAGE);
    !is_its_own || os::is_readable(page)
}

/// Proves that the bytes behind a live block are damaged; under the class's lock.
#[cold]
fn prove(slot: Slot, word: Word) -> Option<Misuse> {
    let mut proof = Proof::Mark(word);
    loop {
        proof = match proof.step(slot.meta(), |word| describe(slot, word)) {
            Proof::Done(misuse) => return misuse,
            next => next,
        };
    }
}

fn describe(slot: Slot, word: Word) -> Option<Misuse> {
    let (base, size, bytes) = (slot.base(), word.size(), slot.bytes());
    if size >= bytes || !may_read(base, size) {
        return None;
    }
    let end = if bytes > TAIL_LIMIT { (size | 7) + 1 } else { bytes };
    // SAFETY: as in `is_damaged`.
    let (first, last) = unsafe { poison::damage(base as *const u8, size, end, bytes) }?;
    let damage = Damage { first, last };
    let mut misuse = report::small_damage(slot, &slot.block_of(word), damage, 0);
    misuse.late = true;
    Some(misuse)
}

/// Bytes written in front of a live block to a slot that was never used.
fn underflow(slot: Slot, word: Word) -> Option<Misuse> {
    let mut misuse = fresh::underflow(slot, 0)?;
    // From here on it is told, whoever comes next.
    let told = Word(word.0 | REPORTED as u64);
    misuse.late = true;
    (slot.meta().swap(word, told) && fresh::mark(slot)).then_some(misuse)
}
