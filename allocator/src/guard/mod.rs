//! Guard pages: taking the access to pages away and giving it back.
//!
//! Linux marks such pages in its page tables (`MADV_GUARD_INSTALL`, from 6.13
//! on): no mapping is split, and content goes with the access. On older kernels
//! `mprotect` stands in; it splits mappings, of which a process has 65,530, so
//! there are at most [`MOST_EXTENTS`] guarded ranges then, and at most
//! [`MOST_SHUT`] slots that are protected on every kernel. Locked memory cannot be
//! guarded: its blocks go without.
//!
//! Ground rules. Pages are changed by who owns their slot only; but for
//! [`open`], which the trap calls at any time: it opens one page and may do so
//! for a page that is open. What metadata says is guarded covers what is, at
//! every moment: it is written before an install and after a remove.

pub mod plan;

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::*};

use crate::counters::{self, Counter};
use crate::os::{self, MapError, PAGE};

/// How access is taken away: not known yet, by the kernel's guards, by mprotect.
const UNKNOWN: u8 = 0;
const KERNEL: u8 = 1;
const PROTECT: u8 = 2;

static MEANS: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Ranges that may be protected where the kernel has no guards: each costs two
/// mappings, so this is a quarter of the default `vm.max_map_count`.
pub const MOST_EXTENTS: usize = 8192;
/// Slots that may be protected at a time on every kernel (see `large::shut`), each
/// at the cost of two mappings.
pub const MOST_SHUT: usize = 2048;
/// From so many bytes on freed blocks are protected: marking a page costs 13 ns
/// there and back, and programs take large blocks of which they touch little.
const LONG: usize = 4 << 20;
static EXTENTS: AtomicUsize = AtomicUsize::new(0);

/// Finds out what the kernel can do, once.
pub fn prepare() {
    if MEANS.load(Relaxed) == UNKNOWN {
        MEANS.store(if probe() { KERNEL } else { PROTECT }, Relaxed);
    }
}

/// How access to pages is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// By the kernel's guards (`MADV_GUARD_INSTALL`).
    Kernel,
    /// By `mprotect`.
    Protect,
}

/// The means in force; `None` as long as none was needed.
pub fn means() -> Option<Means> {
    match MEANS.load(Relaxed) {
        KERNEL => Some(Means::Kernel),
        PROTECT => Some(Means::Protect),
        _ => None,
    }
}

/// Leaves the kernel's guards alone and uses the fallback: for its tests. Call
/// it before the first guard.
pub fn use_mprotect() {
    MEANS.store(PROTECT, Relaxed);
}

fn is_kernel() -> bool {
    MEANS.load(Relaxed) == KERNEL
}

/// Whether a guard traps here: some emulators accept any advice.
fn probe() -> bool {
    let Some(page) = os::map_anywhere(PAGE) else { return false };
    // SAFETY: the page was mapped just now and is unmapped below.
    unsafe {
        os::unlock(page, PAGE);
        let works = os::guard(page, PAGE) && !os::is_readable(page);
        os::unmap(page, PAGE);
        works
    }
}

/// Accounts for a slot that had `old` guarded ranges and is to have `new`; false
/// if those are too many.
pub fn reserve(old: usize, new: usize) -> bool {
    is_kernel() || reserve_mappings(old, new, MOST_EXTENTS)
}

/// Whether no more ranges can be guarded than there are.
pub fn is_full() -> bool {
    !is_kernel() && EXTENTS.load(Relaxed) >= MOST_EXTENTS
}

/// The same for ranges that are protected, of which there may be `most`.
fn reserve_mappings(old: usize, new: usize, most: usize) -> bool {
    if old == new {
        return true;
    }
    let before = EXTENTS.fetch_add(new.wrapping_sub(old), Relaxed);
    let fits = new < old || before.wrapping_add(new - old) <= most;
    if !fits {
        EXTENTS.fetch_sub(new.wrapping_sub(old), Relaxed);
    }
    fits
}

/// Whether a range of so many bytes is better protected than guarded: one by one
/// its pages would be marked, touched or not.
pub fn is_long(len: usize) -> bool {
    is_kernel() && len >= LONG
}

/// Accounts for one more slot that is protected in part or as a whole; false if
/// there are too many, or the kernel has no guards for the others.
pub fn reserve_shut() -> bool {
    is_kernel() && reserve_mappings(0, 1, MOST_SHUT)
}

/// Accounts for a slot that is protected no longer.
pub fn release_shut() {
    reserve_mappings(1, 0, MOST_SHUT);
}

/// Whether so many slots are protected that live ones should not be.
pub fn is_shut_scarce() -> bool {
    EXTENTS.load(Relaxed) > MOST_SHUT / 2
}

/// Takes access and content from a range. False if that was refused; parts of it
/// may be done then.
///
/// # Safety
///
/// * The range is pages of a slot that the caller owns, and its content is dead.
pub unsafe fn install(addr: usize, len: usize) -> bool {
    // SAFETY: passed on. Content is dropped after the access: nobody may write
    // in between, since what a guard leaves reads as zero.
    let done = unsafe {
        if is_kernel() {
            os::guard(addr, len)
        } else {
            os::protect(addr, len, false) && os::discard(addr, len)
        }
    };
    if done {
        counters::add(Counter::GuardPages, (len / PAGE) as u64);
    }
    done
}

/// Gives the access back; what was guarded reads as zero. Fails only where the
/// fallback would need one mapping too many.
///
/// # Safety
///
/// * The range is pages of a slot that the caller owns.
pub unsafe fn remove(addr: usize, len: usize) -> bool {
    // SAFETY: passed on.
    unsafe { if is_kernel() { os::unguard(addr, len) } else { os::protect(addr, len, true) } }
}

/// Makes the page at `addr` accessible, whatever it was. Runs in any context.
pub fn open(page: usize) -> bool {
    // SAFETY: the caller found that the page is the heap's; accessible is what
    // its owner may make it at any time.
    let opened =
        unsafe { (!is_kernel() || os::unguard(page, PAGE)) && os::protect(page, PAGE, true) };
    opened || os::map_at(page, PAGE) != Err(MapError::NoMemory)
}

/// Slots that were opened lately, by address, each with a number of traps in its low
/// bits: threads may have trapped there just before, and ask after it.
static MOVED: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];
/// So many traps each opening answers, that who traps for another reason does not do
/// so for ever.
const ANSWERS: usize = 8;
const _: () = assert!(ANSWERS < PAGE);

/// Where a slot is noted. Slots lie at multiples of 8 KiB and more.
fn moved(base: usize) -> &'static AtomicUsize {
    &MOVED[(base >> 13 ^ base >> 21 ^ base >> 35) % MOVED.len()]
}

/// Notes that pages of the slot at `base` are about to be opened.
pub fn note_move(base: usize) {
    moved(base).store(base + ANSWERS, Release);
}

/// Whether pages of the slot at `base` were opened lately.
pub fn take_move(base: usize) -> bool {
    let answer = |noted: usize| {
        let is_left = noted & !(PAGE - 1) == base && noted > base;
        is_left.then(|| noted - 1)
    };
    moved(base).fetch_update(AcqRel, Relaxed, answer).is_ok()
}
