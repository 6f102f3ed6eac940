//! Giving small slots' memory back while there is enough of it: late, and in
//! batches.
//!
//! A class whose depot holds more than the program does is looked at from time to
//! time. Runs of free slots are verified, and the pages inside them given back
//! with one call each, which makes no mapping. Their slots are then as if never
//! used: they read as zero, need no verification and `calloc` no filling. That
//! they were used once is still in their metadata, so what is written to one is
//! found when it is handed out (`fresh`), and a second free is known as such.
//! They are the last to be used again (but for memory nobody ever had).
//!
//! Ground rules. All of it happens under the class's lock, which is opened after
//! every step of [`STEP_BYTES`]. A slot's state says Never *before* its bytes
//! change, so that who looks at the slot in front of his block without the lock
//! never takes zeros for damage. A damaged slot is taken out of use and told.
//!
//! A program may need again what it freed just now: a page given back in vain
//! costs a call's share and a page fault. So a class which took back a good part
//! of what it gave away waits in proportion to it: however its use goes up and down,
//! that happens to it once, and then takes no time worth measuring.

mod piece;
#[cfg(test)]
mod tests;

use core::ops::Range;
use core::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, Release, SeqCst},
    compiler_fence, fence,
};

use piece::Piece;

use crate::class::SLOT_SIZE;
use crate::depot::{DEPOTS, Inner};
use crate::os::PAGE;
use crate::place::Slot;
use crate::slot::{FREE, Meta, NEVER};
use crate::window::{class_base, meta_base};
use crate::{config, os, poison};

/// A class is looked at when so many bytes were freed since the last look, and
/// an eighth of what the program holds ...
const WORTH_A_LOOK: usize = 64 << 10;
const LOOK_SHARE: usize = 8;
/// ... but twice as many after each look that found the program to hold as much as
/// before, up to this.
const RARE_LOOK: usize = 4 << 20;
/// Free bytes below which a class keeps all: it may need them again.
const LEAST_FREE: usize = 2 << 20;
/// A run's pages are worth a call from here up.
const WORTH_A_CALL: usize = 32 << 10;
/// Bytes verified and given back while the lock is held: 50 us ...
const STEP_BYTES: usize = 256 << 10;
/// ... and words of the set that are looked at for that: 2 us.
const STEP_WORDS: usize = 2048;
/// The same where every run is looked at.
const STEP_RUNS: usize = 256;
/// Steps of one look: no call takes longer than some milliseconds.
const LOOK_STEPS: usize = 32;
/// Bytes given back in vain cost so much time to come each: a page's 0.6 us are
/// then a sixteenth of a per cent.
const REGRET_NS: u64 = 250;
/// So much of what was given away must be taken back to be regretted: a quarter.
const REGRET_SHARE: usize = 4;

/// How a class's purging stands; the depot's lock guards it.
pub struct Purging {
    /// Bytes freed since the last look ...
    freed: usize,
    /// ... and how many make the next one due.
    next_look: usize,
    /// What the program held then.
    live: usize,
    /// The search goes on at this slot.
    at: u32,
    /// It is for single pages.
    is_fine: bool,
    /// Bytes given back, and taken again, since somewhat before `since`.
    given: usize,
    taken: usize,
    /// When bytes were given back last.
    since: u64,
    /// The kernel refused: memory is locked, or the process may not ask.
    is_refused: bool,
    /// The slots that a step is giving back: their bytes, their states and the sets
    /// do not agree meanwhile. First one and end, in one word: a signal handler may
    /// leave the step by a jump at any instruction.
    giving: AtomicU64,
}

/// How a step ended.
enum Step {
    /// Memory was given back, and there may be more.
    Given,
    /// There was nothing to be found.
    Nothing,
    /// The search is at the end of the set; whether memory was given back.
    End(bool),
    /// A damaged slot was found and is in no set any more.
    Damaged(u32),
}

impl Purging {
    /// Nothing was given back yet.
    pub const fn new() -> Purging {
        Purging {
            freed: 0,
            next_look: WORTH_A_LOOK,
            live: 0,
            at: 0,
            is_fine: false,
            given: 0,
            taken: 0,
            since: 0,
            is_refused: false,
            giving: AtomicU64::new(0),
        }
    }

    /// Notes bytes that came to the depot; whether a look is due.
    #[inline]
    pub fn note_freed(&mut self, bytes: usize) -> bool {
        self.freed += bytes;
        self.freed >= self.next_look
    }

    /// Notes that slots were taken whose memory was given back.
    pub fn note_taken(&mut self, bytes: usize) {
        self.taken += bytes;
    }

