//! Which pages of a slot are guarded, and what it takes to change that.
//!
//! Pure: pages are numbers from the slot's start on, nothing is called.
//!
//! ```text
//!   page  0 ............ own            rest ...... pages
//!         [ the block   |X| poison left  |X X X X X X]      own < rest
//!         [ the block               own = rest X X X ]      the common form
//! ```
//!
//! A smaller block in a slot whose pages are in memory is worth a guard of its
//! own: taking the access to all pages behind it away would also give them
//! back, and the next larger block would fault them in again.

use core::ops::Range;

/// So many pages with content are given up rather than kept behind a guard.
const FEW: usize = 4;

/// The guarded pages of a slot: `own`, and all from `rest` on.
///
/// # Invariants
///
/// 1. `own <= rest <= pages` of the slot, which are 2^14 at most.
/// 2. A free slot of whose pages none may be touched has `own == 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    /// The page behind the block.
    pub own: usize,
    /// The first page of the guarded tail.
    pub rest: usize,
}

/// Bits of a page number in a packed word.
const BITS: u32 = 15;
/// Note in a packed word: some guarded page was opened after a trap.
pub const OPENED: u32 = 1 << 31;
/// All notes.
pub const NOTES: u32 = OPENED;

impl Guards {
    /// No guard in a slot of so many pages.
    pub fn none(pages: usize) -> Guards {
        Guards { own: pages, rest: pages }
    }

    /// Every page is guarded.
    pub const WHOLE: Guards = Guards { own: 0, rest: 0 };

    /// Everything from a page on is guarded.
    pub fn from(page: usize) -> Guards {
        Guards { own: page, rest: page }
    }

    /// Whether a page is guarded; it is one of the slot's.
    pub fn contains(self, page: usize) -> bool {
        page == self.own || page >= self.rest
    }

    /// Number of separate ranges in a slot of so many pages.
    pub fn extents(self, pages: usize) -> usize {
        (self.own < self.rest) as usize + (self.rest < pages) as usize
    }

    /// Packed, so that no guard is zero: what fresh metadata holds.
    pub fn pack(self, pages: usize) -> u32 {
        (pages - self.own) as u32 | ((pages - self.rest) as u32) << BITS
    }

    /// The guards of a packed word, notes aside.
    pub fn unpack(word: u32, pages: usize) -> Guards {
        let mask = (1 << BITS) - 1;
        Guards { own: pages - (word & mask) as usize, rest: pages - (word >> BITS & mask) as usize }
    }
}

/// Steps from one state to another, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Pages to open; those that were guarded read as zero then.
    pub remove: Range<usize>,
    /// Whether those must be filled with poison, since poison follows.
    pub poison: bool,
    /// Pages to take the access and the content from.
    pub install: Range<usize>,
    /// What is guarded afterwards.
    pub guards: Guards,
}

impl Plan {
    /// Guards the page `end` in a slot whose first `dirty` pages have content;
    /// the pages in front of it become accessible.
    pub fn at(old: Guards, end: usize, dirty: usize) -> Plan {
        let Guards { own, rest } = old;
        let few = dirty.min(rest).saturating_sub(end) <= FEW;
        let plan = |remove, install, guards| Plan { remove, poison: false, install, guards };
        if end == own {
            plan(0..0, 0..0, old)
        } else if end == rest {
            plan(own..own + 1, 0..0, Guards::from(end))
        } else if end > rest {
            plan(own..end, 0..0, Guards::from(end))
        } else if end > own {
            match few {
                true => plan(own..own + 1, end..rest, Guards::from(end)),
                false => plan(own..own + 1, end..end + 1, Guards { own: end, rest }),
            }
        } else if few {
            plan(0..0, end..rest, Guards::from(end))
        } else if own == rest {
            plan(0..0, end..end + 1, Guards { own: end, rest })
        } else {
            let poison = own < dirty;
            let guards = Guards { own: end, rest };
            Plan { remove: own..own + 1, poison, install: end..end + 1, guards }
        }
    }

    /// Opens all pages in front of the page `end` and guards the others, whatever
    /// they hold.
    pub fn anew(old: Guards, end: usize) -> Plan {
        let remove = old.own.min(end)..end;
        let install = end..old.rest.max(end);
        Plan { remove, poison: false, install, guards: Guards::from(end) }
    }

    /// Guards everything from the page `end` on; it is not behind `old.own`.
    pub fn from(old: Guards, end: usize) -> Plan {
        debug_assert!(end <= old.own);
        Plan { remove: 0..0, poison: false, install: end..old.rest, guards: Guards::from(end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a page of the model slot holds.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Page {
        Zero,
        Poison,
        Guard,
    }

    const PAGES: usize = 40;

    fn carry_out(plan: &Plan, model: &mut [Page]) {
        for page in
            plan.remove.clone().filter(|&page| model[page] == Page::Guard).collect::<Vec<_>>()
        {
            model[page] = if plan.poison { Page::Poison } else { Page::Zero };
        }
        model[plan.install.clone()].fill(Page::Guard);
    }

    proptest! {
        #[test]
        fn a_slot_handed_out_again_and_again_is_guarded_behind_each_block(
            steps in prop::collection::vec((1..PAGES, any::<bool>()), 1..60)
        ) {
            let mut model = vec![Page::Zero; PAGES];
            let mut guards = Guards::none(PAGES);
            let mut dirty = 0;
            for (end, purge) in steps {
                let plan = Plan::at(guards, end, dirty);
                carry_out(&plan, &mut model);
                guards = plan.guards;
                prop_assert_eq!(Guards::unpack(guards.pack(PAGES) | NOTES, PAGES), guards);
                dirty = dirty.min(guards.rest).max(end);
                prop_assert!(model[..end].iter().all(|&page| page != Page::Guard));
                prop_assert_eq!(model[end], Page::Guard);
                prop_assert_eq!(model[PAGES - 1], Page::Guard);
                // The block is used and freed: all poison.
                model[..end].fill(Page::Poison);
                for (page, &holds) in model.iter().enumerate() {
                    prop_assert_eq!(guards.contains(page), holds == Page::Guard);
                    if holds != Page::Guard {
                        prop_assert_eq!(page < dirty, holds == Page::Poison);
                    }
                }
                if purge {
                    let plan = Plan::from(guards, 0);
                    carry_out(&plan, &mut model);
                    guards = plan.guards;
                    dirty = 0;
                    prop_assert_eq!(guards, Guards::WHOLE);
                    prop_assert!(model.iter().all(|&page| page == Page::Guard));
                }
            }
        }
    }

    #[test]
    fn two_sizes_by_turns_move_one_page_each_time() {
        let mut guards = Guards::none(80);
        guards = Plan::at(guards, 70, 0).guards;
        for _ in 0..3 {
            let down = Plan::at(guards, 50, 70);
            assert_eq!((down.remove.len(), down.install.clone()), (0, 50..51));
            let up = Plan::at(down.guards, 70, 70);
            assert_eq!((up.remove.clone(), up.install.len()), (50..51, 0));
            guards = up.guards;
            assert_eq!(
                Plan::at(guards, 70, 70),
                Plan { remove: 0..0, poison: false, install: 0..0, guards }
            );
        }
    }
}
