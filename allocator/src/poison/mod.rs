//! The free pattern: writing it and proving that it still holds.
//!
//! A free slot is all [`POISON_FREE`] but for its last byte, [`POISON_END`].
//! The part of it behind a live block's requested size stays in place and is
//! the block's canary, so recycled slots need no store for it.
//!
//! Slots are multiples of 16 bytes and 16-aligned. 16 bytes a step (SSE2, which
//! every x86-64 has) inline; longer runs go through AVX2 or AVX-512 where the
//! processor has it. Above [`TAIL_LIMIT`] a fresh slot gets only the first canary word,
//! because the rest may lie on a page the program never touches.
//!
//! What is verified is nobody's but the heap's, yet a program with a bug may write
//! there at any moment: finding that is the purpose. The bytes are loaded as they
//! are; whatever a load in the middle of such a write gives, it is damage or is
//! found next time.

use core::arch::x86_64::*;

mod fill;
mod level;
mod verify;

pub use fill::{fill, fill_in_order, fill_plain};
pub use verify::{batch_holds, holds, plain_holds};

/// Byte that fills a free slot.
pub const POISON_FREE: u8 = 0x6b;
/// Last byte of a free slot: tells "written past the end of a smaller type"
/// from "written in the middle".
pub const POISON_END: u8 = 0xa5;

/// Up to this slot size all bytes behind the requested size are poison from the
/// first hand-out on; above, only the eight-byte word that holds the first.
pub const TAIL_LIMIT: usize = 4096;

/// A block up to this size is filled by its size in slots of any: [`write_canary`]
/// poisons all behind it.
const SHORT: usize = 64 | 7;

const WORD: u64 = u64::from_ne_bytes([POISON_FREE; 8]);
const END_WORD: u64 = WORD & !(0xff << 56) | (POISON_END as u64) << 56;

/// Asks the processor, before a fast path has to: there the answer is waited for
/// in the middle of a step, and outside the heap's section.
pub fn prepare() {
    level::detect();
}

/// The poison word at offset `size & !7` of a slot.
#[inline(always)]
pub fn word_at(size: usize, slot: usize) -> u64 {
    if (size & !7) + 8 == slot { END_WORD } else { WORD }
}

/// Whether the canary word of a block holds: the bytes from `size` to the next
/// multiple of eight.
///
/// # Safety
///
/// * `base` starts a slot of `slot` readable bytes, `size < slot`.
#[inline(always)]
pub unsafe fn canary_holds(base: *const u8, size: usize, slot: usize) -> bool {
    // SAFETY: `size < slot` and slots are multiples of 16, so the word is inside.
    let word = unsafe { base.add(size & !7).cast::<u64>().read() };
    (word ^ word_at(size, slot)) >> (8 * (size & 7)) == 0
}

/// Whether the bytes behind a block hold: to its slot's end, or above
/// [`TAIL_LIMIT`] in the canary word.
///
/// # Safety
///
/// * As for [`canary_holds`].
pub unsafe fn end_holds(base: *const u8, size: usize, slot: usize) -> bool {
    let end = if slot > TAIL_LIMIT { 0 } else { slot };
    // SAFETY: passed on; slots are multiples of eight.
    unsafe {
        canary_holds(base, size, slot)
            && ((size | 7) + 1..end).step_by(8).all(|at| word_holds(base, at, slot))
    }
}

/// Whether the whole word that holds byte `size` is poison: in a free slot.
///
/// # Safety
///
/// * As for [`canary_holds`].
#[inline(always)]
pub unsafe fn word_holds(base: *const u8, size: usize, slot: usize) -> bool {
    // SAFETY: as above.
    unsafe { base.add(size & !7).cast::<u64>().read() == word_at(size, slot) }
}

/// Writes the canary of a fresh block, or of one that was resized in place.
///
/// # Safety
///
/// * `base` starts a slot of `slot` writable bytes that the caller owns, and
///   `size < slot`. Bytes from `dirty` (at least `size`) on are poison already,
///   or none are and `dirty == slot`.
pub unsafe fn write_canary(base: *mut u8, size: usize, dirty: usize, slot: usize) {
    let is_partial = slot > TAIL_LIMIT && size > SHORT;
    let end = if is_partial { (size | 7) + 1 } else { dirty.max((size | 7) + 1).min(slot) };
    // A sweep may be looking: no byte is for a moment what it must not be.
    let plain = if end == slot { slot - 1 } else { end };
    // SAFETY: `size <= plain <= slot`.
    unsafe { base.add(size).write_bytes(POISON_FREE, plain - size) };
    if end == slot {
        // SAFETY: the slot's last byte.
        unsafe { base.add(slot - 1).write(POISON_END) };
    }
}

