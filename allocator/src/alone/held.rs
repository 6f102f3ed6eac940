//! The slots that are held, in the order in which their blocks were freed.
//!
//! Ground rules. Each large class has a ring of slots in its depot, whose lock guards
//! it. What is read without it (how many pages there are, which class has the oldest)
//! is a hint.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use crate::class::{ALL_CLASSES, MAX_CLASSES, SMALL_CLASSES};
use crate::depot::Inner;
use crate::os::PAGE;
use crate::place::Slot;
use crate::window::{Extent, bitmap_base};

use super::MOST_HELD_PAGES;

/// The smallest slot has two pages, and one may be held beyond the budget.
const PLACES: usize = MOST_HELD_PAGES;
/// Where the ring lies in the class's bitmap memory, behind the sets.
const OFFSET: usize = 1 << 29;
/// Its memory grows by so much.
const STEP: usize = 64 << 10;
/// `FIRST` of a class that holds nothing.
const NOTHING: u32 = 0;

static PAGES: AtomicUsize = AtomicUsize::new(0);
/// Counts the slots that were ever held, from 1; wraps around.
static TURN: AtomicU32 = AtomicU32::new(NOTHING + 1);
/// The turn of each class's oldest.
static FIRST: [AtomicU32; MAX_CLASSES] = [const { AtomicU32::new(NOTHING) }; MAX_CLASSES];

/// An entry: a slot's index, and its turn above that.
type Entry = u64;

/// The slots of one class.
pub struct Held {
    ring: Extent,
    /// Entries taken and added since the start.
    taken: usize,
    added: usize,
}

impl Held {
    /// Nothing is held.
    pub const fn new() -> Held {
        Held { ring: Extent::new(), taken: 0, added: 0 }
    }

    fn place(class: usize, number: usize) -> *mut Entry {
        let start = bitmap_base(class) + OFFSET;
        (start + number % PLACES * size_of::<Entry>()) as *mut Entry
    }

    /// Adds a slot; false if there is no place or no memory for it.
    pub fn push(&mut self, slot: Slot) -> bool {
        let place = Held::place(slot.class, self.added);
        let start = Held::place(slot.class, 0) as usize;
        let has_place = self.added - self.taken < PLACES;
        if !has_place || self.ring.cover(start, place as usize + size_of::<Entry>(), STEP).is_err()
        {
            return false;
        }
        let turn = TURN.fetch_add(1, Relaxed).max(NOTHING + 1);
        // SAFETY: mapped just now or before; the ring is this thread's, which has the
        // lock.
        unsafe { place.write(Entry::from(turn) << 32 | slot.index as Entry) };
        if self.added == self.taken {
            FIRST[slot.class].store(turn, Relaxed);
        }
        self.added += 1;
        PAGES.fetch_add(slot.bytes() / PAGE, Relaxed);
        true
    }

    /// Takes the oldest slot of the class out.
    pub fn pop(&mut self, class: usize) -> Option<u32> {
        let first = self.first(class)?;
        self.taken += 1;
        let turn = self.first(class).map_or(NOTHING, |next| (next >> 32) as u32);
        FIRST[class].store(turn, Relaxed);
        PAGES.fetch_sub(Slot { class, index: 0 }.bytes() / PAGE, Relaxed);
        Some(first as u32)
    }

    fn first(&self, class: usize) -> Option<Entry> {
        // SAFETY: an entry that was added, in memory that stays mapped.
        (self.taken != self.added).then(|| unsafe { Held::place(class, self.taken).read() })
    }
}

/// How many pages are held.
pub fn pages() -> usize {
    PAGES.load(Relaxed)
}

/// The class that has held a slot for longest.
pub fn oldest() -> Option<usize> {
    let now = TURN.load(Relaxed);
    let age = |class: usize| match FIRST[class].load(Relaxed) {
        NOTHING => None,
        turn => Some((now.wrapping_sub(turn), class)),
    };
    (SMALL_CLASSES..ALL_CLASSES).filter_map(age).max().map(|(_, class)| class)
}

/// Lets all slots of a class go.
pub fn release_all(class: usize, inner: &mut Inner) {
    while let Some(index) = inner.held.pop(class) {
        super::count_let_go(Slot { class, index: index as usize });
        inner.purged.insert(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: what is counted is the process's.
    #[test]
    fn who_came_first_goes_first_in_a_class_and_of_all() {
        let class = ALL_CLASSES - 1;
        let mut held = Held::new();
        let before = pages();
        for round in 0..3 {
            for index in 0..100 {
                assert!(held.push(Slot { class, index: round * 1000 + index }));
            }
            for index in 0..100 {
                assert_eq!(held.pop(class), Some((round * 1000 + index) as u32));
            }
            assert_eq!(held.pop(class), None);
        }
        assert_eq!(pages(), before);

        let [older, newer] = [ALL_CLASSES - 2, ALL_CLASSES - 3];
        let (mut first, mut second) = (Held::new(), Held::new());
        assert!(first.push(Slot { class: older, index: 7 }));
        assert!(second.push(Slot { class: newer, index: 8 }));
        assert_eq!(oldest(), Some(older));
        first.pop(older);
        assert_eq!(oldest(), Some(newer));
        second.pop(newer);
    }
}
