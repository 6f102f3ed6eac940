//! The free pattern: writing it and proving that it still holds.
//!
//! A free slot is all [`POISON_FREE`] but for its last byte, [`POISON_END`].
//! The part of it behind a live block's requested size stays in place and is
//! the block's canary, so recycled slots need no store for it.
//!
//! Slots are multiples of 16 bytes and 16-aligned. 16 bytes a step (SSE2, which
//! every x86-64 has) inline; longer runs go through AVX2 where the processor
//! has it. Above [`TAIL_LIMIT`] a fresh slot gets only the first canary word,
//! because the rest may lie on a page the program never touches.
//!
//! What is verified is nobody's but the heap's, yet a program with a bug may write
//! there at any moment: finding that is the purpose. The bytes are loaded as they
//! are; whatever a load in the middle of such a write gives, it is damage or is
//! found next time.

use core::arch::x86_64::*;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Byte that fills a free slot.
pub const POISON_FREE: u8 = 0x6b;
/// Last byte of a free slot: tells "written past the end of a smaller type"
/// from "written in the middle".
pub const POISON_END: u8 = 0xa5;

/// Up to this slot size all bytes behind the requested size are poison from the
/// first hand-out on; above, only the eight-byte word that holds the first.
pub const TAIL_LIMIT: usize = 4096;

const WORD: u64 = u64::from_ne_bytes([POISON_FREE; 8]);
const END_WORD: u64 = WORD & !(0xff << 56) | (POISON_END as u64) << 56;
/// `rep stosb` pays from here up; below, its start-up costs more.
const STRING_STORE: usize = 1024;

/// Whether AVX2 may be used: 0 not asked yet, 1 no, 2 yes.
static AVX2: AtomicU8 = AtomicU8::new(0);

#[inline(always)]
fn has_avx2() -> bool {
    match AVX2.load(Relaxed) {
        0 => detect_avx2(),
        answer => answer == 2,
    }
}

/// Asks the processor, before a fast path has to: there the answer is waited for
/// in the middle of a step, and outside the heap's section.
pub fn prepare() {
    has_avx2();
}

#[cold]
fn detect_avx2() -> bool {
    // Processor and kernel must both support it; the macro asks both.
    let yes = std::arch::is_x86_feature_detected!("avx2");
    AVX2.store(1 + yes as u8, Relaxed);
    yes
}

/// The poison word at offset `size & !7` of a slot.
#[inline(always)]
pub fn word_at(size: usize, slot: usize) -> u64 {
    if (size | 7) + 1 == slot { END_WORD } else { WORD }
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
    let end = if slot > TAIL_LIMIT { (size | 7) + 1 } else { dirty.max((size | 7) + 1).min(slot) };
    // A sweep may be looking: no byte is for a moment what it must not be.
    let plain = if end == slot { slot - 1 } else { end };
    // SAFETY: `size <= plain <= slot`.
    unsafe { base.add(size).write_bytes(POISON_FREE, plain - size) };
    if end == slot {
        // SAFETY: the slot's last byte.
        unsafe { base.add(slot - 1).write(POISON_END) };
    }
}

/// Overwrites a released block with the free pattern.
///
/// Writes up to the end of the word that holds byte `size`; behind it the slot
/// is poison already (or, above [`TAIL_LIMIT`], is filled to its end).
///
/// Cost: one pass of stores. Neither allocates nor locks.
///
/// # Safety
///
/// * `base` starts a slot of `slot` writable bytes, `size < slot`.
/// * The caller has just taken the slot out of state Live.
#[inline(always)]
pub unsafe fn fill(base: *mut u8, size: usize, slot: usize) {
    let len = size & !7;
    // SAFETY: every store below lies in `base..base + len + 8`, inside the slot.
    unsafe {
        if len > 64 {
            return fill_long(base, size, slot);
        }
        let end = base.add(len);
        let poison = _mm_set1_epi8(POISON_FREE as i8);
        end.cast::<u64>().write(word_at(size, slot));
        if len >= 16 {
            _mm_storeu_si128(base.cast(), poison);
            _mm_storeu_si128(end.sub(16).cast(), poison);
            if len > 32 {
                _mm_storeu_si128(base.add(16).cast(), poison);
                _mm_storeu_si128(end.sub(32).cast(), poison);
            }
        } else if len == 8 {
            base.cast::<u64>().write(WORD);
        }
    }
}

/// [`fill`] for more than 64 bytes.
///
/// # Safety
///
/// * As for [`fill`].
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
unsafe extern "C" fn fill_long(base: *mut u8, size: usize, slot: usize) {
    let len = if slot > TAIL_LIMIT { slot - 8 } else { size & !7 };
    // SAFETY: `len + 8 <= slot`, and `fill` promises more than 64 bytes.
    unsafe {
        base.add(len).cast::<u64>().write(word_at(len, slot));
        fill_plain(base, len);
    }
}