/// [`write_canary`] for a slot that was never used and reads as zero.
///
/// # Safety
///
/// * `base` starts a slot of `slot` writable bytes, all zero, that the caller owns;
///   `size < slot`.
#[inline(always)]
pub unsafe fn write_fresh_canary(base: *mut u8, size: usize, slot: usize) {
    let len = slot - size;
    if len > 16 {
        // SAFETY: passed on.
        return unsafe { write_canary(base, size, slot, slot) };
    }
    // SAFETY: slots have at least 16 bytes; those in front of `size` stay zero.
    unsafe {
        let pattern = _mm_loadu_si128(LAST_BYTES.as_ptr().cast());
        let mask = _mm_loadu_si128(MASK.as_ptr().add(len).cast());
        _mm_storeu_si128(base.add(slot - 16).cast(), _mm_and_si128(pattern, mask));
    }
}

/// The last sixteen bytes of a free slot.
static LAST_BYTES: [u8; 16] = {
    let mut bytes = [POISON_FREE; 16];
    bytes[15] = POISON_END;
    bytes
};
/// Sixteen bytes from `n` on: the last `n` of them are set.
static MASK: [u8; 32] = {
    let mut mask = [0; 32];
    let mut at = 16;
    while at < 32 {
        mask[at] = 0xff;
        at += 1;
    }
    mask
};

/// The byte a free slot holds at an offset.
pub fn expected_at(offset: usize, slot: usize) -> u8 {
    if offset + 1 == slot { POISON_END } else { POISON_FREE }
}

/// First and last damaged offset in `from..to` of a slot; the plain reference
/// for everything above. For a large block pass `slot = usize::MAX`.
///
/// # Safety
///
/// * `base + from..base + to` is readable.
pub unsafe fn damage(
    base: *const u8,
    from: usize,
    to: usize,
    slot: usize,
) -> Option<(usize, usize)> {
    // SAFETY: offsets in `from..to` are readable.
    let bad = |at: &usize| unsafe { base.add(*at).read_volatile() } != expected_at(*at, slot);
    let first = (from..to).find(bad)?;
    let last = (first..to).rev().find(bad)?;
    Some((first, last))
}

#[cfg(test)]
mod tests {
    use super::level::{Level, detect, level};
    use super::*;
    use crate::class::{SLOT_SIZE, SMALL_CLASSES, of_small};
    use proptest::prelude::*;

    #[repr(align(16))]
    struct Slot([u8; 32 << 10]);

    fn poisoned(size: usize, slot: usize) -> Box<Slot> {
        let mut memory = Box::new(Slot([0x11; 32 << 10]));
        let base = memory.0.as_mut_ptr();
        // SAFETY: `slot` bytes are there; first hand-out, then use, then free.
        unsafe {
            write_canary(base, size, slot, slot);
            base.write_bytes(0x22, size);
            assert!(canary_holds(base, size, slot), "{size} in {slot}");
            fill(base, size, slot);
        }
        memory
    }

    /// What each vector width that the processor has says of a slot.
    fn verdicts(base: *const u8, slot: usize) -> Vec<bool> {
        detect();
        // SAFETY: `slot` bytes are there; only widths that exist are asked.
        unsafe {
            let mut all = vec![holds(base, slot), verify::batch_sse2(base, slot, &[0])];
            if slot >= 32 && level() >= Level::Avx2 {
                all.push(verify::batch_avx2(base, slot, &[0]));
            }
            if slot >= 64 && level() >= Level::Avx512 {
                all.push(verify::batch_avx512(base, slot, &[0]));
            }
            all.push(damage(base, 0, slot, slot).is_none());
            all
        }
    }

    #[test]
    fn a_filled_slot_holds_for_every_size() {
        for size in (0..2100).chain((2100..32768).step_by(37)) {
            let slot = SLOT_SIZE[of_small(size)];
            let memory = poisoned(size, slot);
            let verdicts = verdicts(memory.0.as_ptr(), slot);
            assert!(verdicts.iter().all(|&holds| holds), "{size} in {slot}: {verdicts:?}");
            // SAFETY: `slot` bytes are there.
            assert!(unsafe { word_holds(memory.0.as_ptr(), size, slot) });
        }
    }

    #[test]
    fn a_fresh_canary_is_the_canary_and_nothing_else() {
        for size in (0..4096).chain((4096..32768).step_by(31)) {
            let slot = SLOT_SIZE[of_small(size)];
            let (mut fresh, mut plain) =
                (Box::new(Slot([0; 32 << 10])), Box::new(Slot([0; 32 << 10])));
            // SAFETY: `slot` bytes are there.
            unsafe {
                write_fresh_canary(fresh.0.as_mut_ptr(), size, slot);
                write_canary(plain.0.as_mut_ptr(), size, slot, slot);
            }
            // Above the limit the plain one stops at the word: this one need not.
            let end = if slot > TAIL_LIMIT { (size | 7) + 1 } else { slot };
            assert!(fresh.0[..end] == plain.0[..end], "{size} in {slot}");
            // SAFETY: as above.
            assert!(unsafe { end_holds(fresh.0.as_ptr(), size, slot) }, "{size} in {slot}");
        }
    }