    /// No look before so many bytes are freed.
    fn rest(&mut self, live: usize) {
        let soon = WORTH_A_LOOK.max(live / LOOK_SHARE);
        let is_shrinking = live + live / LOOK_SHARE < self.live;
        self.next_look = match is_shrinking {
            true => soon,
            false => (self.next_look * 2).clamp(soon, RARE_LOOK.max(soon)),
        };
        (self.freed, self.live) = (0, live);
    }

    /// Notes which slots a step is giving back.
    fn set_giving(&self, slots: Range<u32>) {
        compiler_fence(SeqCst);
        self.giving.store(slots.start as u64 | (slots.end as u64) << 32, Relaxed);
        compiler_fence(SeqCst);
    }

    /// Whether memory that is given back now may stay so.
    fn is_wise(&mut self) -> bool {
        if self.taken < self.given / REGRET_SHARE || self.given == 0 {
            return true;
        }
        let Some(now) = os::now_ns() else { return false };
        if now.saturating_sub(self.since) < self.given as u64 * REGRET_NS {
            return false;
        }
        (self.given, self.taken) = (0, 0);
        true
    }
}

/// Looks at a class, and gives back what is worth it. A damaged slot that was
/// found is in no set any more; the caller retires and tells it.
#[cold]
pub fn look(class: usize) -> Option<u32> {
    for _ in 0..LOOK_STEPS {
        let mut inner = DEPOTS[class].lock();
        let bump = DEPOTS[class].bump();
        let live = inner.live(bump) as usize * SLOT_SIZE[class];
        let is_worth_it = inner.is_worth_it(class, live) && inner.purging.is_wise();
        if !is_worth_it || !inner.cover_purged(class, bump) {
            inner.purging.rest(live);
            return None;
        }
        let is_fine = inner.purging.is_fine;
        let step = inner.purge_step(class, if is_fine { PAGE } else { WORTH_A_CALL });
        DEPOTS[class].publish_count(&inner);
        match step {
            Step::Given | Step::End(true) => {}
            Step::Damaged(slot) => return Some(slot),
            Step::Nothing | Step::End(false) => {
                // What is left of runs that went back in part.
                let is_end = matches!(step, Step::End(_));
                let is_rest = inner.purged.len() >= inner.free.len();
                if is_end && is_rest && !is_fine {
                    inner.purging.is_fine = true;
                    return None;
                }
                inner.purging.is_fine = is_fine && !is_end;
                inner.purging.rest(live);
                return None;
            }
        }
    }
    // Due again at once: there is more.
    None
}

/// Gives back all pages that hold nothing but free slots; whether there were any.
/// Damaged slots are passed to `tell`, out of all sets.
pub fn trim(class: usize, mut tell: impl FnMut(u32)) -> bool {
    let mut any = false;
    DEPOTS[class].lock().purging.at = 0;
    loop {
        let mut inner = DEPOTS[class].lock();
        let bump = DEPOTS[class].bump();
        if inner.free.len() == 0 || inner.purging.is_refused || !inner.cover_purged(class, bump) {
            return any;
        }
        let step = inner.purge_step(class, PAGE);
        DEPOTS[class].publish_count(&inner);
        drop(inner);
        match step {
            Step::Given => any = true,
            Step::Nothing => {}
            Step::Damaged(slot) => tell(slot),
            Step::End(gave) => {
                DEPOTS[class].lock().forget_purged(class);
                return any | gave;
            }
        }
    }
}

impl Inner {
    /// Slots that have memory and are in no set: the program's, and in caches.
    fn live(&self, bump: u32) -> u32 {
        bump.saturating_sub(self.purged.len()).saturating_sub(self.free.len())
    }

    fn is_worth_it(&self, class: usize, live: usize) -> bool {
        let free = self.free.len() as usize * SLOT_SIZE[class];
        free >= LEAST_FREE && free >= live && !self.purging.is_refused
    }

    /// Goes on with the search for runs whose pages are worth `least` bytes.
    fn purge_step(&mut self, class: usize, least: usize) -> Step {
        let slot = SLOT_SIZE[class];
        let is_fine = least == PAGE;
        // A page of which some slots went back before takes one slot more.
        let fewest = if is_fine { 1 } else { least.div_ceil(slot) as u32 };
        let most = (STEP_BYTES / slot) as u32;
        let (mut words, mut left) = (if is_fine { STEP_RUNS } else { STEP_WORDS }, STEP_BYTES);
        while left > 0 {
            let run = match self.free.find_run(self.purging.at, fewest, most, &mut words) {
                Ok(run) => run,
                Err(next) => {
                    let is_end = next >= self.free.bound();
                    self.purging.at = if is_end { 0 } else { next };
                    return match is_end {
                        true => Step::End(left < STEP_BYTES),
                        false if left <= STEP_BYTES / 2 => Step::Given,
                        false => Step::Nothing,
                    };
                }
            };
            self.purging.at = run.end;
            let is_cut = run.len() == most as usize;
            let Some(piece) = Piece::inside(run.clone(), self.widened(&run, slot), slot, is_cut)
            else {
                continue;
            };
            if piece.len() < least {
                continue;
            }
            if let Some(damaged) = self.give(class, &piece) {
                self.free.remove(damaged);
                self.purging.at = run.start;
                return Step::Damaged(damaged);
            }
            if self.purging.is_refused {
                return Step::End(false);
            }
            self.purging.at = if is_cut { piece.slots.end } else { run.end };
            left = left.saturating_sub(piece.len());
        }
        Step::Given
    }

