//! The depot of each class: free slots no thread holds, and fresh ones.
//!
//! Ground rules. One lock per class guards sets and extents. `bump` (slots that
//! exist) and `count` (members of `free`) are written under it and read
//! anywhere. A slot moves between a thread's magazine and the depot, counts
//! included, entirely under the lock, so that at a fork (all locks held) every
//! free slot is in exactly one place.

use core::cell::UnsafeCell;
use core::ops::Range;

use crate::alone::Held;
use crate::bitmap::Bitmap;
use crate::class::{MAX_CLASSES, SLOT_SIZE, SMALL_CLASSES};
use crate::holes::{self, Holes};
use crate::lock::{Guard, Lock};
use crate::os::{MapError, PAGE};
use crate::place::Slot;
use crate::poison::{POISON_END, TAIL_LIMIT};
use crate::purge::Purging;
use crate::slot::{Meta, NEVER};
use crate::sync::{AtomicU32, Ordering::*, const_fn, shared_static};
use crate::window::{Extent, bitmap_base, class_base, class_capacity, meta_base};
use crate::{config, os, poison, pressure};

/// First and largest step by which a class's memory grows.
const FIRST_STEP: usize = 64 << 10;
const LAST_STEP: usize = 2 << 20;
/// Least size of a hole: giving memory back costs a system call and page faults.
const WORTH_A_HOLE: usize = 64 << 10;
/// So many bytes are freed at least between two looks for holes.
const WORTH_A_LOOK: usize = 512 << 10;
/// Foreign mappings in the way are jumped over with doubling jumps; so many
/// times (then the jumps exceed the class's span).
const MAX_SKIPS: u32 = 19;
/// The sets of a small class begin in the library's own memory: two mappings and
/// their page faults less for each class a short-lived program uses.
const FIRST_WORDS: usize = 64;
const _: () = assert!(FIRST_WORDS <= 64, "one summary word");
/// Bytes of metadata of a large slot (`large::Meta`).
pub const LARGE_META: usize = 32;
/// Bitmap memory of a large class: two summaries, two sets of up to 2^20 bits.
const LARGE_BITMAP: usize = 2 * 4096 + 2 * (1 << 17);

/// A class's free slots.
pub struct Depot {
    inner: Lock<Inner>,
    bump: AtomicU32,
    count: AtomicU32,
}

/// What the lock guards.
pub struct Inner {
    /// Free slots whose poison held when they came here.
    pub free: Bitmap,
    /// Free slots whose memory was given back: they read as zero, or (large classes)
    /// are not mapped at all.
    pub purged: Bitmap,
    slots: Extent,
    meta: Extent,
    bits: Extent,
    summary: Extent,
    /// Small classes: free slots that are not mapped.
    holes: Holes,
    /// Small classes: bytes that came here since memory was unmapped last.
    freed: usize,
    /// Small classes: how giving memory back stands.
    pub purging: Purging,
    purged_bits: Extent,
    purged_summary: Extent,
    /// Large classes: freed slots that nobody is to get yet.
    pub held: Held,
}

shared_static! {
    /// The depots, by class.
    pub DEPOTS: [Depot; MAX_CLASSES] = Depot::new()
}

/// First memory of the sets: words, and one summary word.
struct First(UnsafeCell<[u64; FIRST_WORDS + 1]>);

// SAFETY: each is reached through its class's set only, behind the depot's lock.
unsafe impl Sync for First {}

shared_static! {
    FIRST: [First; SMALL_CLASSES] = First(UnsafeCell::new([0; FIRST_WORDS + 1]))
}

impl Depot {
    const_fn! {
        /// No slots exist.
        fn new() -> Depot {
            Depot {
                inner: Lock::held_over_fork(Inner {
                    free: Bitmap::new(),
                    purged: Bitmap::new(),
                    slots: Extent::new(),
                    meta: Extent::new(),
                    bits: Extent::new(),
                    summary: Extent::new(),
                    holes: Holes::new(),
                    freed: 0,
                    purging: Purging::new(),
                    purged_bits: Extent::new(),
                    purged_summary: Extent::new(),
                    held: Held::new(),
                }),
                bump: AtomicU32::new(0),
                count: AtomicU32::new(0),
            }
        }
    }

