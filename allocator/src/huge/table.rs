//! The huge blocks by address, and the freed ones by age.
//!
//! Ground rules. One lock guards the table; blocks are described by cells, which
//! others read without it. Addresses are given out next-fit, so a freed range
//! stays unmapped for long; one page behind every block is left unmapped. Freed blocks
//! that were watched are *held* (see `alone`): nobody gets their addresses.

use crate::alone;
use crate::lock::Lock;
use crate::os::{self, PAGE};
use crate::sync::shared_static;
use crate::window::{HUGE_SPAN, huge_base};

use super::cell::{self, Cell};

/// Freed blocks remembered, to name double frees and stale accesses.
const REMEMBERED: usize = 256;
/// Freed blocks that are held. They have no memory.
const HELD: usize = 64;

/// Live blocks, as numbers of cells.
pub struct Table {
    /// By ascending address; mapped memory that doubles when full.
    order: *mut u32,
    len: usize,
    capacity: usize,
    /// Where the search for a free range begins, relative to the part's start.
    cursor: usize,
    /// Cells of freed blocks and where the next goes: number plus one, 0 none.
    freed: [u32; REMEMBERED],
    next_freed: usize,
    /// The same of those that are held.
    held: [u32; HELD],
    next_held: usize,
    /// First of the empty cells, plus one; each keeps the next.
    spare: u32,
}

// SAFETY: an owner of memory, used behind a lock.
unsafe impl Send for Table {}

shared_static! {
    /// The table; its lock is taken by `fork_prepare`.
    pub TABLE: Lock<Table> = Lock::held_over_fork(Table {
        order: core::ptr::null_mut(),
        len: 0,
        capacity: 0,
        cursor: 0,
        freed: [0; REMEMBERED],
        next_freed: 0,
        held: [0; HELD],
        next_held: 0,
        spare: 0,
    })
}

