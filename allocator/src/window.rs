//! The window: the one range of addresses all memory of the heap lies in.
//!
//! Its place is random and chosen once; nothing of it is reserved. Memory is
//! mapped inside it piece by piece, so "is this address ours?" is a range
//! test, and a limit on address space counts only what is in use.
//!
//! ```text
//! base                +4 TiB            +8 TiB            +10 TiB        +11 TiB
//!   | class regions     | huge blocks     | slot metadata   | bitmaps      |
//! ```

use core::num::NonZeroUsize;

use once_cell::race::OnceNonZeroUsize;

use crate::class::{MAX_CLASSES, SLOT_SIZE, SMALL_CLASSES};
use crate::os::{self, MapError, PAGE};
use crate::pressure;

/// log2 of a class region's span.
pub const CLASS_SHIFT: u32 = 35;
/// Bytes of address space per class: 32 GiB.
pub const CLASS_SPAN: usize = 1 << CLASS_SHIFT;
/// Span of all class regions.
pub const HEAP_SPAN: usize = MAX_CLASSES << CLASS_SHIFT;
const HUGE_OFFSET: usize = HEAP_SPAN;
/// Span of the part that holds directly mapped blocks.
pub const HUGE_SPAN: usize = 4 << 40;
const META_OFFSET: usize = HUGE_OFFSET + HUGE_SPAN;
const META_SHIFT: u32 = CLASS_SHIFT - 1;
const BITMAP_OFFSET: usize = META_OFFSET + (MAX_CLASSES << META_SHIFT);
const BITMAP_SHIFT: u32 = 30;
/// Span of the program's blocks: everything before the metadata.
pub const DATA_SPAN: usize = META_OFFSET;
const WINDOW_SPAN: usize = 11 << 40;
/// The window lies in this range: above what programs and sanitizers map at
/// fixed addresses and above the legacy layout of an unlimited stack (mappings
/// from a third of 128 TiB upwards, plus 1 TiB of chance), below where the
/// kernel puts programs and mappings of its own choice.
const LOWEST: usize = 46 << 40;
const HIGHEST: usize = 64 << 40;
/// Regions start at multiples of this, so large slots are aligned to it.
const ALIGN: usize = 64 << 20;

const _: () = assert!(BITMAP_OFFSET + (MAX_CLASSES << BITMAP_SHIFT) <= WINDOW_SPAN);

static BASE: OnceNonZeroUsize = OnceNonZeroUsize::new();

/// Start of the window, or zero before the first allocation.
#[inline(always)]
pub fn base_if_chosen() -> usize {
    BASE.get().map_or(0, NonZeroUsize::get)
}

/// Start of the window; chooses it on the first call. Neither parks nor
/// allocates: threads that race here agree on whichever was first.
pub fn base() -> usize {
    BASE.get_or_init(|| {
        let places = (HIGHEST - LOWEST - WINDOW_SPAN) / ALIGN;
        let place = (os::random() % places as u64) as usize;
        NonZeroUsize::new(LOWEST + place * ALIGN).expect("LOWEST is not zero")
    })
    .get()
}

/// Address of slot 0 of a class. Shifted from class to class ("coloured"), or
/// the first slots of all classes would share a set of the caches.
pub fn class_base(class: usize) -> usize {
    let colour = if class < SMALL_CLASSES { class * 13 * PAGE } else { 0 };
    base() + (class << CLASS_SHIFT) + colour
}

/// Address of the metadata of slot 0 of a class, coloured likewise.
pub fn meta_base(class: usize) -> usize {
    base() + META_OFFSET + (class << META_SHIFT) + class * (5 * PAGE + 7 * 64)
}

/// Address of a class's bitmap memory.
pub fn bitmap_base(class: usize) -> usize {
    base() + BITMAP_OFFSET + (class << BITMAP_SHIFT)
}

/// Start of the part for directly mapped blocks.
pub fn huge_base() -> usize {
    base() + HUGE_OFFSET
}

/// Slots of a large class, at most: see `depot`'s sets.
const LARGE_SLOTS: u32 = 1 << 20;

/// How many slots fit into a class's region.
pub fn class_capacity(class: usize) -> u32 {
    let room = CLASS_SPAN - (class_base(class) - base() - (class << CLASS_SHIFT));
    let most = if class < SMALL_CLASSES { u32::MAX } else { LARGE_SLOTS };
    u32::try_from(room / SLOT_SIZE[class] - 1).expect("2^31 slots at most").min(most)
}

/// From this size on a piece grows by huge pages: programs of some ten megabytes take
/// 5 to 10 per cent less time (page faults, misses of the TLB), and 2 to 5 per cent
/// more memory. From 1 MiB on it is no faster and costs as much memory again.
const HUGE_FROM: usize = 2 << 20;
const HUGE_PAGE: usize = 2 << 20;

/// A piece of the window that is mapped from its start as far as needed.
pub struct Extent {
    /// First address not mapped yet; zero until the first use.
    end: usize,
    /// Where a piece was last being mapped, and how long. If that is `end`, the
    /// call was broken off (by a jump out of a signal handler), and the piece may
    /// be mapped or not.
    tried: (usize, usize),
}

impl Extent {
    /// Nothing is mapped.
    pub const fn new() -> Self {
        Extent { end: 0, tried: (0, 0) }
    }

    /// First address behind the mapped part, zero if there is none.
    pub fn end(&self) -> usize {
        self.end
    }

    /// Maps up to `end` at least, in units of `step` bytes, from `start` (the
    /// same in every call). Adjacent mappings merge in the kernel.
    pub fn cover(&mut self, start: usize, end: usize, step: usize) -> Result<(), MapError> {
        if self.end == 0 {
            self.end = start & !(PAGE - 1);
        }
        if end <= self.end {
            return Ok(());
        }
        if self.tried.0 == self.end {
            // SAFETY: ours, if mapped at all, and not in use yet.
            unsafe { os::unmap(self.end, self.tried.1) };
        }
        let exact = (end - self.end).next_multiple_of(PAGE);
        let len = exact.max(step.next_multiple_of(PAGE));
        let mut mapped = self.map(len);
        if mapped == Err(MapError::NoMemory) && len > exact {
            // Close to a limit: what is needed and no more.
            mapped = self.map(exact);
        }
        self.end += mapped?;
        Ok(())
    }

    /// [`cover`](Self::cover) for what is used from its start on without gaps: by huge
    /// pages once it is large, unless there is a small limit.
    pub fn cover_dense(&mut self, start: usize, end: usize, step: usize) -> Result<(), MapError> {
        let old = self.end;
        if end <= old || old < start + HUGE_FROM || pressure::has_small_limit() {
            return self.cover(start, end, step);
        }
        let step = (old + step).max(end).next_multiple_of(HUGE_PAGE) - old;
        self.cover(start, end, step)?;
        let first = old.next_multiple_of(HUGE_PAGE);
        if first < self.end {
            os::advise_huge(first, self.end - first);
        }
        Ok(())
    }

    fn map(&mut self, len: usize) -> Result<usize, MapError> {
        self.tried = (self.end, len);
        let mapped = os::map_at(self.end, len);
        if mapped.is_err() {
            self.tried = (0, 0);
        }
        mapped.map(|()| len)
    }

    /// Goes on behind a foreign mapping.
    pub fn skip(&mut self, bytes: usize) {
        self.end += bytes;
    }
}

/// Whether `addr` lies in the part of the window that holds blocks.
#[inline]
pub fn contains(addr: usize) -> bool {
    let base = base_if_chosen();
    base != 0 && addr.wrapping_sub(base) < DATA_SPAN
}
