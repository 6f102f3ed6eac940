//! The addresses between which slots are held, or were: what lies outside needs no look.
//!
//! Two words with a name of their own, so that a thunk can compare with them. They only
//! ever move apart.

use core::arch::global_asm;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::place::Slot;

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

/// A slot is about to be held.
pub fn widen(slot: Slot) {
    // SAFETY: two words of ours, which are only accessed atomically.
    let [low, end] = unsafe { &SPAN };
    let base = slot.base();
    if base < low.load(Relaxed) {
        low.fetch_min(base, Relaxed);
    }
    if base + slot.bytes() > end.load(Relaxed) {
        end.fetch_max(base + slot.bytes(), Relaxed);
    }
}

/// Whether an address lies there.
pub fn contains(addr: usize) -> bool {
    // SAFETY: as above.
    let [low, end] = unsafe { &SPAN };
    addr >= low.load(Relaxed) && addr < end.load(Relaxed)
}