impl Table {
    fn slice(&mut self) -> &mut [u32] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: `len <= capacity` entries are initialised.
        unsafe { core::slice::from_raw_parts_mut(self.order, self.len) }
    }

    /// The live blocks by ascending address.
    pub fn live(&mut self) -> impl Iterator<Item = &'static Cell> {
        self.slice().iter().map(|&number| cell::cell(number as usize))
    }

    /// Position of the first block for which `is_before` is false.
    fn partition(&mut self, is_before: impl Fn(&Cell) -> bool) -> usize {
        self.slice().partition_point(|&number| is_before(cell::cell(number as usize)))
    }

    /// The live block that contains an address: its position and cell.
    pub fn find(&mut self, addr: usize) -> Option<(usize, &'static Cell)> {
        let at = self.partition(|cell| cell.addr() <= addr).checked_sub(1)?;
        let cell = cell::cell(self.slice()[at] as usize);
        (addr - cell.addr() < cell.mapped()).then_some((at, cell))
    }

    /// The blocks that are held.
    fn held(&self) -> impl Iterator<Item = &'static Cell> {
        let numbers = self.held.iter().filter(|&&number| number != 0);
        numbers.map(|&number| cell::cell(number as usize - 1))
    }

    /// The remembered freed block that contained an address, the latest if ranges
    /// were used again.
    pub fn find_freed(&self, addr: usize) -> Option<&'static Cell> {
        let places = (1..=REMEMBERED).map(|age| (self.next_freed + REMEMBERED - age) % REMEMBERED);
        let numbers = places.map(|place| self.freed[place]).filter(|&number| number != 0);
        numbers
            .map(|number| cell::cell(number as usize - 1))
            .chain(self.held())
            .find(|cell| addr.wrapping_sub(cell.addr()) < cell.mapped())
    }

    /// Address of the block behind a position, live or held.
    pub fn next_addr(&mut self, at: usize) -> usize {
        let own = cell::cell(self.slice()[at] as usize).addr();
        let next = self.slice().get(at + 1).map(|&number| cell::cell(number as usize));
        let held = self.held().filter(|cell| cell.addr() > own);
        held.chain(next).map(Cell::addr).min().unwrap_or(huge_base() + HUGE_SPAN)
    }

    /// Makes room for one more block.
    pub fn reserve(&mut self) -> Option<()> {
        if self.spare == 0 {
            self.spare = cell::add()? as u32 + 1;
        }
        if self.len < self.capacity {
            return Some(());
        }
        let bytes = (self.capacity * 2 * size_of::<u32>()).max(PAGE);
        let new = os::map_anywhere(bytes)? as *mut u32;
        if self.capacity > 0 {
            // SAFETY: the new memory is larger; the old one was mapped likewise.
            unsafe {
                core::ptr::copy_nonoverlapping(self.order, new, self.len);
                os::unmap(self.order as usize, self.capacity * size_of::<u32>());
            }
        }
        self.order = new;
        self.capacity = bytes / size_of::<u32>();
        Some(())
    }

    /// Goes on searching for free ranges behind `addr`.
    pub fn pass(&mut self, addr: usize) {
        self.cursor = addr - huge_base();
    }

    /// Goes on behind a block that grew over where the search would have.
    pub fn pass_grown(&mut self, addr: usize, mapped: usize) {
        let end = addr + mapped + PAGE;
        if (addr..end).contains(&(huge_base() + self.cursor)) {
            self.pass(end);
        }
    }

    /// Adds a live block; `reserve` made room for it.
    pub fn insert(&mut self, addr: usize, mapped: usize, size: usize, site: usize) {
        debug_assert!(self.len < self.capacity && self.spare != 0);
        let number = self.spare - 1;
        self.spare = cell::cell(number as usize).next();
        let at = self.partition(|other| other.addr() < addr);
        // SAFETY: `reserve` made room for one more.
        unsafe {
            let place = self.order.add(at);
            core::ptr::copy(place, place.add(1), self.len - at);
            place.write(number);
        }
        self.len += 1;
        self.pass(addr + mapped + PAGE);
        cell::cell(number as usize).start(addr, mapped, size, site);
    }

    /// Takes the block at a position out; it is held if it is to be and there is place,
    /// or remembered as freed, in place of the one that was for longest.
    pub fn remove(&mut self, at: usize, site: usize, is_held: bool) {
        let number = self.slice()[at];
        self.slice().copy_within(at + 1.., at);
        self.len -= 1;
        let place = if is_held { self.place_to_hold() } else { None };
        if is_held && place.is_none() {
            alone::count_released(cell::cell(number as usize).mapped());
        }
        cell::cell(number as usize).end(site, place.is_some());
        match place {
            Some(place) => {
                let oldest = core::mem::replace(&mut self.held[place], number + 1);
                self.next_held = place + 1;
                if oldest != 0 {
                    self.remember(oldest);
                }
            }
            None => self.remember(number + 1),
        }
    }

    /// A place among those that are held: an empty one, or that of the oldest one which
    /// nobody accessed.
    fn place_to_hold(&mut self) -> Option<usize> {
        let held = self.held;
        let mut places = (0..HELD).map(|more| (self.next_held + more) % HELD);
        let lets_go = |place: &usize| match held[*place] {
            0 => true,
            number => {
                let cell = cell::cell(number as usize - 1);
                cell.let_go() && {
                    alone::count_released(cell.mapped());
                    true
                }
            }
        };
        places.find(lets_go)
    }

    /// Remembers a freed block, as the number of its cell plus one.
    fn remember(&mut self, number: u32) {
        let place = self.next_freed % REMEMBERED;
        let oldest = core::mem::replace(&mut self.freed[place], number);
        self.next_freed += 1;
        if oldest != 0 {
            let cell = cell::cell(oldest as usize - 1);
            cell.clear();
            cell.set_next(core::mem::replace(&mut self.spare, oldest));
        }
    }

    /// A free range of `len` bytes and a page at a multiple of `align`, from the
    /// cursor on.
    pub fn gap(&mut self, len: usize, align: usize) -> Option<usize> {
        let (start, end) = (huge_base(), huge_base() + HUGE_SPAN);
        for from in [start + self.cursor, start] {
            let mut at = from.next_multiple_of(align);
            while let Some(other) = self.in_the_way(at, len) {
                at = (other.addr() + other.mapped() + PAGE).next_multiple_of(align);
            }
            if at.checked_add(len + PAGE)? <= end {
                return Some(at);
            }
        }
        None
    }

    /// A block, live or held, that lies where `len` bytes and a page are to be.
    fn in_the_way(&mut self, at: usize, len: usize) -> Option<&'static Cell> {
        let end = |cell: &Cell| cell.addr() + cell.mapped() + PAGE;
        let first = self.partition(|cell| end(cell) <= at);
        let live = self.slice().get(first).map(|&number| cell::cell(number as usize));
        let is_there = |cell: &&Cell| end(cell) > at && cell.addr() < at + len + PAGE;
        live.into_iter().chain(self.held()).find(is_there)
    }
}
