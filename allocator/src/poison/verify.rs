//! Proving that the free pattern still holds.
//!
//! Loads overlap where a slot is no multiple of their width: slots are multiples
//! of 16, so only the load that ends with the slot meets its last byte.

use core::arch::x86_64::*;

use super::level::{Level, level};
use super::{POISON_END, POISON_FREE, WORD};

/// Poison that ends as a slot does.
static END_BLOCK: [u8; 64] = {
    let mut block = [POISON_FREE; 64];
    block[63] = POISON_END;
    block
};

/// Whether every byte of a free slot is poison.
///
/// # Safety
///
/// * `base` starts `slot` readable bytes; `slot` is a multiple of 16, not 0.
pub unsafe fn holds(base: *const u8, slot: usize) -> bool {
    // SAFETY: passed on.
    unsafe { batch_holds(base, slot, &[0]) }
}

/// Whether every byte of every listed slot of a class is poison.
///
/// Cost: one pass of loads and one test for all.
///
/// # Safety
///
/// * `base` starts an array of slots of `slot` bytes, a multiple of 16, not 0; the
///   listed ones exist and the caller owns them.
pub unsafe fn batch_holds(base: *const u8, slot: usize, slots: &[u32]) -> bool {
    let level = level();
    // SAFETY: passed on; what the processor does not have is not used.
    unsafe {
        if slot >= 64 && level >= Level::Avx512 {
            batch_avx512(base, slot, slots)
        } else if slot >= 32 && level >= Level::Avx2 {
            batch_avx2(base, slot, slots)
        } else {
            batch_sse2(base, slot, slots)
        }
    }
}

/// The loop over a batch for one vector width: `$load`, `$xor` and `$or` of it, and
/// the loops of common sizes apart, so that their inner one is unrolled away.
macro_rules! batch {
    ($width:literal, $zero:ident, $set:ident, $load:ident, $xor:ident, $or:ident,
     $base:ident, $slot:ident, $slots:ident, [$($size:literal)*]) => {{
        let poison = $set(POISON_FREE as i8);
        // SAFETY: the last bytes of the pattern.
        let end = unsafe { $load(END_BLOCK.as_ptr().add(64 - $width).cast()) };
        let mut diff = $zero();
        macro_rules! each {
            ($bytes:expr) => {
                for &index in $slots {
                    // SAFETY: all loads lie in the slot, which exists.
                    unsafe {
                        let slot = $base.add(index as usize * $bytes);
                        let last = $bytes - $width;
                        diff = $or(diff, $xor($load(slot.add(last).cast()), end));
                        let mut at = 0;
                        while at < last {
                            diff = $or(diff, $xor($load(slot.add(at).cast()), poison));
                            at += $width;
                        }
                    }
                }
            };
        }
        match $slot {
            $($size => each!($size),)*
            _ => each!($slot),
        }
        diff
    }};
}

/// # Safety
///
/// * As for [`batch_holds`].
#[target_feature(enable = "sse2")]
pub(super) unsafe fn batch_sse2(base: *const u8, slot: usize, slots: &[u32]) -> bool {
    let diff = batch!(
        16,
        _mm_setzero_si128,
        _mm_set1_epi8,
        _mm_loadu_si128,
        _mm_xor_si128,
        _mm_or_si128,
        base,
        slot,
        slots,
        [16]
    );
    _mm_movemask_epi8(_mm_cmpeq_epi8(diff, _mm_setzero_si128())) == 0xffff
}

/// # Safety
///
/// * As for [`batch_holds`], `slot >= 32`, and the processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn batch_avx2(base: *const u8, slot: usize, slots: &[u32]) -> bool {
    let diff = batch!(
        32, _mm256_setzero_si256, _mm256_set1_epi8, _mm256_loadu_si256, _mm256_xor_si256,
        _mm256_or_si256, base, slot, slots, [32 48 64 80 96 112 128]
    );
    _mm256_testz_si256(diff, diff) != 0
}

/// # Safety
///
/// * As for [`batch_holds`], `slot >= 64`, and the processor has AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn batch_avx512(base: *const u8, slot: usize, slots: &[u32]) -> bool {
    let diff = batch!(
        64, _mm512_setzero_si512, _mm512_set1_epi8, _mm512_loadu_si512, _mm512_xor_si512,
        _mm512_or_si512, base, slot, slots, [64 80 96 112 128 144 160 176 192 208 224 240 256]
    );
    _mm512_test_epi64_mask(diff, diff) == 0
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
        let body = if level() >= Level::Avx2 {
            plain_avx2(base, blocks)
        } else {
            let words = core::slice::from_raw_parts(base.cast::<u64>(), blocks / 8);
            words.iter().fold(0, |diff, word| diff | (word ^ WORD)) == 0
        };
        let rest = core::slice::from_raw_parts(base.add(blocks), len - blocks);
        body && rest.iter().all(|&byte| byte == POISON_FREE)
    }
}

/// # Safety
///
/// * As for [`plain_holds`], and the processor has AVX2.
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
