//! The proof that a live block's end is damaged, while its owner goes on.
//!
//! The sweep reads the word and the bytes behind the block; the owner, meanwhile,
//! may free the block, resize it in place and write where its end was, or free
//! it and get the slot again for another block. So what looks damaged is only
//! suspected, and told if nothing happened to the slot since:
//!
//! ```text
//!   sweep                                    what the owner may do between
//!   look     word is Live; bytes damaged
//!   mark     CAS of the state byte: +SUSPECT  (1) free, resize, free and malloc
//!   again    word W is Live|SUSPECT;          (2)
//!            bytes damaged, for W's size      (3)
//!   settle   CAS of the word W: SUSPECT ->    (4)
//!            REPORTED; then it is told
//! ```
//!
//! (1) Any store by the owner makes the state byte another one, or the word that
//! of another block; the next step looks at whatever block it is then.
//! (2), (3) Every change by the owner stores the word or its state byte without
//! SUSPECT, *before* the program may write where the canary was (free and malloc
//! do it at once, a resize after it wrote the new canary). Stores become visible
//! in their order on x86-64; so if the sweep reads bytes that are the program's
//! by right, SUSPECT is gone when it settles, and the compare-and-swap fails. The
//! flag never comes back, since only a sweep sets it, under the class's lock.
//! Bytes that the heap itself writes behind a block are poison at any time.
//! (4) The finding is of bytes that were damaged while W was the slot's block.
//! Freed now, the block is retired in silence because of REPORTED. A free that
//! loaded the word before `mark` and stores the state after `settle` tells of
//! the same damage a second time; that is all a race can do.
//!
//! A fork may leave SUSPECT behind in the child: it means nothing without the
//! lock, and goes with the block's next change.

use core::sync::atomic::{Ordering::*, fence};

use crate::slot::{LIVE, Meta, REPORTED, STATE, SUSPECT, Word};

/// What the proof needs of a slot; the test has a model of it.
pub trait Suspicious {
    /// The metadata word.
    fn word(&self) -> Word;
    /// Changes the state byte if it still is `old`.
    fn swap_flags(&self, old: u8, new: u8) -> bool;
    /// Changes the word if it still is `old`.
    fn swap(&self, old: Word, new: Word) -> bool;
    /// Clears a flag.
    fn remove_flag(&self, flag: u8);
}

impl Suspicious for Meta {
    fn word(&self) -> Word {
        self.load()
    }
    fn swap_flags(&self, old: u8, new: u8) -> bool {
        Meta::swap_flags(self, old, new)
    }
    fn swap(&self, old: Word, new: Word) -> bool {
        Meta::swap(self, old, new)
    }
    fn remove_flag(&self, flag: u8) {
        Meta::remove_flag(self, flag);
    }
}

/// Whether a block is one that is looked at: live, and no misuse of it was told.
pub fn is_checked(word: Word) -> bool {
    word.flags() & (STATE | REPORTED) == LIVE
}

/// Where a proof is; one step is one access to the slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof<D> {
    /// Mark the block of this word.
    Mark(Word),
    /// Read the word again.
    Again,
    /// Look at the bytes behind the block of this word.
    Look(Word),
    /// Settle it: this block has this damage.
    Settle(Word, D),
    /// Clear the mark: nothing is proven.
    Clear,
    /// Proven and marked as reported, or not.
    Done(Option<D>),
}

impl<D> Proof<D> {
    /// One step on. `damage` describes what is damaged behind a block, from the
    /// bytes as they are.
    pub fn step(self, slot: &impl Suspicious, damage: impl FnOnce(Word) -> Option<D>) -> Proof<D> {
        let next = match self {
            Proof::Mark(word) if !is_checked(word) => Proof::Done(None),
            Proof::Mark(word) => match slot.swap_flags(word.flags(), word.flags() | SUSPECT) {
                true => Proof::Again,
                false => Proof::Done(None),
            },
            Proof::Again => match slot.word() {
                word if is_checked(word) && word.flags() & SUSPECT != 0 => Proof::Look(word),
                _ => Proof::Clear,
            },
            Proof::Look(word) => match damage(word) {
                Some(damage) => Proof::Settle(word, damage),
                None => Proof::Clear,
            },
            Proof::Settle(word, damage) => {
                let told = Word(word.0 & !(SUSPECT as u64) | REPORTED as u64);
                if slot.swap(word, told) { Proof::Done(Some(damage)) } else { Proof::Clear }
            }
            Proof::Clear => {
                slot.remove_flag(SUSPECT);
                Proof::Done(None)
            }
            Proof::Done(_) => return self,
        };
        // Each step's access before the next one's.
        fence(AcqRel);
        next
    }
}