    /// Number of slots that exist: indexes below it have metadata.
    #[inline]
    pub fn bump(&self) -> u32 {
        self.bump.load(Acquire)
    }

    /// Number of free slots, as of some time ago.
    #[inline]
    pub fn count_hint(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// Locks the depot.
    pub fn lock(&self) -> Guard<'_, Inner> {
        self.inner.lock()
    }

    /// Publishes the number of free slots.
    pub fn publish_count(&self, inner: &Inner) {
        self.count.store(inner.free.len(), Relaxed);
    }

    /// Whether the calling thread holds the lock, in a call that a signal handler
    /// interrupted.
    pub fn is_mine(&self) -> bool {
        self.inner.is_mine()
    }

    /// Makes the sets whole and opens the lock.
    ///
    /// # Safety
    ///
    /// * The depot is that of `class`.
    /// * The calling thread holds the lock in a call that will not go on, or it is a
    ///   fork child's only one and the holder stayed behind.
    pub unsafe fn repair(&self, class: usize) {
        // SAFETY: the caller's promise.
        let inner = unsafe { self.inner.held() };
        inner.free.recount();
        inner.purged.recount();
        inner.mend_purge(class);
        self.publish_count(inner);
        self.inner.force_open();
    }

    /// Locks the depot if nobody has it.
    pub fn try_lock(&self) -> Option<Guard<'_, Inner>> {
        self.inner.try_lock()
    }

    /// Whether nobody has the lock.
    pub fn is_open(&self) -> bool {
        self.inner.is_open()
    }

    /// Locks for a fork: see [`Lock::take_for_fork`].
    pub fn take_for_fork(&self, patience: usize, anyway: bool) -> bool {
        self.inner.take_for_fork(patience, anyway)
    }

    /// See [`Lock::is_orphaned`].
    pub fn is_orphaned(&self) -> bool {
        self.inner.is_orphaned()
    }

    /// Unlocks after a fork.
    pub fn release_after_fork(&self) {
        self.inner.release_after_fork();
    }

    /// Makes up to `want` slots and returns them as `first..end`.
    pub fn grow(&self, class: usize, want: u32, inner: &mut Inner) -> Option<(u32, u32)> {
        let (slot, base) = (SLOT_SIZE[class], class_base(class));
        let capacity = class_capacity(class);
        let small = class < SMALL_CLASSES;
        let bump = self.bump();
        let again = match small {
            true => inner.take_purged(class, want).or_else(|| inner.fill_hole(class, want)),
            false => None,
        };
        if let Some(slots) = again {
            return Some((slots.start, slots.end));
        }
        // Slot 0 of a small class is the pad in front of slot 1.
        let mut first = if small { bump.max(1) } else { bump };
        let have = bump as usize * slot;
        let step =
            if small { (have / 8).clamp(FIRST_STEP, LAST_STEP) } else { (have / 8).min(LAST_STEP) };
        let mut want = want;
        let mut skips = 0;
        let end = loop {
            let end = first.checked_add(want.min(capacity.saturating_sub(first)))?;
            if end == first {
                return None;
            }
            inner.cover_metadata(class, end).ok()?;
            let slots_end = base + end as usize * slot;
            let covered = match small {
                true => inner.slots.cover_dense(base, slots_end, step),
                false => inner.slots.cover(base, slots_end, step),
            };
            match covered {
                Ok(()) => break end,
                Err(MapError::NoMemory) if want > 1 => want = 1,
                Err(MapError::NoMemory) => return None,
                Err(MapError::Taken) if skips == MAX_SKIPS => return None,
                Err(MapError::Taken) => {
                    inner.slots.skip(FIRST_STEP << skips);
                    skips += 1;
                    let beyond = (inner.slots.end() - base).div_ceil(slot);
                    first = u32::try_from(beyond).ok()? + small as u32;
                }
            }
        };
        if small && first != bump && slot <= TAIL_LIMIT {
            // SAFETY: last byte of slot `first - 1`, the pad, mapped just now.
            unsafe { ((base + first as usize * slot - 1) as *mut u8).write(POISON_END) };
        }
        self.bump.store(end, Release);
        Some((first, end))
    }

    /// Notes that a thread gave `count` slots to `free`; whether it is to call
    /// [`purge::look`](crate::purge::look) when it has opened the lock. Where memory
    /// is short, addresses go back to the system at once when there is enough of it.
    pub fn note_freed(&self, class: usize, count: u32, inner: &mut Inner) -> bool {
        let slot = SLOT_SIZE[class];
        if !pressure::is_on() {
            return inner.purging.note_freed(count as usize * slot);
        }
        inner.freed += count as usize * slot;
        if inner.freed >= WORTH_A_LOOK.max(self.bump() as usize * slot / 16) {
            self.give_back(class, inner);
        }
        false
    }

    /// Unmaps runs of free small slots, after verifying them; whether there were
    /// any. A damaged slot stays, to be found when it is used.
    pub fn give_back(&self, class: usize, inner: &mut Inner) -> bool {
        inner.freed = 0;
        let unit = holes::unit(SLOT_SIZE[class]);
        let fewest = (WORTH_A_HOLE / SLOT_SIZE[class]) as u32;
        let mut any = false;
        for is_purged in [false, true] {
            let mut at = 0;
            let next =
                |set: &mut Bitmap, at| set.find_run(at, fewest, u32::MAX, &mut { usize::MAX });
            while let Ok(run) = next(inner.set(is_purged), at) {
                at = run.end;
                any |= inner.open_hole(class, holes::inside(run, unit), is_purged);
            }
        }
        self.publish_count(inner);
        any
    }

    /// Maps memory for `bytes` of slots more than there are, for a time when no
    /// more can be mapped. As far as there is memory for it.
    pub fn map_in_advance(&self, class: usize, bytes: usize) {
        let (slot, base) = (SLOT_SIZE[class], class_base(class));
        let mut inner = self.lock();
        let slots = self.bump().max(1).saturating_add((bytes / slot) as u32);
        let slots = slots.min(class_capacity(class));
        if inner.cover_metadata(class, slots).is_ok() {
            let _ = inner.slots.cover(base, base + slots as usize * slot, 0);
        }
    }
}

