//! Blocks above 64 MiB: each its own mapping, in the window's second part.
//!
//! Behind each block a page is left unmapped, and a freed one is unmapped as a
//! whole: an overflow and a stale access trap. One that was watched is held (see
//! `alone`), at no cost but its addresses. `cell`: what is kept of a block;
//! `table`: all of them; `fault`: what an access that trapped was.

mod cell;
mod fault;
mod table;

use crate::class_counters::HUGE;
use crate::counters::{self, Counter};
use crate::family::{self, Family};
use crate::live::LiveBlock;
use crate::observer::{Block, Misuse, MisuseKind, deliver, tell_freeing};
use crate::os::{self, MapError, PAGE};
use crate::poison::{self, POISON_FREE};
use crate::report::{self, Damage};
use crate::window::HUGE_SPAN;
use crate::{alone, config, large, slot};

use cell::{Cell, OPEN_BEHIND, OPEN_FRONT, REPORTED, WATCHED};

pub use fault::{held, retire, trap};
pub use table::TABLE;

/// Bytes checked behind the requested size where no guard is meant to trap.
const CANARY: usize = 32;
/// Foreign mappings in the way are jumped over so many times.
const MAX_TRIES: usize = 64;

fn mapped_len(size: usize) -> Option<usize> {
    let canary = if config::guards() { 0 } else { CANARY };
    let len = size.checked_add(canary)?.max(1).checked_next_multiple_of(PAGE)?;
    (len < HUGE_SPAN).then_some(len)
}

/// Writes the canary: all of the last page behind the block.
///
/// # Safety
///
/// * `mapped` bytes at `addr` are mapped; those from `size` on are nobody's.
unsafe fn write_canary(addr: usize, size: usize, mapped: usize) {
    // SAFETY: passed on.
    unsafe { ((addr + size) as *mut u8).write_bytes(POISON_FREE, mapped - size) };
}

/// Maps a block; it reads as zero. None without memory.
pub fn allocate(size: usize, align: usize, site: usize) -> Option<*mut u8> {
    let len = mapped_len(size)?;
    let mut table = TABLE.lock();
    table.reserve()?;
    for _ in 0..MAX_TRIES {
        let addr = table.gap(len, align.max(PAGE))?;
        match os::map_at(addr, len) {
            Ok(()) => {
                // SAFETY: just mapped.
                unsafe { write_canary(addr, size, len) };
                table.insert(addr, len, size, site);
                counters::allocated(HUGE, size);
                return Some(addr as *mut u8);
            }
            Err(MapError::Taken) => table.pass(addr + len),
            Err(MapError::NoMemory) => return None,
        }
    }
    None
}

/// How many live blocks there are, bytes of their mappings, bytes asked for.
pub fn live() -> (usize, usize, usize) {
    if TABLE.is_mine() {
        return (0, 0, 0);
    }
    TABLE.lock().live().fold((0, 0, 0), |(blocks, mapped, asked), cell| {
        (blocks + 1, mapped + cell.mapped(), asked + cell.size())
    })
}

/// Visits all blocks, with the table locked.
pub fn each_live(visit: &mut dyn FnMut(&LiveBlock)) {
    if TABLE.is_mine() {
        return;
    }
    TABLE.lock().live().for_each(|cell| {
        visit(&LiveBlock { base: cell.addr(), size: cell.size(), alloc_site: cell.alloc_site() });
    });
}

/// The block an address lies in, or lay in lately.
pub fn lookup(addr: usize) -> Option<Block> {
    if TABLE.is_mine() {
        let is_in = |cell: &&Cell| addr.wrapping_sub(cell.addr()) < cell.mapped();
        return cell::all()
            .filter(|cell| cell.state() == cell::LIVE)
            .find(is_in)
            .map(Cell::describe);
    }
    let mut table = TABLE.lock();
    let live = table.find(addr).map(|(_, cell)| cell);
    live.or_else(|| table.find_freed(addr)).map(Cell::describe)
}

/// Marks the block an address lies in.
pub fn watch(addr: usize) -> Option<Block> {
    let (_, cell) = TABLE.lock().find(addr)?;
    cell.add_flag(WATCHED);
    Some(cell.describe())
}

/// The cell of the live block that starts at `addr`; also for a signal handler
/// that interrupted who holds the lock.
fn live_cell(addr: usize) -> Option<&'static Cell> {
    if TABLE.is_mine() {
        return cell::all().find(|cell| cell.state() == cell::LIVE && cell.addr() == addr);
    }
    TABLE.lock().find(addr).map(|(_, cell)| cell).filter(|cell| cell.addr() == addr)
}

/// State and flags of the live block that starts at `addr`, as in
/// [`crate::slot`].
pub fn flags(addr: usize) -> Option<u8> {
    let cell = live_cell(addr)?;
    let reported = if cell.flags() & REPORTED != 0 { slot::REPORTED } else { 0 };
    Some(slot::LIVE | cell.family() | reported)
}

/// The live block that starts at `addr`.
pub fn live_block(addr: usize) -> Option<Block> {
    live_cell(addr).map(Cell::describe)
}

/// Clears some flags of the live block that starts at `addr` and sets others:
/// those of its family. For its holder.
pub fn replace_flags(addr: usize, clear: u8, set: u8) {
    if let Some(cell) = live_cell(addr) {
        cell.set_family(cell.family() & !clear | set);
    }
}