/// Keeps the compiler from making a call of `memset` out of the loop it stands in:
/// a fill on the fast path must stay in the heap's own section (`signal.rs`).
#[inline(always)]
fn no_memset() {
    // SAFETY: no instruction.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) };
}

/// Fills `len` bytes with [`POISON_FREE`], no end byte: large blocks.
///
/// # Safety
///
/// * `base..base + len` is writable and owned by the caller.
#[unsafe(link_section = "deadwalk_heap")]
pub unsafe fn fill_plain(base: *mut u8, len: usize) {
    // SAFETY: all stores lie in `base..base + len`.
    unsafe {
        if len < 64 {
            base.write_bytes(POISON_FREE, len);
        } else if len >= STRING_STORE {
            core::arch::asm!("rep stosb", inout("rdi") base => _, inout("rcx") len => _,
                in("al") POISON_FREE, options(nostack, preserves_flags));
        } else if has_avx2() {
            fill_avx2(base, len);
        } else {
            let poison = _mm_set1_epi8(POISON_FREE as i8);
            let mut at = 0;
            while at + 16 < len {
                _mm_storeu_si128(base.add(at).cast(), poison);
                at += 16;
                no_memset();
            }
            _mm_storeu_si128(base.add(len - 16).cast(), poison);
        }
    }
}

#[target_feature(enable = "avx2")]
#[unsafe(link_section = "deadwalk_heap")]
unsafe fn fill_avx2(base: *mut u8, len: usize) {
    let poison = _mm256_set1_epi8(POISON_FREE as i8);
    let mut at = 0;
    // SAFETY: `len >= 64`; the last two stores end exactly at `len`.
    unsafe {
        while at + 64 < len {
            _mm256_storeu_si256(base.add(at).cast(), poison);
            _mm256_storeu_si256(base.add(at + 32).cast(), poison);
            at += 64;
            no_memset();
        }
        _mm256_storeu_si256(base.add(len - 64).cast(), poison);
        _mm256_storeu_si256(base.add(len - 32).cast(), poison);
    }
}

/// Sixteen bytes of poison, ending in [`POISON_END`] at the slot's end.
static END_BLOCK: [u8; 32] = {
    let mut block = [POISON_FREE; 32];
    block[31] = POISON_END;
    block
};

/// Whether every byte of a free slot is poison.
///
/// # Safety
///
/// * `base` starts `slot` readable bytes; `slot` is a multiple of 16, not 0.
pub unsafe fn holds(base: *const u8, slot: usize) -> bool {
    // SAFETY: passed on; AVX2 only where it is there.
    unsafe {
        if slot >= 32 && has_avx2() { holds_avx2(base, slot) } else { holds_sse2(base, slot) }
    }
}

#[inline(always)]
unsafe fn holds_sse2(base: *const u8, slot: usize) -> bool {
    // SAFETY: all loads lie in `base..base + slot`, or in the static pattern.
    unsafe {
        let poison = _mm_set1_epi8(POISON_FREE as i8);
        let end = _mm_loadu_si128(END_BLOCK.as_ptr().add(16).cast());
        let mut diff = _mm_xor_si128(_mm_loadu_si128(base.add(slot - 16).cast()), end);
        let mut at = 0;
        while at < slot - 16 {
            diff = _mm_or_si128(diff, _mm_xor_si128(_mm_loadu_si128(base.add(at).cast()), poison));
            at += 16;
        }
        _mm_movemask_epi8(_mm_cmpeq_epi8(diff, _mm_setzero_si128())) == 0xffff
    }
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn holds_avx2(base: *const u8, slot: usize) -> bool {
    // SAFETY: passed on.
    let diff = unsafe { difference_avx2(base, slot) };
    _mm256_testz_si256(diff, diff) != 0
}

/// OR of all differences from the free pattern; `slot >= 32`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn difference_avx2(base: *const u8, slot: usize) -> __m256i {
    // SAFETY: all loads lie in `base..base + slot`, or in the static pattern.
    unsafe {
        let poison = _mm256_set1_epi8(POISON_FREE as i8);
        let end = _mm256_loadu_si256(END_BLOCK.as_ptr().cast());
        let mut diff = _mm256_xor_si256(_mm256_loadu_si256(base.add(slot - 32).cast()), end);
        let plain = slot - 32;
        let mut at = 0;
        while at + 32 <= plain {
            let bytes = _mm256_loadu_si256(base.add(at).cast());
            diff = _mm256_or_si256(diff, _mm256_xor_si256(bytes, poison));
            at += 32;
        }
        if at < plain {
            // 16 bytes more: the first half of a load that reaches into the end.
            let bytes = _mm_loadu_si128(base.add(at).cast());
            let rest = _mm_xor_si128(bytes, _mm256_castsi256_si128(poison));
            diff = _mm256_or_si256(diff, _mm256_zextsi128_si256(rest));
        }
        diff
    }
}

