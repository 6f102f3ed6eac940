//! Runs: members next to each other, found and moved together.

use core::ops::Range;

use super::Bitmap;

impl Bitmap {
    /// The first run of `least` members or more that begins at or behind slot
    /// `from`, cut after `most`. Looks at `words` words at most, and counts them
    /// down. An error says where to go on; that is not below
    /// [`bound`](Self::bound) when all was looked at.
    ///
    /// A caller that passes `least / 64 + 2` words gets ahead with every call.
    pub fn find_run(
        &mut self,
        from: u32,
        least: u32,
        most: u32,
        words: &mut usize,
    ) -> Result<Range<u32>, u32> {
        let mut at = from / 64;
        let mut mask = u64::MAX << (from % 64);
        let mut start = None;
        loop {
            let here = at * 64;
            if start.is_none() && at < self.words as u32 {
                let next = self.next_word(at as usize).map_or(self.words as u32, |at| at as u32);
                if next != at {
                    (at, mask) = (next, u64::MAX);
                    if at as usize == self.words {
                        return Err(self.bound());
                    }
                    continue;
                }
            }
            if at as usize >= self.words || *words == 0 {
                let start = start.unwrap_or(here);
                let is_all = at as usize >= self.words;
                return match here - start {
                    len if len >= least.max(1) => Ok(start..here),
                    _ if is_all => Err(self.bound()),
                    _ => Err(start),
                };
            }
            *words -= 1;
            let mut bits = *self.word(at as usize) & mask;
            mask = u64::MAX;
            if let Some(first) = start {
                let end = here + bits.trailing_ones();
                if end - first >= most {
                    return Ok(first..first + most);
                }
                if bits != u64::MAX {
                    if end - first >= least {
                        return Ok(first..end);
                    }
                    bits &= bits.wrapping_add(1);
                    start = None;
                }
            }
            if start.is_none() {
                match run_in_word(bits, least, most) {
                    Some((first, len)) if len >= least => {
                        return Ok(here + first..here + first + len);
                    }
                    Some((first, _)) => start = Some(here + first),
                    None => {}
                }
            }
            at += 1;
        }
    }

    /// No member is at or behind this slot.
    pub fn bound(&self) -> u32 {
        self.words as u32 * 64
    }

    /// Takes some run: up to `want` members, behind those that were taken last.
    pub fn take_run(&mut self, want: u32) -> Option<Range<u32>> {
        if self.count == 0 {
            return None;
        }
        let word = self.next_word(self.cursor).or_else(|| self.next_word(0))?;
        let start = word as u32 * 64 + self.word(word).trailing_zeros();
        let mut end = start;
        while end - start < want && self.contains(end) {
            end += 1;
        }
        self.remove_run(start..end);
        self.cursor = word;
        Some(start..end)
    }

    /// Adds slots of which none is a member.
    pub fn insert_run(&mut self, run: Range<u32>) {
        self.count += run.len() as u32;
        for (word, mask) in words(run) {
            debug_assert_eq!(*self.word(word) & mask, 0);
            *self.word(word) |= mask;
            *self.summary(word / 64) |= 1 << (word % 64);
        }
    }

    /// Removes slots that are all members.
    pub fn remove_run(&mut self, run: Range<u32>) {
        self.count -= run.len() as u32;
        for (word, mask) in words(run) {
            debug_assert_eq!(*self.word(word) & mask, mask);
            *self.word(word) &= !mask;
            if *self.word(word) == 0 {
                *self.summary(word / 64) &= !(1 << (word % 64));
            }
        }
    }
}

/// A run in a word: the first one that is long enough, as (first bit, bits); else
/// the one that may go on in the next word.
fn run_in_word(mut bits: u64, least: u32, most: u32) -> Option<(u32, u32)> {
    let last = bits.leading_ones();
    if least < 64 {
        while bits != 0 {
            let first = bits.trailing_zeros();
            let len = (bits >> first).trailing_ones();
            // One that reaches the word's end is looked at with the next word.
            if len >= most || (len >= least && first + len < 64) {
                return Some((first, len.min(most)));
            }
            bits &= bits.wrapping_add(1 << first);
        }
    }
    (last > 0).then_some((64 - last, 0))
}

/// The words of a run, each with its bits.
fn words(run: Range<u32>) -> impl Iterator<Item = (usize, u64)> {
    let Range { start, end } = run;
    (start / 64..end.div_ceil(64)).map(move |word| {
        let from = start.max(word * 64) - word * 64;
        let bits = end.min(word * 64 + 64) - word * 64 - from;
        (word as usize, u64::MAX >> (64 - bits) << from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const SLOTS: u32 = 4096;

    /// Runs of a set, cut after `most`.
    fn runs(model: &BTreeSet<u32>, least: u32, most: u32) -> Vec<Range<u32>> {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for &slot in model {
            match runs.last_mut() {
                Some(run) if run.end == slot && run.end - run.start < most => run.end += 1,
                _ => runs.push(slot..slot + 1),
            }
        }
        runs.retain(|run| run.end - run.start >= least);
        runs
    }

    proptest! {
        #[test]
        fn finds_the_runs_of_an_ordered_set(
            pieces in prop::collection::vec((0..SLOTS, 1..400_u32, any::<bool>()), 1..40),
            least in 1..200_u32, more in 0..300_u32, few in 0..20_usize,
        ) {
            let most = least + more;
            let mut memory = [0_u64; SLOTS as usize / 64 + 1];
            let mut map = Bitmap::new();
            let (bits, summary) = memory.split_at_mut(SLOTS as usize / 64);
            // SAFETY: a bit for each slot, and one for each word.
            unsafe { map.extend(bits.as_mut_ptr(), summary.as_mut_ptr(), SLOTS) };
            let mut model = BTreeSet::new();
            for (start, len, adds) in pieces {
                let run = start..(start + len).min(SLOTS);
                let is_one = |model: &BTreeSet<u32>| model.range(run.clone()).count();
                if adds && is_one(&model) == 0 {
                    map.insert_run(run.clone());
                    model.extend(run);
                } else if !adds && is_one(&model) == run.len() {
                    map.remove_run(run.clone());
                    model.retain(|slot| !run.contains(slot));
                }
                prop_assert_eq!(map.len() as usize, model.len());
            }
            let (mut found, mut from) = (Vec::new(), 0);
            while from < map.bound() {
                let mut words = (least / 64 + 2) as usize + few;
                match map.find_run(from, least, most, &mut words) {
                    Ok(run) => {
                        from = run.end;
                        found.push(run);
                    }
                    Err(next) => {
                        prop_assert!(next > from || next >= map.bound());
                        from = next;
                    }
                }
            }
            if few == 19 {
                // Words enough for the longest of these runs: none is cut by them.
                let mut whole = Vec::new();
                let (mut from, mut words) = (0, usize::MAX);
                while let Ok(run) = map.find_run(from, least, most, &mut words) {
                    from = run.end;
                    whole.push(run);
                }
                prop_assert_eq!(whole, runs(&model, least, most));
            }
            let all = found.iter().cloned().flatten();
            prop_assert!(all.clone().is_sorted() && all.clone().all(|slot| model.contains(&slot)));
            let is_valid = |run: &Range<u32>| (least..=most).contains(&(run.end - run.start));
            prop_assert!(found.iter().all(is_valid));
            while let Some(run) = map.take_run(most) {
                prop_assert!(!run.is_empty() && run.end - run.start <= most);
                prop_assert!(run.clone().all(|slot| model.remove(&slot)));
            }
            prop_assert!(model.is_empty() && memory.iter().all(|&word| word == 0));
        }
    }
}