impl Inner {
    /// The free slots whose memory was given back, or the others.
    fn set(&mut self, is_purged: bool) -> &mut Bitmap {
        if is_purged { &mut self.purged } else { &mut self.free }
    }

    /// Unmaps free slots of one of the two sets that are fit for a hole.
    fn open_hole(&mut self, class: usize, slots: Range<u32>, is_purged: bool) -> bool {
        let (slot, base) = (SLOT_SIZE[class], class_base(class));
        let bytes = slots.len() * slot;
        if bytes < WORTH_A_HOLE || self.holes.is_full() {
            return false;
        }
        let all = slots.clone().map(|index| Slot { class, index: index as usize });
        // SAFETY: slots of the set `free`, whose lock is held.
        let holds = |slot: Slot| unsafe { poison::holds(slot.base() as *const u8, slot.bytes()) };
        if !is_purged && config::poisons() && !all.clone().all(holds) {
            return false;
        }
        let end = base + slots.end as usize * slot - PAGE;
        let mut start = base + slots.start as usize * slot;
        if self.holes.any_ends_at(slots.start) {
            // Nobody is behind that hole any more.
            start -= PAGE;
        }
        // SAFETY: whole pages of free slots; nobody gets one while the lock is held.
        if !unsafe { os::unmap(start, end - start) } {
            return false;
        }
        self.set(is_purged).remove_run(slots.clone());
        all.for_each(|slot| slot.meta().set_flags(NEVER));
        self.holes.add(slots);
        true
    }

