//! The sweep: verifying what is free, and what surrounds live blocks, now
//! instead of when a block is freed or used again.
//!
//! | file | is |
//! |---|---|
//! | `free` | quarantines, magazines, depots |
//! | `purged` | free slots whose memory was given back |
//! | `ends` | the bytes behind live small blocks, and in front of some |
//! | `large::sweep`, `large::ends`, `huge` | the same of larger blocks |
//! | `suspicion` | how a live block's damage is proven while its owner runs |
//!
//! Ground rules. Other threads run meanwhile, and a finding must be true all the
//! same; each file says how. A sweep goes part by part, each class by class;
//! what it reads is counted, so that it can stop anywhere and go on later.

mod ends;
mod free;
mod purged;
mod suspicion;
#[cfg(test)]
mod suspicion_tests;

use crate::cache::Cache;
use crate::class::{ALL_CLASSES, SMALL_CLASSES};
use crate::signal::{self, Busy};
use crate::{cache, config, huge, large};

#[cfg(loom)]
pub use {ends::sweep_ends, free::sweep_ring};

/// Most bytes that [`sweep`] reads: a tenth of a second at worst.
const MOST_BYTES: usize = 256 << 20;

/// What a sweep does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Rings,
    Magazines,
    Depots,
    Purged,
    Large,
    Ends,
    LargeEnds,
    HugeEnds,
}

/// A sweep in steps.
///
/// ```
/// let mut sweeper = deadwalk_alloc::Sweeper::new();
/// let mut damaged = 0;
/// while !sweeper.step(1 << 20, &mut damaged) {}
/// assert_eq!(damaged, 0);
/// ```
#[derive(Debug)]
pub struct Sweeper {
    part: Part,
    /// Address of the cache that is being looked at; 0 before the newest.
    cache: usize,
    class: usize,
    /// Slots of the class done with.
    slot: u32,
}

impl Default for Sweeper {
    fn default() -> Self {
        Sweeper::new()
    }
}

impl Sweeper {
    /// A sweep that begins.
    pub const fn new() -> Sweeper {
        Sweeper { part: Part::Rings, cache: 0, class: 0, slot: 0 }
    }

    /// Goes on for about `budget` bytes (one slot at least); what is damaged is
    /// told and added to `damaged`. True when everything was looked at: the next
    /// step begins anew.
    ///
    /// Magazines are the calling thread's own. May run on any thread, together
    /// with other sweeps, where no lock of the heap is held.
    pub fn step(&mut self, budget: usize, damaged: &mut usize) -> bool {
        // A handler that interrupted the heap has nothing whole to look at.
        if !config::poisons() || signal::is_nested() {
            return true;
        }
        let _busy = Busy::quiet();
        let mut budget = budget.max(1);
        while budget > 0 {
            let done = match self.part {
                Part::Rings => match cache::at_or_newest(self.cache) {
                    Some(cache) => {
                        *damaged +=
                            free::sweep_ring(cache, self.class, &mut self.slot, &mut budget);
                        self.cache = cache.addr();
                        let is_done = budget > 0 && self.next_class(SMALL_CLASSES);
                        let next = is_done.then(|| cache.older());
                        self.cache = next.flatten().map_or(self.cache, Cache::addr);
                        matches!(next, Some(None))
                    }
                    None => true,
                },
                Part::Magazines => {
                    *damaged += free::sweep_magazine(self.class, &mut budget);
                    self.next_class(SMALL_CLASSES)
                }
                Part::Depots => {
                    *damaged += free::sweep_depot(self.class, &mut self.slot, &mut budget);
                    budget > 0 && self.next_class(SMALL_CLASSES)
                }
                Part::Purged => {
                    *damaged += purged::sweep_purged(self.class, &mut self.slot, &mut budget);
                    budget > 0 && self.next_class(SMALL_CLASSES)
                }
                Part::Large => {
                    let class = SMALL_CLASSES + self.class;
                    *damaged += large::sweep_retained(class, &mut self.slot, &mut budget);
                    budget > 0 && self.next_class(ALL_CLASSES - SMALL_CLASSES)
                }
                Part::LargeEnds => {
                    let class = SMALL_CLASSES + self.class;
                    *damaged += large::sweep_ends(class, &mut self.slot, &mut budget);
                    budget > 0 && self.next_class(ALL_CLASSES - SMALL_CLASSES)
                }
                Part::HugeEnds => {
                    *damaged += huge::sweep_ends();
                    true
                }
                Part::Ends => {
                    *damaged += ends::sweep_ends(self.class, &mut self.slot, &mut budget);
                    budget > 0 && self.next_class(SMALL_CLASSES)
                }
            };
            if done && self.next_part() {
                return true;
            }
        }
        false
    }

    /// Goes to the next of so many classes; true if there is none.
    fn next_class(&mut self, classes: usize) -> bool {
        self.slot = 0;
        self.class = (self.class + 1) % classes;
        self.class == 0
    }

    /// Goes to the next part; true if it is the first one again.
    fn next_part(&mut self) -> bool {
        self.cache = 0;
        self.part = match self.part {
            Part::Rings => Part::Magazines,
            Part::Magazines => Part::Depots,
            Part::Depots => Part::Purged,
            Part::Purged => Part::Large,
            Part::Large => Part::Ends,
            Part::Ends => Part::LargeEnds,
            Part::LargeEnds => Part::HugeEnds,
            Part::HugeEnds => Part::Rings,
        };
        self.part == Part::Rings
    }
}

/// Verifies quarantined and free slots and what surrounds live blocks, tells of
/// the damaged ones and returns their number. Reads 256 MiB at most.
pub fn sweep() -> usize {
    let mut damaged = 0;
    Sweeper::new().step(MOST_BYTES, &mut damaged);
    damaged
}

/// Takes bytes off a budget.
fn spend(budget: &mut usize, bytes: usize) {
    *budget = budget.saturating_sub(bytes);
}
