//! One call of the family, or one misuse, and how a generator picks it.

/// Largest block a step asks for; huge blocks begin at 64 MiB.
const MOST: usize = 80 << 20;

/// What happens next. `which` picks a block modulo their number.
#[derive(Clone, Debug)]
pub enum Step {
    Malloc {
        size: usize,
    },
    Calloc {
        size: usize,
    },
    Memalign {
        shift: u32,
        size: usize,
    },
    Realloc {
        which: usize,
        size: usize,
    },
    Free {
        which: usize,
    },
    /// Asks that the end of a block be told.
    Watch {
        which: usize,
    },
    /// Gives a block to another thread and takes one of another's.
    Hand {
        which: usize,
    },
    Sweep,
    Misuse(Misuse),
}

/// A misuse to commit. What cannot be committed without guessing at what lies
/// around is skipped, see `misuse.rs`.
#[derive(Clone, Debug)]
pub enum Misuse {
    /// Writes `value` into a freed block.
    WriteAfterFree {
        which: usize,
        offset: usize,
        len: usize,
        value: u8,
    },
    DoubleFree {
        which: usize,
    },
    ReallocFreed {
        which: usize,
        size: usize,
    },
    InteriorFree {
        which: usize,
        offset: usize,
    },
    InteriorRealloc {
        which: usize,
        offset: usize,
    },
    /// Writes behind a block, from its end on.
    Overflow {
        which: usize,
        len: usize,
        value: u8,
    },
    /// Writes in front of a block, up to its start.
    Underflow {
        which: usize,
        len: usize,
        value: u8,
    },
    /// Frees what never was a block.
    ForeignFree {
        offset: usize,
    },
}

/// Picks a number below a bound (at least 1).
pub trait Source {
    fn below(&mut self, bound: usize) -> usize;
}

/// A xorshift generator.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds shall differ at once; the state must not be zero.
        Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
}

impl Source for Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }
}

/// A slot size of some class between `16 << from` and `16 << to`.
fn slot_size(source: &mut impl Source, from: usize, to: usize) -> usize {
    let base = 16 << (from + source.below(to - from));
    base + base / 8 * source.below(8)
}

/// A size: mostly small, often at the edge of a class, sometimes large.
pub fn size(source: &mut impl Source) -> usize {
    match source.below(4000) {
        0..2400 => source.below(300),
        2400..3100 => slot_size(source, 0, 11) + source.below(3) - 2,
        3100..3300 => 0,
        3300..3900 => source.below(34 << 10),
        3900..3980 => source.below(256 << 10),
        3980..3990 => source.below(2 << 20),
        3990..3998 => slot_size(source, 11, 16) + source.below(19) - 18,
        3998 => slot_size(source, 16, 22) + source.below(19) - 18,
        // The largest class and what is beyond it.
        _ => match source.below(4) {
            0 => (64 << 20) + source.below(19) - 18,
            1 => (64 << 20) + source.below(16 << 20),
            _ => slot_size(source, 16, 19),
        },
    }
    .min(MOST)
}

/// What a block of `old` bytes becomes; never nothing.
pub fn new_size(source: &mut impl Source, old: usize) -> usize {
    let size = match source.below(8) {
        0..=2 => old + source.below(64),
        3 => old.saturating_sub(source.below(64)),
        4 => old * 2,
        5 => old / 2,
        _ => size(source),
    };
    size.clamp(1, MOST)
}

impl Step {
    /// A step of a program without bugs, that holds about `held` blocks, the
    /// sizes of which `size_of` tells.
    pub fn clean(source: &mut impl Source, held: usize, size_of: impl Fn(usize) -> usize) -> Step {
        let which = source.below(held.max(1));
        match source.below(1000) {
            0..280 => Step::Malloc { size: size(source) },
            280..380 => Step::Calloc { size: size(source) },
            380..440 => {
                let most = if source.below(50) == 0 { 27 } else { 13 };
                let shift = source.below(most) as u32;
                Step::Memalign { shift, size: size(source) }
            }
            440..600 if held > 0 => Step::Realloc { which, size: new_size(source, size_of(which)) },
            600 => Step::Realloc { which, size: 0 },
            601..620 => Step::Watch { which },
            620..700 => Step::Hand { which },
            // About as many as come, so that the number of blocks wanders.
            _ if source.below(5000) == 0 => Step::Sweep,
            _ => Step::Free { which },
        }
    }

    /// A misuse of one of `held` live or `freed` lately freed blocks.
    pub fn misuse(source: &mut impl Source, held: usize, freed: usize) -> Step {
        let (live, gone) = (source.below(held.max(1)), source.below(freed.max(1)));
        let most = if source.below(2) == 0 { 8 } else { 40 };
        let len = 1 + source.below(most);
        let (value, offset) = (source.below(256) as u8, source.below(1 << 26));
        Step::Misuse(match source.below(8) {
            0 => Misuse::WriteAfterFree { which: gone, offset, len, value },
            1 => Misuse::DoubleFree { which: gone },
            2 => Misuse::ReallocFreed { which: gone, size: size(source).max(1) },
            3 => Misuse::InteriorFree { which: live, offset },
            4 => Misuse::InteriorRealloc { which: live, offset },
            5 => Misuse::Overflow { which: live, len, value },
            6 => Misuse::Underflow { which: live, len, value },
            _ => Misuse::ForeignFree { offset },
        })
    }
}
