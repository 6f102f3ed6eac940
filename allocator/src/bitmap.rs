//! A set of slot indexes: two-level bitmap, taken next-fit in address order.
//!
//! A stack of free slots loses locality for good; this keeps neighbours
//! together (perl 0.88 -> 0.81 of glibc's time in the prototype). The memory is
//! the owner's: one bit per slot, and one summary bit per 64.

mod runs;

/// Set of `u32` below a bound that may grow.
///
/// # Invariants
///
/// 1. Summary bit `w` is set exactly when word `w` is not zero.
/// 2. `count` is the number of set bits.
/// 3. Slots passed in lie below the bound that `extend` got: slots of a depot do.
///    Checked in debug builds only.
/// 4. `cursor <= words`, the number of usable words.
pub struct Bitmap {
    bits: *mut u64,
    summary: *mut u64,
    words: usize,
    cursor: usize,
    count: u32,
}

// SAFETY: an owner of memory; it is used behind a lock.
unsafe impl Send for Bitmap {}

impl Bitmap {
    /// The empty set over nothing.
    pub const fn new() -> Self {
        let none = core::ptr::null_mut();
        Bitmap { bits: none, summary: none, words: 0, cursor: 0, count: 0 }
    }

    /// Gives the set memory for the indexes below `slots`. Memory at another
    /// address than before takes the members over.
    ///
    /// # Safety
    ///
    /// * `bits` has one writable bit per slot (in whole words), `summary` one
    ///   per word; both zeroed beyond what earlier calls with the same address
    ///   covered. Both are at a new address or both are not. A new address has
    ///   no less room than the one before.
    pub unsafe fn extend(&mut self, bits: *mut u64, summary: *mut u64, slots: u32) {
        debug_assert_eq!(bits == self.bits, summary == self.summary);
        if bits != self.bits && self.words > 0 {
            // SAFETY: the old memory has `words` words, and the new one has more.
            unsafe {
                bits.copy_from_nonoverlapping(self.bits, self.words);
                summary.copy_from_nonoverlapping(self.summary, self.words.div_ceil(64));
            }
        }
        self.bits = bits;
        self.summary = summary;
        self.words = self.words.max((slots as usize).div_ceil(64));
    }

    /// Whether there is memory for the indexes below `slots`.
    pub fn covers(&self, slots: u32) -> bool {
        (slots as usize).div_ceil(64) <= self.words
    }

    /// Number of members.
    pub fn len(&self) -> u32 {
        self.count
    }

    fn word(&mut self, index: usize) -> &mut u64 {
        debug_assert!(index < self.words);
        // SAFETY: `extend` promised this many words.
        unsafe { &mut *self.bits.add(index) }
    }

    fn summary(&mut self, index: usize) -> &mut u64 {
        debug_assert!(index < self.words.div_ceil(64));
        // SAFETY: `extend` promised a bit per word.
        unsafe { &mut *self.summary.add(index) }
    }

    /// Whether a slot is a member.
    pub fn contains(&self, slot: u32) -> bool {
        let word = slot as usize / 64;
        // SAFETY: the word is below `words`: `extend` promised it.
        word < self.words && unsafe { *self.bits.add(word) } & 1 << (slot % 64) != 0
    }

    /// Adds a slot; false if it was a member already.
    pub fn insert(&mut self, slot: u32) -> bool {
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        if *self.word(word) & bit != 0 {
            return false;
        }
        *self.word(word) |= bit;
        *self.summary(word / 64) |= 1 << (word % 64);
        self.count += 1;
        true
    }

    /// Removes a slot; false if it was none.
    pub fn remove(&mut self, slot: u32) -> bool {
        let (word, bit) = (slot as usize / 64, 1 << (slot % 64));
        if *self.word(word) & bit == 0 {
            return false;
        }
        *self.word(word) &= !bit;
        if *self.word(word) == 0 {
            *self.summary(word / 64) &= !(1 << (word % 64));
        }
        self.count -= 1;
        true
    }

    /// First word at or behind `from` that is not empty.
    fn next_word(&mut self, from: usize) -> Option<usize> {
        let mut group = from / 64;
        let mut mask = u64::MAX << (from % 64);
        while group * 64 < self.words {
            let found = *self.summary(group) & mask;
            if found != 0 {
                return Some(group * 64 + found.trailing_zeros() as usize);
            }
            group += 1;
            mask = u64::MAX;
        }
        None
    }