    /// Maps up to `want` slots of a hole; they are as if never used.
    fn fill_hole(&mut self, class: usize, want: u32) -> Option<Range<u32>> {
        let (slot, base) = (SLOT_SIZE[class], class_base(class));
        let unit = holes::unit(slot);
        for want in [want, 1] {
            let filled = self.holes.first(want, unit)?;
            let (start, len) = (base + filled.start as usize * slot, filled.len() * slot);
            let kept = if self.holes.is_whole(&filled) { PAGE } else { 0 };
            let mapped = match len - kept {
                0 => Ok(()),
                len => os::map_at(start, len),
            };
            match mapped {
                // SAFETY: the page that stayed, of slots that are this set's.
                Ok(()) if kept == 0 || unsafe { os::map_anew(start + len - PAGE, PAGE) } => {
                    self.holes.remove_first(&filled);
                    return Some(filled);
                }
                Ok(()) => {
                    // SAFETY: mapped just now.
                    unsafe { os::unmap(start, len - kept) };
                }
                // Whoever mapped there keeps it.
                Err(MapError::Taken) => self.holes.remove_first(&filled),
                Err(MapError::NoMemory) => {}
            }
        }
        None
    }

    /// Gives the set `purged` of a small class memory for so many slots; false if
    /// there is none.
    pub fn cover_purged(&mut self, class: usize, slots: u32) -> bool {
        if self.purged.covers(slots) {
            return true;
        }
        let words = (slots as usize).div_ceil(64);
        let bits = bitmap_base(class) + (1 << 29);
        let summary = bits + (1 << 28);
        let covered = self.purged_bits.cover(bits, bits + words * 8, 0).is_ok()
            && self.purged_summary.cover(summary, summary + words.div_ceil(64) * 8, 0).is_ok();
        if covered {
            // SAFETY: both pieces are mapped, and never were elsewhere.
            unsafe { self.purged.extend(bits as *mut u64, summary as *mut u64, slots) };
        }
        covered
    }

    fn cover_metadata(&mut self, class: usize, slots: u32) -> Result<(), MapError> {
        let count = slots as usize;
        let bits = bitmap_base(class);
        if class >= SMALL_CLASSES {
            self.meta.cover(meta_base(class), meta_base(class) + count * LARGE_META, 0)?;
            self.bits.cover(bits, bits + LARGE_BITMAP, 0)?;
            let at = |offset: usize| (bits + offset) as *mut u64;
            // SAFETY: the four parts lie in the piece just mapped, for 2^20 slots.
            unsafe {
                self.free.extend(at(8192), at(0), slots);
                self.purged.extend(at(8192 + (1 << 17)), at(4096), slots);
            }
            return Ok(());
        }
        let meta = meta_base(class);
        let meta_step = (count * size_of::<Meta>() / 8).min(LAST_STEP);
        self.meta.cover_dense(meta, meta + count * size_of::<Meta>(), meta_step)?;
        // Memory that was mapped in advance: the set does not move back.
        if self.free.covers(slots) {
            return Ok(());
        }
        let words = count.div_ceil(64);
        if words <= FIRST_WORDS {
            let first = FIRST[class].0.get().cast::<u64>();
            // SAFETY: `FIRST_WORDS` words and a summary of 64 bits behind them,
            // zero at the start and this set's alone.
            unsafe { self.free.extend(first, first.add(FIRST_WORDS), slots) };
            return Ok(());
        }
        // 2^31 slots at most: their bits end before the summary begins.
        let summary = bits + (1 << 28);
        self.bits.cover(bits, bits + words * 8, 0)?;
        self.summary.cover(summary, summary + words.div_ceil(64) * 8, 0)?;
        // SAFETY: both pieces are mapped; they were zero when the set moved here.
        unsafe { self.free.extend(bits as *mut u64, summary as *mut u64, slots) };
        Ok(())
    }
}
