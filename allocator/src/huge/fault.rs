//! What an access to unmapped memory between the huge blocks was.
//!
//! Ground rules. Runs in the trap: no lock, no memory; cells are read as they
//! are and believed only if their flags are the same afterwards.

use crate::counters::{self, Counter};
use crate::observer::{Block, MisuseKind};
use crate::os::{self, MapError, PAGE};
use crate::trap::{Access, poison_page, write_back};

use super::cell::{
    self, Cell, FREED, LIVE, OPEN_BEHIND, OPEN_FRONT, OPENED, REPORTED, STATE, WATCHED,
};

/// Where an address lies, seen from a block.
struct Hit {
    cell: &'static Cell,
    flags: u32,
    kind: MisuseKind,
    /// From the block, in bytes; none inside.
    distance: usize,
}

/// What an address is to one cell's block. An error if it is mapped memory.
fn look(cell: &'static Cell, access: &Access) -> Result<Option<Hit>, ()> {
    let flags = cell.flags();
    let (base, mapped, size) = (cell.addr(), cell.mapped(), cell.size());
    let end = base + mapped;
    let zone = base + cell.reach() + PAGE;
    let addr = access.addr;
    let found = if cell.state() == FREED && (base..end).contains(&addr) {
        Some((access.stale(), 0))
    } else if cell.state() != LIVE {
        None
    } else if (base..end).contains(&addr) {
        return if cell.flags() == flags { Err(()) } else { Ok(None) };
    } else if (end..zone).contains(&addr) {
        Some((MisuseKind::HeapBufferOverflow, addr - (base + size)))
    } else if (base.saturating_sub(PAGE)..base).contains(&addr) {
        Some((MisuseKind::HeapBufferUnderflow, base - addr))
    } else {
        None
    };
    let is_same = cell.flags() == flags;
    Ok(found.filter(|_| is_same).map(|(kind, distance)| Hit { cell, flags, kind, distance }))
}

/// The cell of a held block that has an address and no page mapped, and its flags.
fn held_cell(addr: usize) -> Option<(&'static Cell, u32)> {
    cell::all().map(|cell| (cell, cell.flags())).find(|&(cell, flags)| {
        flags & (STATE | WATCHED | OPENED) == FREED | WATCHED
            && addr.wrapping_sub(cell.addr()) < cell.mapped()
            && cell.flags() == flags
    })
}

/// The held block that an address lies in.
pub fn held(addr: usize) -> Option<Block> {
    let (cell, flags) = held_cell(addr)?;
    let block = cell.describe();
    (cell.flags() & !REPORTED == flags & !REPORTED).then_some(block)
}

/// Whether an address lies in a held block, whose addresses nobody gets from then on.
pub fn retire(addr: usize) -> bool {
    while let Some((cell, flags)) = held_cell(addr) {
        if flags & REPORTED != 0 || cell.add_flag_to(flags, REPORTED) {
            return true;
        }
    }
    false
}

/// Notes a page that is to be unmapped with the block.
fn note_open(hit: &Hit, page: usize) {
    match hit.kind {
        MisuseKind::HeapBufferUnderflow => hit.cell.add_flag(OPEN_FRONT),
        MisuseKind::HeapBufferOverflow if page == hit.cell.addr() + hit.cell.mapped() => {
            hit.cell.add_flag(OPEN_BEHIND)
        }
        _ => false,
    };
}

/// See [`crate::trap`].
pub fn trap(access: &Access) -> bool {
    let mut nearest: Option<Hit> = None;
    for cell in cell::all() {
        match look(cell, access) {
            Err(()) => return false,
            Ok(Some(hit)) if nearest.as_ref().is_none_or(|best| hit.distance < best.distance) => {
                nearest = Some(hit);
            }
            Ok(_) => {}
        }
    }
    let Some(hit) = nearest else { return false };
    let block = Block { base: hit.cell.addr(), ..hit.cell.describe() };
    let is_first = hit.flags & REPORTED == 0 && hit.cell.add_flag_to(hit.flags, REPORTED);
    let page = access.addr & !(PAGE - 1);
    if access.is_stale(hit.kind) && hit.flags & WATCHED != 0 {
        // Before the page is there: it reads as itself from now on, as the others do.
        hit.cell.add_flag(OPENED);
    }
    match os::map_at(page, PAGE) {
        Ok(()) => {
            note_open(&hit, page);
            if access.is_stale(hit.kind) {
                write_back(page, poison_page);
            }
        }
        // Another thread was faster: one that trapped, or one whose new block this is.
        Err(MapError::Taken) => {}
        Err(MapError::NoMemory) => return false,
    }
    if is_first {
        access.tell(hit.kind, block);
    } else {
        counters::add(Counter::RepeatedMisuses, 1);
    }
    true
}
