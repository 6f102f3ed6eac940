//! The addresses between which blocks are held, or were: what lies outside needs no look.
//!
//! Two words with a name of their own, so that a thunk can compare with them. They only
//! ever move apart.

use core::arch::global_asm;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

global_asm!(
    ".pushsection .data.deadwalk_alloc_held,\"aw\"",
    ".balign 16",
    ".hidden __deadwalk_alloc_held",
    ".globl __deadwalk_alloc_held",
    ".type __deadwalk_alloc_held,@object",
    // The lowest address, and the end; empty.
    "__deadwalk_alloc_held: .quad -1, 0",
    ".size __deadwalk_alloc_held,16",
    ".popsection",
);

// SAFETY: the two words above, of this type and in writable memory.
unsafe extern "C" {
    #[link_name = "__deadwalk_alloc_held"]
    static SPAN: [AtomicUsize; 2];
}

/// A block is about to be held that has, or had, these addresses.
pub fn widen(addresses: Range<usize>) {
    // SAFETY: two words of ours, which are only accessed atomically.
    let [low, end] = unsafe { &SPAN };
    if addresses.start < low.load(Relaxed) {
        low.fetch_min(addresses.start, Relaxed);
    }
    if addresses.end > end.load(Relaxed) {
        end.fetch_max(addresses.end, Relaxed);
    }
}

/// Whether an address lies there.
pub fn contains(addr: usize) -> bool {
    // SAFETY: as above.
    let [low, end] = unsafe { &SPAN };
    addr >= low.load(Relaxed) && addr < end.load(Relaxed)
}