    #[test]
    fn a_short_block_in_any_slot_is_filled_whole() {
        for &slot in &SLOT_SIZE[..SMALL_CLASSES] {
            for size in (0..100).filter(|&size| size < slot) {
                let mut memory = poisoned(size, slot);
                // SAFETY: `slot` bytes are there.
                let damaged = unsafe { damage(memory.0.as_ptr(), 0, slot, slot) };
                assert_eq!(damaged, None, "{size} in {slot}");
                memory.0[..size].fill(1);
                // SAFETY: as above.
                unsafe { fill_in_order(memory.0.as_mut_ptr(), size, slot) };
                // SAFETY: as above.
                let damaged = unsafe { damage(memory.0.as_ptr(), 0, slot, slot) };
                assert_eq!(damaged, None, "{size} in {slot}");
            }
        }
    }

    #[test]
    fn every_damaged_byte_of_every_small_slot_is_found() {
        for &slot in &SLOT_SIZE[..SMALL_CLASSES] {
            let mut memory = poisoned(slot - 1, slot);
            let step = if slot > 1024 { 61 } else { 1 };
            for at in (0..slot).step_by(step).chain([slot - 1]) {
                memory.0[at] ^= 0x10;
                let verdicts = verdicts(memory.0.as_ptr(), slot);
                assert!(verdicts.iter().all(|holds| !holds), "{at} in {slot}: {verdicts:?}");
                // SAFETY: `slot` bytes are there.
                let damage = unsafe { damage(memory.0.as_ptr(), 0, slot, slot) };
                assert_eq!(damage, Some((at, at)));
                memory.0[at] ^= 0x10;
            }
        }
    }

    /// Damage behind the word that `free` looks at is for the verification to find.
    #[test]
    fn a_fill_leaves_what_is_behind_its_last_word() {
        for size in 0..4000_usize {
            let slot = SLOT_SIZE[of_small(size)];
            let mut memory = poisoned(size, slot);
            for at in (size | 7) + 1..slot {
                memory.0[at] ^= 1;
                // SAFETY: `slot` bytes are there.
                unsafe { fill(memory.0.as_mut_ptr(), size, slot) };
                assert_ne!(memory.0[at], expected_at(at, slot), "{at} of {size} in {slot}");
                // SAFETY: as above.
                unsafe { fill_in_order(memory.0.as_mut_ptr(), size, slot) };
                assert_ne!(memory.0[at], expected_at(at, slot), "{at} of {size} in {slot}");
                memory.0[at] ^= 1;
            }
        }
    }

    proptest! {
        #[test]
        fn the_canary_sees_each_byte_of_its_word(size in 0..32768usize, delta in 0..8usize) {
            let slot = SLOT_SIZE[of_small(size)];
            let mut memory = poisoned(size, slot);
            let at = size + delta;
            prop_assume!(at < slot);
            memory.0[at] ^= 1;
            // SAFETY: `slot` bytes are there.
            let found = unsafe { !canary_holds(memory.0.as_ptr(), size, slot) };
            prop_assert_eq!(found, at <= size | 7);
        }

        #[test]
        fn every_width_fills_the_same(len in 64..5000usize) {
            detect();
            type Fill = unsafe fn(*mut u8, usize);
            // A function with a target feature is no pointer: hence the closures.
            // SAFETY: passed on.
            let mut widths: Vec<Fill> = vec![|base, len| unsafe { fill::fill_sse2(base, len) }];
            if level() >= Level::Avx2 {
                // SAFETY: passed on; the processor has it.
                widths.push(|base, len| unsafe { fill::fill_avx2(base, len) });
            }
            if level() >= Level::Avx512 {
                // SAFETY: as above.
                widths.push(|base, len| unsafe { fill::fill_avx512(base, len) });
            }
            for fill in widths {
                let mut memory = Box::new(Slot([0; 32 << 10]));
                // SAFETY: `len` bytes are there.
                unsafe { fill(memory.0.as_mut_ptr(), len) };
                prop_assert!(memory.0[..len].iter().all(|&byte| byte == POISON_FREE));
                prop_assert!(memory.0[len..].iter().all(|&byte| byte == 0));
            }
        }

        #[test]
        fn plain_runs_match_the_reference(len in 0..5000usize, hit in any::<prop::sample::Index>()) {
            let mut memory = Box::new(Slot([0; 32 << 10]));
            // SAFETY: `len` bytes are there.
            unsafe {
                fill_plain(memory.0.as_mut_ptr(), len);
                prop_assert!(plain_holds(memory.0.as_ptr(), len));
                prop_assert_eq!(memory.0[len], 0);
                if len > 0 {
                    memory.0[hit.index(len)] = 0;
                    prop_assert!(!plain_holds(memory.0.as_ptr(), len));
                }
            }
        }
    }
}
