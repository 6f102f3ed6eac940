//! What stands in a timer's `list` links.
//!
//! | state | `next` | `prev` |
//! |---|---|---|
//! | armed | names the record and its generation | names the address as well |
//! | initialised or off the wheel | NULL | names the address |
//! | static initialiser of the header | NULL | [`STATIC`] |
//! | zeroed static, positional initialiser | NULL | NULL |
//!
//! All are keyed per process, and only compared or decoded, never followed. An
//! armed timer's `next` is never NULL: the inline `timer_pending` of old headers
//! (`next != NULL`) stays right.

use crate::layout::{FREE_WORD, Fields, INUSE_WORD, STATIC, STATIC_OLD};
use crate::record::Record;

/// The keys of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    next: usize,
    prev: usize,
    idle: usize,
}

/// What the links of a timer hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// The canary of an armed timer at this address.
    Armed {
        /// Its record's number.
        id: u32,
        /// Its record's generation.
        generation: u32,
        /// The address it was written for.
        addr: usize,
    },
    /// Initialised at this address, or elsewhere and copied: not armed.
    Idle {
        /// The address it was written for.
        addr: usize,
        /// One of our initialisers saw the object.
        is_full: bool,
    },
    /// A static initialiser of ours.
    Static,
    /// All zero.
    Zero,
    /// Poison of a freed block, all over.
    Freed,
    /// Poison of a block that was never written.
    Unwritten,
    /// Anything else.
    Garbage,
}

impl Keys {
    /// Keys of a random seed.
    pub const fn new(seed: u64) -> Keys {
        let a = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
        let (b, c) = (mix(a), mix(a ^ 0xff51_afd7_ed55_8ccd));
        // The lowest bits mark the two kinds and keep every word from being 0;
        // the highest keep it from being a pointer.
        Keys {
            next: (a as usize & !TAG) | ODD,
            prev: (b as usize & !TAG) | ODD,
            idle: (c as usize & !TAG) | ODD,
        }
    }

    /// `next` and `prev` of an armed timer.
    pub const fn armed(&self, id: u32, generation: u32, addr: usize) -> (usize, usize) {
        // Bits 3 to 34 the record, 35 to 63 its generation: a multiple of 8.
        let word = (id as usize) << 3 | (generation as usize) << 35;
        (self.next ^ word, self.prev ^ addr ^ word.rotate_left(32) & !TAG)
    }

    /// `next` and `prev` of a timer that is not armed.
    pub const fn idle(&self, addr: usize, is_full: bool) -> (usize, usize) {
        (0, self.idle ^ addr ^ if is_full { FULL } else { 0 })
    }

    /// Are these the links of the timer of this record, as it stands?
    #[inline]
    pub fn are_of(&self, id: u32, record: &Record, fields: &Fields) -> bool {
        if record.is_pending() {
            self.are_armed_of(id, record, fields)
        } else {
            fields.next == 0 && (fields.prev ^ self.idle ^ record.addr) & !FULL == 0
        }
    }

    /// Are these the links that this record's timer got when it was armed? One that
    /// expires is off its wheel already.
    #[inline]
    pub fn are_armed_of(&self, id: u32, record: &Record, fields: &Fields) -> bool {
        (fields.next, fields.prev) == self.armed(id, record.generation, record.addr)
    }

    /// What these links are, were they written for an address at all.
    pub const fn read(&self, fields: &Fields) -> Links {
        match (fields.next, fields.prev) {
            (0, 0) => return Links::Zero,
            (0, STATIC | STATIC_OLD) => return Links::Static,
            (0, prev) if is_address(prev ^ self.idle) => {
                return Links::Idle { addr: prev ^ self.idle, is_full: false };
            }
            (0, prev) if is_address(prev ^ self.idle ^ FULL) => {
                return Links::Idle { addr: prev ^ self.idle ^ FULL, is_full: true };
            }
            (FREE_WORD, FREE_WORD) => return Links::Freed,
            (INUSE_WORD, INUSE_WORD) => return Links::Unwritten,
            _ => {}
        }
        let word = fields.next ^ self.next;
        let (id, generation) = ((word >> 3) as u32, (word >> 35) as u32);
        let addr = fields.prev ^ self.prev ^ word.rotate_left(32) & !TAG;
        if word & TAG == 0 && generation != 0 && is_address(addr) {
            Links::Armed { id, generation, addr }
        } else {
            Links::Garbage
        }
    }
}

/// The bits that an aligned address does not have.
const TAG: usize = 7;
const ODD: usize = 1;
/// In an idle timer's `prev`: the object is more than 40 bytes long.
const FULL: usize = 2;
/// Generations that a canary can hold; the table's counter wraps there.
pub const GENERATIONS: u32 = 1 << 29;

const fn is_address(word: usize) -> bool {
    word != 0 && word & TAG == 0 && word >> 47 == 0
}

const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn links((next, prev): (usize, usize)) -> Fields {
        Fields { next, prev, ..Fields::default() }
    }

    #[test]
    fn poison_zero_and_markers() {
        let keys = Keys::new(1);
        assert_eq!(keys.read(&links((0, 0))), Links::Zero);
        assert_eq!(keys.read(&links((0, STATIC))), Links::Static);
        assert_eq!(keys.read(&links((0, STATIC_OLD))), Links::Static);
        assert_eq!(keys.read(&links((FREE_WORD, FREE_WORD))), Links::Freed);
        assert_eq!(keys.read(&links((INUSE_WORD, INUSE_WORD))), Links::Unwritten);
        assert_eq!(keys.read(&links((0, 0x1000))), Links::Garbage);
    }

    proptest! {
        #[test]
        fn an_armed_timer_s_links_name_it(
            seed: u64, id: u32, generation in 1..GENERATIONS, addr in 1usize..1 << 44,
        ) {
            let (keys, addr) = (Keys::new(seed), addr << 3);
            let written = keys.armed(id, generation, addr);
            prop_assert!(written.0 != 0 && written.1 != 0);
            prop_assert_eq!(keys.read(&links(written)), Links::Armed { id, generation, addr });
        }

        #[test]
        fn an_idle_timer_s_links_are_known(
            seed: u64, addr in 1usize..1 << 44, is_full: bool,
        ) {
            let (keys, addr) = (Keys::new(seed), addr << 3);
            let (next, prev) = keys.idle(addr, is_full);
            prop_assert_eq!(next, 0);
            prop_assert_eq!(keys.read(&links((next, prev))), Links::Idle { addr, is_full });
        }

        /// One wrong bit in an armed timer's links is seen: they read as
        /// garbage, or as another timer's.
        #[test]
        fn no_single_bit_goes_unseen(seed: u64, id: u32, addr in 1usize..1 << 44, bit in 0..128u32) {
            let (keys, addr) = (Keys::new(seed), addr << 3);
            let (mut next, mut prev) = keys.armed(id, 7, addr);
            if bit < 64 { next ^= 1 << bit } else { prev ^= 1 << (bit - 64) }
            prop_assert_ne!(
                keys.read(&links((next, prev))), Links::Armed { id, generation: 7, addr }
            );
        }
    }
}
