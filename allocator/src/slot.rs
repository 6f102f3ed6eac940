//! The metadata word of a small slot, and the states of every slot.
//!
//! ```text
//!                       malloc
//!        +--------------------------------------+
//!        v                                      |
//!  Live --free--> Quarantined --leave (verified)--> Free
//!   ^ |               |                             |
//!   | +-- overflow ---+----- a stray write ---------+--> Retired (for good)
//!   |
//!  Never (malloc of a fresh slot) <-- its memory is given back -- Free
//! ```
//!
//! Ground rules. One `u64` per small slot, out of line: state in bits 0..8,
//! requested size in 8..32, low half of the allocation site in 32..64. `malloc`
//! writes it with one store, `free` loads it once and stores one byte: plain
//! instructions (relaxed atomics), no read-modify-write. Two racing frees of
//! one slot can both succeed; they are told apart when the second copy leaves
//! the quarantine and the slot is not in state Quarantined any more. Only if
//! both copies leave in the same instant, or one free stands between its load and
//! its store until the other's copy has left, the slot is handed out twice: a
//! locked instruction for each slot that leaves would prevent the first, and cost
//! a third of malloc and free. Whoever changes the state of a slot that he does
//! not own (watch, sweep, a neighbour's report) uses a compare-and-swap on the
//! state byte. `models` runs all this under loom.

#[cfg(loom)]
use crate::models::stand_in::SplitWord as AtomicU64;
#[cfg(not(loom))]
use crate::sync::AtomicU64;
use crate::sync::{AtomicU8, Ordering::*};

/// Never handed out.
pub const NEVER: u8 = 0;
/// The program holds it.
pub const LIVE: u8 = 1;
/// Freed, poisoned, in some thread's quarantine.
pub const QUARANTINED: u8 = 2;
/// Freed and verified, in a magazine or depot.
pub const FREE: u8 = 3;
/// Damaged; never handed out again.
pub const RETIRED: u8 = 4;
/// Flag: came from C++'s `new`.
pub const NEW: u8 = 0x08;
/// Flag: came from C++'s `new[]`.
pub const NEW_ARRAY: u8 = 0x10;
/// Flag: the sweep saw its end damaged and is looking again; gone as soon as the
/// owner changes anything.
pub const SUSPECT: u8 = 0x20;
/// Flag: a misuse of this object was reported already.
pub const REPORTED: u8 = 0x40;
/// Flag: the observer wants to know of its end.
pub const WATCHED: u8 = 0x80;
/// The state without flags.
pub const STATE: u8 = 0x07;

/// Value of a metadata word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word(pub u64);

impl Word {
    /// The word of a live block.
    #[inline(always)]
    pub fn live(size: usize, site: usize) -> Word {
        Word(LIVE as u64 | (size as u64) << 8 | (site as u64) << 32)
    }

    /// Whether it is a live block's of that size, without flags: one comparison.
    #[inline(always)]
    pub fn is_live_of(self, size: usize) -> bool {
        size < 1 << 24 && self.0 as u32 == Word::live(size, 0).0 as u32
    }

    /// State byte with flags.
    #[inline(always)]
    pub fn flags(self) -> u8 {
        self.0 as u8
    }

    /// State without flags.
    #[inline(always)]
    pub fn state(self) -> u8 {
        self.0 as u8 & STATE
    }

    /// Whether the slot held a block before it was as if never used: its memory
    /// was given back. (Of an empty block of an unknown site that is forgotten.)
    pub fn was_used(self) -> bool {
        self.state() == NEVER && self.0 >> 8 != 0
    }

    /// Bytes asked for.
    #[inline(always)]
    pub fn size(self) -> usize {
        (self.0 as u32 >> 8) as usize
    }

    /// Low half of the allocation site.
    pub fn site(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Metadata of slot 0 of a small class; the others follow.
#[inline]
#[cfg(not(loom))]
pub fn metas(class: usize) -> *const Meta {
    crate::window::meta_base(class) as *const Meta
}

#[cfg(loom)]
pub use crate::models::stand_in::metas;

/// A slot's metadata word in memory.
#[repr(transparent)]
pub struct Meta(AtomicU64);

impl Meta {
    /// Reads the word.
    #[inline(always)]
    pub fn load(&self) -> Word {
        Word(self.0.load(Relaxed))
    }

    /// Writes the word, behind whatever was written before (the canary that
    /// belongs to it): a plain store on x86-64.
    #[inline(always)]
    pub fn store(&self, word: Word) {
        self.0.store(word.0, Release);
    }

    /// Changes the word if it still is `old`.
    pub fn swap(&self, old: Word, new: Word) -> bool {
        self.0.compare_exchange(old.0, new.0, AcqRel, Relaxed).is_ok()
    }

    /// The state byte alone: the lowest byte of a little-endian word.
    #[inline(always)]
    fn byte(&self) -> &AtomicU8 {
        #[cfg(loom)]
        return self.0.low();
        #[cfg(not(loom))]
        // SAFETY: the word's first byte; atomics of one and of eight bytes at
        // one address are plain moves on x86-64 and never tear.
        unsafe {
            &*self.0.as_ptr().cast::<AtomicU8>()
        }
    }

    #[cfg(loom)]
    pub fn new() -> Meta {
        Meta(AtomicU64::new())
    }

    /// Writes the state byte, flags included.
    #[inline(always)]
    pub fn set_flags(&self, flags: u8) {
        self.byte().store(flags, Relaxed);
    }

    /// Sets a flag, whatever the state.
    pub fn add_flag(&self, flag: u8) -> u8 {
        self.byte().fetch_or(flag, Relaxed)
    }

    /// Clears a flag.
    pub fn remove_flag(&self, flag: u8) {
        self.byte().fetch_and(!flag, Relaxed);
    }

    /// Changes the state byte if it still is `old`.
    pub fn swap_flags(&self, old: u8, new: u8) -> bool {
        self.byte().compare_exchange(old, new, Relaxed, Relaxed).is_ok()
    }
}