/// Whether every byte of every listed slot of a class is poison.
///
/// Cost: one pass of loads, the lines fetched ahead; one test for all.
///
/// # Safety
///
/// * `base` starts an array of slots of `slot` bytes; the listed ones exist and
///   the caller owns them.
pub unsafe fn batch_holds(base: *const u8, slot: usize, slots: &[u32]) -> bool {
    for &index in slots {
        // SAFETY: prefetches do not fault; the addresses are the slots' own.
        unsafe {
            let start = base.add(index as usize * slot);
            _mm_prefetch::<_MM_HINT_T0>(start.cast());
            if slot > 64 {
                _mm_prefetch::<_MM_HINT_T0>(start.add(slot - 32).cast());
            }
        }
    }
    // SAFETY: passed on; AVX2 only where it is there.
    unsafe {
        if slot >= 32 && has_avx2() {
            batch_avx2(base, slot, slots)
        } else {
            slots.iter().all(|&index| holds_sse2(base.add(index as usize * slot), slot))
        }
    }
}

#[target_feature(enable = "avx2")]
unsafe fn batch_avx2(base: *const u8, slot: usize, slots: &[u32]) -> bool {
    /// One loop per common size, so the inner loop is unrolled away.
    macro_rules! each {
        ($size:expr) => {{
            let mut diff = _mm256_setzero_si256();
            for &index in slots {
                // SAFETY: the listed slots exist.
                let one = unsafe { difference_avx2(base.add(index as usize * $size), $size) };
                diff = _mm256_or_si256(diff, one);
            }
            _mm256_testz_si256(diff, diff) != 0
        }};
    }
    match slot {
        32 => each!(32),
        48 => each!(48),
        64 => each!(64),
        80 => each!(80),
        96 => each!(96),
        112 => each!(112),
        128 => each!(128),
        _ => each!(slot),
    }
}

/// Whether `len` bytes are all [`POISON_FREE`]: large blocks, 16-aligned.
///
/// # Safety
///
/// * `base..base + len` is readable.
pub unsafe fn plain_holds(base: *const u8, len: usize) -> bool {
    let blocks = len & !31;
    // SAFETY: both parts lie in `base..base + len`.
    unsafe {
        let body = if has_avx2() {
            plain_avx2(base, blocks)
        } else {
            let words = core::slice::from_raw_parts(base.cast::<u64>(), blocks / 8);
            words.iter().fold(0, |diff, word| diff | (word ^ WORD)) == 0
        };
        let rest = core::slice::from_raw_parts(base.add(blocks), len - blocks);
        body && rest.iter().all(|&byte| byte == POISON_FREE)
    }
}

#[target_feature(enable = "avx2")]
unsafe fn plain_avx2(base: *const u8, len: usize) -> bool {
    let poison = _mm256_set1_epi8(POISON_FREE as i8);
    let mut diff = _mm256_setzero_si256();
    for at in (0..len).step_by(32) {
        // SAFETY: `len` is a multiple of 32.
        let bytes = unsafe { _mm256_loadu_si256(base.add(at).cast()) };
        diff = _mm256_or_si256(diff, _mm256_xor_si256(bytes, poison));
    }
    _mm256_testz_si256(diff, diff) != 0
}

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

    #[test]
    fn a_filled_slot_holds_for_every_size() {
        for size in (0..2100).chain((2100..32768).step_by(37)) {
            let slot = SLOT_SIZE[of_small(size)];
            let memory = poisoned(size, slot);
            // SAFETY: `slot` bytes are there.
            unsafe {
                assert!(holds(memory.0.as_ptr(), slot), "{size} in {slot}");
                assert!(holds_sse2(memory.0.as_ptr(), slot), "{size} in {slot}");
                assert!(word_holds(memory.0.as_ptr(), size, slot));
                assert!(batch_holds(memory.0.as_ptr(), slot, &[0]));
                assert_eq!(damage(memory.0.as_ptr(), 0, slot, slot), None);
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
                // SAFETY: `slot` bytes are there.
                unsafe {
                    assert!(!holds(memory.0.as_ptr(), slot), "{at} in {slot}");
                    assert!(!holds_sse2(memory.0.as_ptr(), slot), "{at} in {slot}");
                    assert!(!batch_holds(memory.0.as_ptr(), slot, &[0]));
                    assert_eq!(damage(memory.0.as_ptr(), 0, slot, slot), Some((at, at)));
                }
                memory.0[at] ^= 0x10;
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