/// The live block that starts at `addr`; otherwise tells what is wrong.
pub fn check_live(addr: usize, site: usize) -> Option<Block> {
    let mut table = TABLE.lock();
    let live = table.find(addr).map(|(_, cell)| cell);
    if let Some(cell) = live.filter(|cell| cell.addr() == addr) {
        return Some(cell.describe());
    }
    let cell = live.or_else(|| table.find_freed(addr));
    let is_double = live.is_none() && cell.is_some_and(|cell| cell.addr() == addr);
    let was_told = cell.is_some_and(|cell| cell.add_flag(REPORTED));
    let block = cell.map(Cell::describe);
    drop(table);
    if was_told {
        counters::add(Counter::RepeatedMisuses, 1);
    } else {
        let kind = if is_double { MisuseKind::DoubleFree } else { MisuseKind::InvalidFree };
        deliver(&Misuse::of(kind, addr, block, site));
    }
    None
}

fn canary_damage(cell: &Cell) -> Option<Damage> {
    // SAFETY: mapped while the block lives.
    let found =
        unsafe { poison::damage(cell.addr() as *const u8, cell.size(), cell.mapped(), usize::MAX) };
    found.map(|(first, last)| Damage { first, last })
}

/// Looks at the bytes behind the live blocks; how many were damaged. They are
/// told of.
pub fn sweep_ends() -> usize {
    let mut damaged = 0;
    // One at a time: nothing is told under the lock.
    while let Some(misuse) = next_damaged() {
        deliver(&misuse);
        damaged += 1;
    }
    damaged
}

fn next_damaged() -> Option<Misuse> {
    let mut table = TABLE.lock();
    table.live().filter(|cell| cell.flags() & REPORTED == 0).find_map(|cell| {
        let canary = cell.mapped() - cell.size();
        let misuse = large::damage_behind(&cell.describe(), canary)?;
        (!cell.add_flag(REPORTED)).then_some(misuse)
    })
}

/// Unmaps a page beside the block that the trap mapped.
fn close(cell: &Cell, side: u32) {
    let page = match side {
        OPEN_FRONT => cell.addr() - PAGE,
        _ => cell.addr() + cell.mapped(),
    };
    if cell.take_flag(side) {
        // SAFETY: the trap mapped this page, for an access out of bounds.
        unsafe { os::unmap(page, PAGE) };
    }
}

/// Frees a block: its memory is unmapped, a stale access traps.
#[cold]
pub fn free(addr: usize, site: usize) {
    let Some(block) = check_live(addr, site) else { return };
    family::leave(addr, Family::Malloc, None, site);
    if block.watched && !tell_freeing(&Block { free_site: site, ..block }, site) {
        return;
    }
    let mut table = TABLE.lock();
    let Some((at, cell)) = table.find(addr).filter(|(_, cell)| cell.addr() == addr) else {
        drop(table);
        check_live(addr, site);
        return;
    };
    let damage = canary_damage(cell).filter(|_| !cell.add_flag(REPORTED));
    let overflow = damage.map(|damage| {
        let kind = MisuseKind::HeapBufferOverflow;
        report::damaged(kind, &block, damage, cell.size(), usize::MAX, site)
    });
    let (mapped, size) = (cell.mapped(), cell.size());
    close(cell, OPEN_FRONT);
    close(cell, OPEN_BEHIND);
    let is_meant = block.watched || config::isolates_all();
    let holds = alone::holds(is_meant, block.alloc_site, mapped);
    if holds {
        // Before the access goes: who traps there asks for it.
        alone::note_free(addr);
        alone::widen(addr..addr + mapped);
    }
    table.remove(at, site, holds);
    // SAFETY: the mapping was this block's alone.
    unsafe { os::unmap(addr, mapped) };
    drop(table);
    counters::freed(HUGE, size);
    if let Some(misuse) = overflow {
        deliver(&misuse);
    }
}

/// Resizes a block, in place or by moving its pages. None if it must be copied.
/// The caller checked that the block is live and unwatched.
pub fn resize(addr: usize, size: usize, site: usize) -> Option<*mut u8> {
    let len = mapped_len(size)?;
    let mut table = TABLE.lock();
    table.reserve()?;
    let (at, cell) = table.find(addr)?;
    if canary_damage(cell).is_some() {
        // Copied: the old block is told of as it is freed.
        return None;
    }
    let (mapped, old) = (cell.mapped(), cell.size());
    close(cell, OPEN_BEHIND);
    let fits = addr + len + PAGE <= table.next_addr(at);
    // SAFETY: the block's mapping is one piece and its owner called us.
    let in_place = len == mapped || fits && unsafe { os::remap(addr, mapped, len, None) };
    let to = if in_place {
        cell.resize(len, size, site);
        table.pass_grown(addr, len);
        addr
    } else {
        let to = table.gap(len, PAGE)?;
        // Mapped first, so that nothing foreign is replaced.
        os::map_at(to, len).ok()?;
        // SAFETY: both ranges are ours.
        if !unsafe { os::remap(addr, mapped, len, Some(to)) } {
            // SAFETY: mapped just above.
            unsafe { os::unmap(to, len) };
            return None;
        }
        close(cell, OPEN_FRONT);
        table.remove(at, site, false);
        table.insert(to, len, size, site);
        to
    };
    // SAFETY: the mapping has room for the canary. What it held before is zero,
    // the program's, or the old canary.
    unsafe { write_canary(to, size, len) };
    counters::add_live((size as u64).wrapping_sub(old as u64));
    Some(to as *mut u8)
}
