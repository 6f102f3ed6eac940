//! What is kept of each huge block, readable at any time without a lock.
//!
//! Ground rules. Cells stay where they are for ever and are written under the
//! table's lock; the trap reads them and marks them as reported. A cell's fields
//! belong together while its flags stay the same: they carry the number of the
//! cell's use, and fields of another use are written only while it is empty.

use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering::*};

use crate::observer::{Block, BlockState, resolve};
use crate::os;

/// State: no block.
pub const EMPTY: u32 = 0;
/// State: the program holds it.
pub const LIVE: u32 = 1;
/// State: freed, its addresses not used again yet.
pub const FREED: u32 = 2;
/// The states.
pub const STATE: u32 = 3;
/// Flag: the observer wants to know of its end; of a freed one: it is held.
pub const WATCHED: u32 = 4;
/// Flag: a misuse of this block was reported already.
pub const REPORTED: u32 = 8;
/// Flag: the page in front was mapped after a trap.
pub const OPEN_FRONT: u32 = 16;
/// Flag: the page behind was.
pub const OPEN_BEHIND: u32 = 32;
/// Flag of one that is held: a page of it was mapped after a trap.
pub const OPENED: u32 = 64;
const FLAGS: u32 = 127;
/// Above these: the number of the cell's use.
const USE: u32 = FLAGS + 1;

/// One block.
pub struct Cell {
    flags: AtomicU32,
    alloc_site: AtomicU32,
    free_site: AtomicU32,
    /// Flags of [`crate::family`].
    family: AtomicU8,
    /// Its address.
    addr: AtomicUsize,
    /// Bytes that are mapped.
    mapped: AtomicUsize,
    /// The most bytes that ever were.
    reach: AtomicUsize,
    /// Bytes asked for.
    size: AtomicUsize,
}

impl Cell {
    /// State and flags, with the number of the cell's use.
    pub fn flags(&self) -> u32 {
        self.flags.load(Acquire)
    }

    /// State without flags.
    pub fn state(&self) -> u32 {
        self.flags() & STATE
    }

    /// Bytes from the start on that are mapped.
    pub fn mapped(&self) -> usize {
        self.mapped.load(Relaxed)
    }

    /// The most bytes that ever were mapped.
    pub fn reach(&self) -> usize {
        self.reach.load(Relaxed)
    }

    /// Its address.
    pub fn addr(&self) -> usize {
        self.addr.load(Relaxed)
    }

    /// Bytes asked for.
    pub fn size(&self) -> usize {
        self.size.load(Relaxed)
    }

    /// Low half of the allocation's return address.
    pub fn alloc_site(&self) -> u32 {
        self.alloc_site.load(Relaxed)
    }

    /// Sets a flag; whether it was set.
    pub fn add_flag(&self, flag: u32) -> bool {
        self.flags.fetch_or(flag, AcqRel) & flag != 0
    }

    /// Clears a flag; whether it was set.
    pub fn take_flag(&self, flag: u32) -> bool {
        self.flags.fetch_and(!flag, AcqRel) & flag != 0
    }

    /// Sets a flag if nothing else changed.
    pub fn add_flag_to(&self, flags: u32, flag: u32) -> bool {
        self.flags.compare_exchange(flags, flags | flag, AcqRel, Relaxed).is_ok()
    }

    /// Changes the state; only [`REPORTED`] stays, and `also` is set.
    fn set_state(&self, state: u32, also: u32) {
        let state = state | also;
        let change = |flags| Some(flags & (!FLAGS | REPORTED) | state);
        // The closure always has an answer.
        let _ = self.flags.fetch_update(AcqRel, Relaxed, change);
    }