    /// Gives a piece's pages back, or names a damaged slot in it.
    fn give(&mut self, class: usize, piece: &Piece) -> Option<u32> {
        let (slot, base) = (SLOT_SIZE[class], class_base(class));
        let slots = || piece.slots.clone().map(|index| Slot { class, index: index as usize });
        // SAFETY: slots of the set `free`, whose lock is held.
        let holds = |slot: &Slot| unsafe { poison::holds(slot.base() as *const u8, slot.bytes()) };
        if config::poisons()
            && let Some(damaged) = slots().find(|slot| !holds(slot))
        {
            return Some(damaged.index as u32);
        }
        self.purging.set_giving(piece.slots.clone());
        slots().for_each(|slot| slot.meta().set_flags(NEVER));
        fence(Release);
        let (from, len) = (base + piece.pages.start, piece.len());
        // SAFETY: whole pages of free slots; nobody gets one while the lock is held.
        if !unsafe { os::discard(from, len) } {
            self.purging.is_refused = true;
            slots().for_each(take_back);
            self.purging.set_giving(0..0);
            return None;
        }
        let (first, end) = (piece.slots.start as usize * slot, piece.slots.end as usize * slot);
        let (before, behind) =
            (piece.pages.start.saturating_sub(first), end.saturating_sub(piece.pages.end));
        // SAFETY: what lies of the first and the last slot outside of the pages.
        unsafe {
            ((base + first) as *mut u8).write_bytes(0, before);
            ((base + end - behind) as *mut u8).write_bytes(0, behind);
        }
        self.free.remove_run(piece.slots.clone());
        self.purged.insert_run(piece.slots.clone());
        self.purging.set_giving(0..0);
        self.purging.given += len;
        self.purging.since = os::now_ns().unwrap_or(0);
        None
    }

    /// Makes the slots of a step that was broken off free ones with poison again.
    pub fn mend_purge(&mut self, class: usize) {
        let broken = self.purging.giving.load(Relaxed);
        for index in broken as u32..(broken >> 32) as u32 {
            take_back(Slot { class, index: index as usize });
            self.purged.remove(index);
            self.free.insert(index);
        }
        self.purging.set_giving(0..0);
    }

    /// A run with the slots around it that went back before, as far as they share a
    /// page with it.
    fn widened(&self, run: &Range<u32>, slot: usize) -> Range<u32> {
        let near = PAGE.div_ceil(slot) as u32;
        let purged = |slot: &u32| self.purged.contains(*slot);
        let before = (run.start.saturating_sub(near)..run.start).rev().take_while(purged);
        let behind = (run.end..run.end + near).take_while(purged);
        run.start - before.count() as u32..run.end + behind.count() as u32
    }

    /// Gives the metadata of slots back whose memory was. What they held is not
    /// known any more then.
    fn forget_purged(&mut self, class: usize) {
        let base = meta_base(class);
        let fewest = (PAGE / size_of::<Meta>()) as u32;
        let mut at = 0;
        while let Ok(run) = self.purged.find_run(at, fewest, u32::MAX, &mut { usize::MAX }) {
            at = run.end;
            let meta = |slot: u32| base + slot as usize * size_of::<Meta>();
            let (from, to) = (meta(run.start).next_multiple_of(PAGE), meta(run.end) & !(PAGE - 1));
            // Refused, they say what they said.
            // SAFETY: whole pages of metadata of slots that nobody has while the lock
            // is held. Who looks at them reads either that they are as if never used,
            // or that they never were.
            let _ = from < to && unsafe { os::discard(from, to - from) };
        }
    }

    /// Takes some slots that are next to each other and were given back.
    pub fn take_purged(&mut self, class: usize, want: u32) -> Option<Range<u32>> {
        let run = self.purged.take_run(want)?;
        self.purging.note_taken(run.len() * SLOT_SIZE[class]);
        Some(run)
    }
}

/// Makes a slot what it was before the kernel refused its memory, or took some of
/// it: there may be a page that the program locked.
fn take_back(slot: Slot) {
    if config::poisons() {
        // SAFETY: a slot of the set `free`, whose lock is held.
        unsafe { poison::fill_in_order(slot.base() as *mut u8, slot.bytes() - 1, slot.bytes()) };
    }
    fence(Release);
    slot.meta().set_flags(FREE);
}
