//! What is kept of each large slot.
//!
//! Ground rules. `flags` decides who owns slot and metadata (see the drawing in
//! `mod.rs`) and is changed by compare-and-swap wherever somebody else may. The
//! trap reads everything at any time, retires free slots, marks live ones as
//! reported and sets `OPENED`; the rest is the owner's.

use core::sync::atomic::{AtomicU16, AtomicU32, Ordering::*, fence};

use crate::class::{LARGEST_SLOT, SLOT_SIZE};
use crate::depot::{DEPOTS, LARGE_META};
use crate::guard::plan::{Guards, NOTES, OPENED};
use crate::live::LiveBlock;
use crate::observer::{Block, BlockState, resolve};
use crate::os::PAGE;
use crate::place::Slot;
use crate::slot::{LIVE, NEVER, REPORTED, RETIRED, STATE, WATCHED};
use crate::window::meta_base;

/// A free slot without memory behind it.
pub const UNMAPPED: u8 = 5;
/// A slot on its way from free to live.
pub const TAKEN: u8 = 6;

/// Metadata of a large slot.
#[repr(C)]
pub struct Meta {
    /// State and flags as in [`crate::slot`].
    flags: AtomicU16,
    /// Pages that count as retained.
    counted: AtomicU16,
    /// [`Guards`], packed.
    guards: AtomicU32,
    /// Bytes asked for, and above [`SIZE_BITS`] how often the block grew in place.
    size: AtomicU32,
    /// Pages at the slot's end that are protected, besides the guards.
    shut: AtomicU16,
    /// Pages at the slot's start that were filled since memory was given back last.
    filled: AtomicU16,
    pub(super) alloc_site: AtomicU32,
    pub(super) free_site: AtomicU32,
    dirty: AtomicU32,
    /// Changes of the block: odd while one goes on. See `ends`.
    changes: AtomicU32,
}

const _: () = assert!(size_of::<Meta>() == LARGE_META);
const _: () = assert!(LARGEST_SLOT / PAGE <= u16::MAX as usize);

/// Bits of a size: it is less than the largest slot.
const SIZE_BITS: u32 = LARGEST_SLOT.trailing_zeros();
const SIZE_MASK: usize = LARGEST_SLOT - 1;

/// Number of pages of a slot.
pub fn pages(slot: Slot) -> usize {
    SLOT_SIZE[slot.class] / PAGE
}

impl Meta {
    /// State with flags.
    pub fn flags(&self) -> u8 {
        self.flags.load(Acquire) as u8
    }

    /// State without flags.
    pub fn state(&self) -> u8 {
        self.flags() & STATE
    }

    /// Sets state and flags.
    pub fn set(&self, flags: u8) {
        self.flags.store(flags as u16, Release);
    }

    /// Sets a flag.
    pub fn add_flag(&self, flag: u8) {
        self.flags.fetch_or(flag as u16, AcqRel);
    }

    /// Clears some flags and sets others.
    pub fn replace_flags(&self, clear: u8, set: u8) {
        self.flags.fetch_and(!((clear & !set) as u16), AcqRel);
        self.flags.fetch_or(set as u16, AcqRel);
    }

    /// Changes state and flags if they still are `old`.
    pub fn swap(&self, old: u8, new: u8) -> bool {
        self.flags.compare_exchange(old as u16, new as u16, AcqRel, Relaxed).is_ok()
    }

    /// Changes a free slot's state; what it was. None if the slot is out of use:
    /// a misuse of its block was told.
    pub fn claim(&self, state: u8) -> Option<u8> {
        loop {
            let flags = self.flags();
            if flags & REPORTED != 0 || flags & STATE == RETIRED {
                return None;
            }
            if self.swap(flags, state) {
                return Some(flags & STATE);
            }
        }
    }

    /// Bytes asked for.
    pub fn size(&self) -> usize {
        self.size.load(Relaxed) as usize & SIZE_MASK
    }

    /// Sets the number of bytes asked for, and how often in a row the block grew in
    /// place; what does not fit counts as the most that does.
    pub fn set_size(&self, size: usize, growths: usize) {
        let growths = growths.min(u32::MAX as usize >> SIZE_BITS);
        self.size.store(size as u32 | (growths << SIZE_BITS) as u32, Relaxed);
    }

    /// How often in a row the block grew in place.
    pub fn growths(&self) -> usize {
        self.size.load(Relaxed) as usize >> SIZE_BITS
    }

    /// So many bytes from the slot's start on may differ from zero.
    pub fn dirty(&self) -> usize {
        self.dirty.load(Relaxed) as usize
    }

