//! Slots that were never used, or are as if they were not because their memory was
//! given back. What is written to one in front of a block comes from that block;
//! what else is written to one that was used comes from who freed it.
//!
//! Ground rules. A slot that was never used is zero (the pad in front of a class's
//! first slot ends in `POISON_END`), but for the poison that a thread may be
//! writing just now, as it hands the slot out. Anything else was written by
//! somebody who has no business there, if the slot still is unused after its
//! bytes were read. Nobody clears it: another thread may get the slot any time.
//! That it was told is kept in the slot's own REPORTED flag.

use core::sync::atomic::{Ordering::Acquire, fence};

use crate::observer::{Block, BlockState, Misuse, MisuseKind, deliver};
use crate::os::{self, PAGE};
use crate::place::Slot;
use crate::poison::{POISON_END, POISON_FREE, TAIL_LIMIT};
use crate::report::{self, Damage};
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

/// Whether a free slot whose memory was given back still reads as zero. It is about
/// to be handed out, so its pages are made writable at once; not those of a slot
/// above [`TAIL_LIMIT`], of which the program may never touch some.
pub fn is_zero(slot: Slot) -> bool {
    if slot.bytes() > TAIL_LIMIT {
        return written(slot).is_none();
    }
    // SAFETY: the caller's slot. Nothing is changed; reading first would cost a
    // second page fault.
    unsafe {
        let first = slot.base() as *mut u8;
        core::arch::asm!("lock or byte ptr [{}], 0", in(reg) first, options(nostack));
        words(slot.base(), slot.bytes()).iter().fold(0, |any, word| any | word) == 0
    }
}

/// # Safety
///
/// * `len` bytes from `base` are readable; both are multiples of eight.
unsafe fn words<'a>(base: usize, len: usize) -> &'a [u64] {
    // SAFETY: passed on.
    unsafe { core::slice::from_raw_parts(base as *const u64, len / 8) }
}

/// Up to 64 pages, and which of them have memory.
struct Touched {
    start: usize,
    bits: u64,
}

impl Touched {
    /// Asks the kernel for the pages of a range.
    fn of(start: usize, end: usize) -> Touched {
        let start = start & !(PAGE - 1);
        Touched { start, bits: os::resident(start, (end - start).div_ceil(PAGE)) }
    }

    fn has(&self, at: usize) -> bool {
        self.bits & 1 << ((at - self.start) / PAGE) != 0
    }
}

/// The first of some slots next to each other to which anything was written since
/// their memory was given back; and how many bytes were read. They lie in 64 pages.
pub fn first_written(mut slots: impl Iterator<Item = Slot> + Clone) -> (Option<Slot>, usize) {
    let last = slots.clone().last();
    let Some((first, last)) = slots.clone().next().zip(last) else { return (None, 0) };
    let touched = Touched::of(first.base(), last.base() + last.bytes());
    let read = touched.bits.count_ones() as usize * PAGE;
    if touched.bits == 0 {
        return (None, 0);
    }
    (slots.find(|slot| written_in(*slot, &touched).is_some()), read)
}

/// What was written to a free slot whose memory was given back.
fn written(slot: Slot) -> Option<Damage> {
    written_in(slot, &Touched::of(slot.base(), slot.base() + slot.bytes()))
}

/// The same. Pages that nobody touched are not read, for that would touch them.
fn written_in(slot: Slot, touched: &Touched) -> Option<Damage> {
    let (base, end) = (slot.base(), slot.base() + slot.bytes());
    let mut found: Option<Damage> = None;
    let mut at = base;
    while at < end {
        let to = end.min((at & !(PAGE - 1)) + PAGE);
        if touched.has(at) {
            // SAFETY: bytes of the slot, which is mapped.
            let is_damage = |at: &usize| unsafe { (*at as *const u8).read_volatile() } != 0;
            // SAFETY: as above; pages and slots are multiples of eight.
            let is_clean = unsafe { words(at, to - at).iter().all(|&word| word == 0) };
            if !is_clean && let Some(first) = (at..to).find(is_damage) {
                let last = (first..to).rev().find(is_damage).unwrap_or(first);
                let first = found.map_or(first - base, |found| found.first);
                found = Some(Damage { first, last: last - base });
            }
        }
        at = to;
    }
    found
}

/// Tells what was written to such a slot, which is retired by now.
pub fn tell_stale(slot: Slot) {
    let Some(block) = slot.block() else { return };
    let Some(damage) = written(slot) else { return };
    // Of whom nothing is known any more, it was the whole slot.
    let size = if block.size == 0 { slot.bytes() } else { block.size };
    let block = Block { state: BlockState::Freed, size, ..block };
    let mut misuse = report::small_damage(slot, &block, damage, 0);
    misuse.expected = [0; SHOWN];
    misuse.late = true;
    deliver(&misuse);
}