    /// Takes up to `out.len()` members, ascending from where the last call
    /// stopped, and wraps. They fill `out` from its end, so that who pops from
    /// the end of the result pops in address order. Returns how many: they are
    /// the last ones of `out`.
    pub fn take(&mut self, out: &mut [u32]) -> usize {
        let want = out.len().min(self.count as usize);
        let mut left = want;
        let mut at = out.len();
        let mut word = self.cursor;
        while left > 0 {
            word = match self.next_word(word) {
                Some(word) => word,
                None => self.next_word(0).expect("count says there are members"),
            };
            let mut bits = *self.word(word);
            while bits != 0 && left > 0 {
                at -= 1;
                left -= 1;
                out[at] = word as u32 * 64 + bits.trailing_zeros();
                bits &= bits - 1;
            }
            *self.word(word) = bits;
            if bits == 0 {
                *self.summary(word / 64) &= !(1 << (word % 64));
            }
        }
        self.cursor = word;
        self.count -= want as u32;
        want
    }

    /// Makes summary and count agree with the bits, after a step that was broken
    /// off.
    pub fn recount(&mut self) {
        let mut count = 0;
        for word in 0..self.words {
            let bits = *self.word(word);
            count += bits.count_ones();
            let mark = 1 << (word % 64);
            let summary = self.summary(word / 64);
            *summary = if bits == 0 { *summary & !mark } else { *summary | mark };
        }
        self.count = count;
        self.cursor = self.cursor.min(self.words);
    }

    /// Members of the first non-empty word at or behind slot `from`, as
    /// (first slot of the word, bits).
    pub fn scan(&mut self, from: u32) -> Option<(u32, u64)> {
        let word = self.next_word(from.div_ceil(64) as usize)?;
        Some((word as u32 * 64, *self.word(word)))
    }

    /// The first member at or behind slot `from`.
    pub fn next_member(&mut self, from: u32) -> Option<u32> {
        let (first, bits) = self.scan(from & !63)?;
        let bits = if first < from { bits & u64::MAX << (from - first) } else { bits };
        let (first, bits) = if bits == 0 { self.scan(first + 64)? } else { (first, bits) };
        Some(first + bits.trailing_zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u32),
        Remove(u32),
        Take(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..9000_u32).prop_map(Step::Insert),
            1 => (0..9000_u32).prop_map(Step::Remove),
            1 => (0..80_usize).prop_map(Step::Take),
        ]
    }

    proptest! {
        #[test]
        fn matches_an_ordered_set(steps in prop::collection::vec(step(), 1..600)) {
            let (mut first, mut first_summary) = ([0_u64; 150], [0_u64; 3]);
            let mut bits = vec![0_u64; 150];
            let mut summary = vec![0_u64; 3];
            let mut map = Bitmap::new();
            // SAFETY: 150 * 64 >= 9000 bits, 3 * 64 >= 150.
            unsafe { map.extend(first.as_mut_ptr(), first_summary.as_mut_ptr(), 9000) };
            let mut model = BTreeSet::new();
            for (number, step) in steps.into_iter().enumerate() {
                if number == 200 {
                    // SAFETY: as above, and all zero.
                    unsafe { map.extend(bits.as_mut_ptr(), summary.as_mut_ptr(), 9000) };
                }
                match step {
                    Step::Insert(slot) => prop_assert_eq!(map.insert(slot), model.insert(slot)),
                    Step::Remove(slot) => prop_assert_eq!(map.remove(slot), model.remove(&slot)),
                    Step::Take(max) => {
                        let mut out = vec![0; max];
                        let start = map.cursor as u32 * 64;
                        let got = map.take(&mut out);
                        let wrapped = model.range(start..).chain(model.range(..start));
                        let want: Vec<u32> = wrapped.take(max).copied().collect();
                        out.reverse();
                        prop_assert_eq!(&out[..got], &want[..]);
                        want.iter().for_each(|slot| { model.remove(slot); });
                    }
                }
                prop_assert_eq!(map.len() as usize, model.len());
                if number % 50 == 49 {
                    (map.count, *map.summary(0)) = (7, u64::MAX);
                    map.recount();
                    prop_assert_eq!(map.len() as usize, model.len());
                }
                let slot = number as u32 * 17 % 12_000;
                prop_assert_eq!(map.contains(slot), model.contains(&slot));
                prop_assert_eq!(map.next_member(slot), model.range(slot..).next().copied());
            }
            let mut rest = vec![0; model.len()];
            prop_assert_eq!(map.take(&mut rest), model.len());
            prop_assert!(bits.iter().chain(&summary).all(|&word| word == 0));
        }
    }
}
