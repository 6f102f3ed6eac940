//! Writing the free pattern.
//!
//! Sizes are random to the branch predictor, and a wrong guess costs as much as
//! twenty stores: so up to 64 bytes, and up to 256 where a store takes 64, the
//! stores are as many whatever the length, and overlap.

use core::arch::x86_64::*;

use super::level::{Level, level};
use super::{POISON_FREE, TAIL_LIMIT, word_at};

/// `rep stosb` pays from here up; below, its start-up costs more.
const STRING_STORE: usize = 1024;

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
    // SAFETY: every store lies in `base..base + max(len, 8) + 8`, inside the slot; for
    // less than 16 bytes the last store mends what the others wrote too much.
    unsafe {
        // 8 to 64 bytes, in one comparison.
        if len.wrapping_sub(8) > 64 - 8 {
            base.add(len).cast::<u64>().write(word_at(size, slot));
            return fill_others(base, len, slot);
        }
        let last = len.max(16) - 16;
        let poison = _mm_set1_epi8(POISON_FREE as i8);
        for at in [0, last.min(16), last.min(32), last] {
            _mm_storeu_si128(base.add(at).cast(), poison);
        }
        base.add(len).cast::<u64>().write(word_at(size, slot));
    }
}

/// [`fill`] for a slow path, which may be left for good between two stores: then the
/// slot's last byte is as before, or as it shall be.
///
/// # Safety
///
/// * As for [`fill`].
pub unsafe fn fill_in_order(base: *mut u8, size: usize, slot: usize) {
    const WORD: usize = size_of::<u64>();
    // SAFETY: the caller's promise; a slot of two words is written word by word.
    unsafe {
        if slot != 2 * WORD {
            return fill(base, size, slot);
        }
        for at in (0..=size).step_by(WORD) {
            base.add(at).cast::<u64>().write_volatile(word_at(at, slot));
        }
    }
}

/// [`fill`] for `len` bytes, less than 8 or more than 64; the word behind them is
/// written.
///
/// # Safety
///
/// * As for [`fill`].
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
unsafe extern "C" fn fill_others(base: *mut u8, mut len: usize, slot: usize) {
    // SAFETY: `len + 8 <= slot`.
    unsafe {
        if slot > TAIL_LIMIT {
            len = slot - 8;
            base.add(len).cast::<u64>().write(word_at(len, slot));
        }
        if len > 0 {
            fill_long(base, len);
        }
    }
}

/// Keeps the compiler from making a call of `memset` out of the loop it stands in:
/// a fill on the fast path must stay in the heap's own section (`signal.rs`).
#[inline(always)]
fn no_memset() {
    // SAFETY: no instruction.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) };
}

/// Fills `len` bytes with [`POISON_FREE`], no end byte.
///
/// # Safety
///
/// * `base..base + len` is writable and owned by the caller.
#[unsafe(link_section = "deadwalk_heap")]
pub unsafe fn fill_plain(base: *mut u8, len: usize) {
    // SAFETY: passed on.
    unsafe { if len < 64 { base.write_bytes(POISON_FREE, len) } else { fill_long(base, len) } }
}

/// [`fill_plain`] for 64 bytes and more.
///
/// # Safety
///
/// * As for [`fill_plain`].
#[inline(always)]
unsafe fn fill_long(base: *mut u8, len: usize) {
    // SAFETY: all stores lie in `base..base + len`.
    unsafe {
        if len >= STRING_STORE {
            core::arch::asm!("rep stosb", inout("rdi") base => _, inout("rcx") len => _,
                in("al") POISON_FREE, options(nostack, preserves_flags));
            return;
        }
        match level() {
            Level::Avx512 => fill_avx512(base, len),
            Level::Avx2 => fill_avx2(base, len),
            Level::Sse2 => fill_sse2(base, len),
        }
    }
}

/// # Safety
///
/// * As for [`fill_plain`], `len >= 64`.
#[target_feature(enable = "sse2")]
#[unsafe(link_section = "deadwalk_heap")]
pub(super) unsafe fn fill_sse2(base: *mut u8, len: usize) {
    let poison = _mm_set1_epi8(POISON_FREE as i8);
    let mut at = 0;
    // SAFETY: the last store ends exactly at `len`, the others before it.
    unsafe {
        while at + 16 < len {
            _mm_storeu_si128(base.add(at).cast(), poison);
            at += 16;
            no_memset();
        }
        _mm_storeu_si128(base.add(len - 16).cast(), poison);
    }
}

/// # Safety
///
/// * As for [`fill_plain`], `len >= 64`, and the processor has AVX-512F.
#[target_feature(enable = "avx512f")]
#[unsafe(link_section = "deadwalk_heap")]
pub(super) unsafe fn fill_avx512(base: *mut u8, len: usize) {
    let poison = _mm512_set1_epi8(POISON_FREE as i8);
    let last = len - 64;
    let mut at = 0;
    // SAFETY: the last store ends exactly at `len`, the others before it.
    unsafe {
        while at + 256 < len {
            for step in [0, 64, 128, 192] {
                _mm512_storeu_si512(base.add(at + step).cast(), poison);
            }
            at += 256;
            no_memset();
        }
        for step in [0, 64, 128] {
            _mm512_storeu_si512(base.add(last.min(at + step)).cast(), poison);
        }
        _mm512_storeu_si512(base.add(last).cast(), poison);
    }
}

/// # Safety
///
/// * As for [`fill_plain`], `len >= 64`, and the processor has AVX2.
#[target_feature(enable = "avx2")]
#[unsafe(link_section = "deadwalk_heap")]
pub(super) unsafe fn fill_avx2(base: *mut u8, len: usize) {
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