    /// Begins a use as a live block.
    pub fn start(&self, addr: usize, mapped: usize, size: usize, site: usize) {
        let number = self.flags.load(Relaxed) & !FLAGS;
        self.flags.store(number.wrapping_add(USE), Release);
        self.addr.store(addr, Relaxed);
        self.mapped.store(mapped, Relaxed);
        self.reach.store(mapped, Relaxed);
        self.size.store(size, Relaxed);
        self.alloc_site.store(site as u32, Relaxed);
        self.free_site.store(0, Relaxed);
        self.family.store(0, Relaxed);
        self.set_state(LIVE, 0);
    }

    /// Notes another size of the block.
    pub fn resize(&self, mapped: usize, size: usize, site: usize) {
        self.mapped.store(mapped, Relaxed);
        self.reach.fetch_max(mapped, Relaxed);
        self.size.store(size, Relaxed);
        self.alloc_site.store(site as u32, Relaxed);
    }

    /// Ends the block's life; whether its addresses are held from then on.
    pub fn end(&self, site: usize, is_held: bool) {
        self.free_site.store(site as u32, Relaxed);
        self.set_state(FREED, if is_held { WATCHED } else { 0 });
    }

    /// Lets the addresses of a freed block go, unless somebody accessed them: then
    /// false.
    pub fn let_go(&self) -> bool {
        let flags = self.flags();
        let swap = |to| self.flags.compare_exchange(flags, to, AcqRel, Relaxed).is_ok();
        flags & REPORTED == 0 && swap(flags & !WATCHED)
    }

    /// Ends the cell's use.
    pub fn clear(&self) {
        self.set_state(EMPTY, 0);
    }

    /// The flags of its family.
    pub fn family(&self) -> u8 {
        self.family.load(Relaxed)
    }

    /// Sets the flags of its family.
    pub fn set_family(&self, family: u8) {
        self.family.store(family, Relaxed);
    }

    /// The number that an empty cell keeps.
    pub fn next(&self) -> u32 {
        self.size() as u32
    }

    /// Lets an empty cell keep a number.
    pub fn set_next(&self, next: u32) {
        self.size.store(next as usize, Relaxed);
    }

    /// What is known of the block.
    pub fn describe(&self) -> Block {
        let flags = self.flags();
        let live = flags & STATE == LIVE;
        Block {
            base: self.addr(),
            size: self.size(),
            state: if live { BlockState::Live } else { BlockState::Freed },
            watched: flags & WATCHED != 0,
            alloc_site: resolve(self.alloc_site.load(Relaxed)),
            free_site: if live { 0 } else { resolve(self.free_site.load(Relaxed)) },
        }
    }
}

/// Cells of the first piece; each further one is as large as all before it.
const FIRST: usize = 64;
/// Pieces: more cells than the huge part of the window has room for blocks.
const PIECES: usize = 12;

static PIECE: [AtomicPtr<Cell>; PIECES] = [const { AtomicPtr::new(core::ptr::null_mut()) }; PIECES];
/// Number of cells.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The cell of a number below the count.
pub fn cell(number: usize) -> &'static Cell {
    debug_assert!(number < COUNT.load(Relaxed));
    let piece = (number / FIRST + 1).ilog2() as usize;
    let before = FIRST * ((1 << piece) - 1);
    // SAFETY: `add` mapped the piece, zeroed and for good, before it counted.
    unsafe { &*PIECE[piece].load(Acquire).add(number - before) }
}

/// All cells, empty ones included. Takes no lock.
pub fn all() -> impl Iterator<Item = &'static Cell> {
    (0..COUNT.load(Acquire)).map(cell)
}

/// Adds an empty cell; its number. Under the table's lock.
pub fn add() -> Option<usize> {
    let number = COUNT.load(Relaxed);
    let piece = PIECE.get((number / FIRST + 1).ilog2() as usize)?;
    if piece.load(Relaxed).is_null() {
        let cells = FIRST << (number / FIRST + 1).ilog2();
        piece.store(os::map_anywhere(cells * size_of::<Cell>())? as *mut Cell, Release);
    }
    COUNT.store(number + 1, Release);
    Some(number)
}
