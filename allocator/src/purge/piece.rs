//! Which part of a run of free slots can be given back.

use core::ops::Range;

use crate::holes;
use crate::os::PAGE;

/// Part of a run that can be given back: whole pages, and the run's slots that lie in
/// them, be it in part.
pub(super) struct Piece {
    /// Offsets of the pages.
    pub pages: Range<usize>,
    /// The slots.
    pub slots: Range<u32>,
}

impl Piece {
    /// The part of a run; offsets are from slot 0, which begins at a page. The slots
    /// of `wide` around it are as if never used.
    ///
    /// The last slot in front of one that is in use stays as it is, for whoever
    /// frees that block finds poison in front of it, as he expects. Where a run
    /// `is_cut` and goes on, the part ends with a page and a slot, so that no page
    /// between two parts is left out.
    pub fn inside(run: Range<u32>, wide: Range<u32>, slot: usize, is_cut: bool) -> Option<Piece> {
        let unit = holes::unit(slot);
        let end = match wide.end {
            end if end > run.end => end,
            _ if is_cut => run.end / unit * unit,
            _ => run.end - 1,
        };
        let (page, offset) = (|at: usize| at & !(PAGE - 1), |index: u32| index as usize * slot);
        let start = offset(wide.start).next_multiple_of(PAGE).max(page(offset(run.start)));
        let end = page(offset(end)).min(offset(run.end).next_multiple_of(PAGE));
        let first = run.start.max((start / slot) as u32);
        let behind = run.end.min(end.div_ceil(slot) as u32);
        (start < end && first < behind).then_some(Piece { pages: start..end, slots: first..behind })
    }

    /// Its bytes.
    pub fn len(&self) -> usize {
        self.pages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::{SLOT_SIZE, SMALL_CLASSES};
    use crate::purge::STEP_BYTES;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_piece_is_whole_pages_of_slots_of_its_run(
            class in 0..SMALL_CLASSES, start in 600..100_000_u32, len in 1..2000_u32,
            before in 0..300_u32, behind in 0..300_u32, is_cut: bool,
        ) {
            let slot = SLOT_SIZE[class];
            let run = start..start + len;
            let wide = start - before..run.end + behind;
            let Some(Piece { pages, slots }) = Piece::inside(run.clone(), wide.clone(), slot, is_cut)
            else {
                let least = if is_cut { holes::unit(slot) as usize * slot } else { slot };
                prop_assert!(len as usize * slot < least + 2 * PAGE);
                return Ok(());
            };
            prop_assert!(pages.start % PAGE == 0 && pages.end % PAGE == 0);
            prop_assert!(!pages.is_empty() && !slots.is_empty());
            prop_assert!(run.start <= slots.start && slots.end <= run.end);
            prop_assert!(is_cut || behind > 0 || slots.end < run.end);
            let inside = |index: u32| {
                let start = index as usize * slot;
                start < pages.end && pages.start < start + slot
            };
            // Every slot of the run of which a byte lies in the pages, and no other one;
            // what else lies there is as if never used.
            for index in wide.start - 2..wide.end + 2 {
                prop_assert_eq!(slots.contains(&index), run.contains(&index) && inside(index));
                prop_assert!(!inside(index) || wide.contains(&index));
            }
        }
    }

    #[test]
    fn what_is_cut_goes_on_without_a_page_between() {
        for &slot in &SLOT_SIZE[..SMALL_CLASSES] {
            let most = (STEP_BYTES / slot) as u32;
            let inside = |run: Range<u32>| Piece::inside(run.clone(), run, slot, true).unwrap();
            let first = inside(1..1 + most);
            let second = inside(first.slots.end..first.slots.end + most);
            assert_eq!(first.pages.end, second.pages.start, "{slot}");
        }
    }
}