    /// Sets `dirty`, after bytes were given back.
    pub fn set_dirty(&self, bytes: usize) {
        self.dirty.store(bytes as u32, Relaxed);
        self.filled.store(self.filled.load(Relaxed).min(bytes.div_ceil(PAGE) as u16), Relaxed);
    }

    /// Raises `dirty` for its owner, before the bytes are written.
    pub fn raise_dirty(&self, bytes: usize) {
        self.dirty.store(self.dirty().max(bytes) as u32, Relaxed);
        fence(Release);
    }

    /// Number of changes of the block, odd while one goes on.
    pub fn changes(&self) -> u32 {
        self.changes.load(Acquire)
    }

    /// Begins a change.
    pub fn begin_change(&self) {
        self.changes.store(self.changes.load(Relaxed).wrapping_add(1), Relaxed);
        fence(Release);
    }

    /// Ends a change.
    pub fn end_change(&self) {
        self.changes.store(self.changes.load(Relaxed).wrapping_add(1), Release);
    }

    /// The guarded pages of the slot, which has `pages`.
    pub fn guards(&self, pages: usize) -> Guards {
        Guards::unpack(self.guards.load(Acquire), pages)
    }

    /// Changes what is guarded; what was noted of it stays.
    pub fn set_guards(&self, guards: Guards, pages: usize) {
        let word = guards.pack(pages);
        let old = self.guards.load(Relaxed);
        if self.guards.compare_exchange(old, word | old & NOTES, Release, Relaxed).is_err() {
            // Nobody but the trap writes here meanwhile, and it only adds the note.
            self.guards.store(word | old & NOTES | OPENED, Release);
        }
    }

    /// So many pages at the slot's end are protected.
    pub fn shut(&self) -> usize {
        self.shut.load(Acquire) as usize
    }

    /// Notes how many are.
    pub fn set_shut(&self, pages: usize) {
        self.shut.store(pages as u16, Release);
    }

    /// Whether a page of the slot, which has `pages`, may trap.
    pub fn traps(&self, page: usize, pages: usize) -> bool {
        page >= pages - self.shut() || self.guards(pages).contains(page)
    }

    /// So many bytes from the slot's start on are accessible.
    pub fn open_bytes(&self, pages: usize) -> usize {
        self.guards(pages).own.min(pages - self.shut()) * PAGE
    }

    /// Notes how many bytes count as retained; how many did.
    pub fn swap_counted(&self, bytes: usize) -> usize {
        self.counted.swap(bytes.div_ceil(PAGE) as u16, Relaxed) as usize * PAGE
    }

    /// Whether so many bytes from the start on are known to be in memory.
    pub fn is_filled(&self, bytes: usize) -> bool {
        bytes <= self.filled.load(Relaxed) as usize * PAGE
    }

    /// Notes that they are.
    pub fn note_filled(&self, bytes: usize) {
        self.filled.store(self.filled.load(Relaxed).max(bytes.div_ceil(PAGE) as u16), Relaxed);
    }

    /// Notes that guarded pages may be open and hold anything.
    pub fn add_opened(&self) {
        self.guards.fetch_or(OPENED, AcqRel);
    }

    /// Whether that was noted; it no longer is.
    pub fn take_opened(&self) -> bool {
        self.guards.load(Relaxed) & OPENED != 0
            && self.guards.fetch_and(!OPENED, AcqRel) & OPENED != 0
    }

    /// The live block at `base`, if there is one.
    pub fn live_block(&self, base: usize) -> Option<LiveBlock> {
        (self.state() == LIVE).then(|| LiveBlock {
            base,
            size: self.size(),
            alloc_site: self.alloc_site.load(Relaxed),
        })
    }

    /// What is known of the block at `base`, if there ever was one.
    pub fn block(&self, base: usize) -> Option<Block> {
        let flags = self.flags();
        let live = flags & STATE == LIVE;
        (flags & STATE != NEVER).then(|| Block {
            base,
            size: self.size(),
            state: if live { BlockState::Live } else { BlockState::Freed },
            watched: flags & WATCHED != 0,
            alloc_site: resolve(self.alloc_site.load(Relaxed)),
            free_site: if live { 0 } else { resolve(self.free_site.load(Relaxed)) },
        })
    }
}

/// A large slot's metadata.
pub fn meta(slot: Slot) -> &'static Meta {
    debug_assert!(!slot.is_small() && slot.index < DEPOTS[slot.class].bump() as usize);
    let metas = meta_base(slot.class) as *const Meta;
    // SAFETY: a `Slot` exists below its depot's bump only, where metadata is
    // mapped for good.
    unsafe { &*metas.add(slot.index) }
}
