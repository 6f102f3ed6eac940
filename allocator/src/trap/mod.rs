//! What a SIGSEGV at an address of the heap was.
//!
//! Ground rules. Called from the signal handler, at any time on any thread, even
//! one that is inside the heap: no lock is taken, nothing allocated, only atomics
//! are read and changed. A slot changes hands meanwhile at most by a
//! compare-and-swap that one side loses.

mod stale;

use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::large::{self, TAKEN, UNMAPPED};
use crate::observer::{Block, Misuse, MisuseKind, deliver};
use crate::os::{self, PAGE};
use crate::place::{Place, Slot, locate};
use crate::poison::{self, POISON_FREE};
use crate::slot::{FREE, LIVE, NEVER, QUARANTINED, REPORTED, RETIRED, STATE};
use crate::{guard, huge};

pub use crate::alone::may_be_held;
pub(crate) use stale::write_back;
pub use stale::{alias, is_stale, tell, tell_call};

/// An access that trapped.
pub(crate) struct Access {
    /// Its address.
    pub addr: usize,
    /// Whether it was a write.
    pub is_write: bool,
    /// The instruction.
    pub ip: usize,
}

impl Access {
    /// What it is to a freed block.
    pub fn stale(&self) -> MisuseKind {
        if self.is_write { MisuseKind::UseAfterFreeWrite } else { MisuseKind::UseAfterFreeRead }
    }

    /// Whether `kind` is what [`stale`](Self::stale) says.
    pub fn is_stale(&self, kind: MisuseKind) -> bool {
        kind == self.stale()
    }

    /// Tells of it.
    pub fn tell(&self, kind: MisuseKind, block: Block) {
        deliver(&self.misuse(kind, block, self.is_write as usize));
    }

    fn misuse(&self, kind: MisuseKind, block: Block, len: usize) -> Misuse {
        let mut misuse = Misuse::of(kind, self.addr, Some(block), self.ip + 1);
        misuse.len = len;
        misuse.expected = [if self.is_stale(kind) { POISON_FREE } else { 0 }; 16];
        misuse.found = misuse.expected;
        misuse.in_signal = true;
        misuse
    }
}

/// Whether an address is one of the heap's.
pub fn is_in_heap(addr: usize) -> bool {
    !matches!(locate(addr), Place::Foreign)
}

/// Says what an access was that trapped (SIGSEGV) at `addr` by the instruction
/// at `ip`. If it hit a guard or freed memory of this heap: tells of it, once per
/// object, makes the page accessible and returns true; the access may be
/// repeated. The page of a freed block then reads as poison. False for every
/// other address, and if there is no memory for the page.
///
/// Runs in any context, a signal handler that interrupted the heap included.
/// What is written to an opened page is not looked at again; the block's memory
/// is not used again either.
pub fn trap(addr: usize, is_write: bool, ip: usize) -> bool {
    let access = Access { addr, is_write, ip };
    match locate(addr) {
        Place::In(slot, _) if !slot.is_small() => in_slot(slot, &access),
        Place::Huge => huge::trap(&access),
        Place::Foreign => false,
        Place::In(..) | Place::Nowhere => match locate(addr.wrapping_add(PAGE)) {
            // In front of a region, where nothing is mapped.
            Place::In(slot, _) if !slot.is_small() && slot.index == 0 && addr < slot.base() => {
                accuse(slot, &access) && guard::open(addr & !(PAGE - 1))
            }
            _ => false,
        },
    }
}

/// What a page of a freed block reads as.
#[repr(align(4096))]
pub(crate) struct PoisonPage([u8; PAGE]);
static POISON_PAGE: PoisonPage = PoisonPage([POISON_FREE; PAGE]);

/// Fills a page that was opened with poison. Another thread may drop the slot just
/// now and take the access to it away again: a fault here would be the end.
pub(crate) fn poison_page(page: usize) {
    // SAFETY: the page was opened just now and holds no block any more.
    unsafe {
        if !os::write_any(page, &POISON_PAGE.0) {
            poison::fill_plain(page as *mut u8, PAGE);
        }
    }
}

fn in_slot(slot: Slot, access: &Access) -> bool {
    let meta = large::meta(slot);
    let pages = slot.bytes() / PAGE;
    let number = (access.addr - slot.base()) / PAGE;
    let page = access.addr & !(PAGE - 1);
    let state = meta.state();
    if state != UNMAPPED && !meta.traps(number, pages) {
        let next = Slot { index: slot.index + 1, ..slot };
        if state == NEVER && number + 1 == pages && exists(next) {
            // Never mapped: foreign memory is in the way of the region.
            return accuse(next, access) && guard::open(page);
        }
        if state == QUARANTINED && number < meta.open_bytes(pages) / PAGE {
            // The heap itself, at a block that was freed without the access to it.
            return large::give_access(slot, meta);
        }
        // Opened since by the slot's owner, or somebody else's affair.
        return guard::take_move(slot.base());
    }
    if state == TAKEN {
        // Its owner is about to open it: whose access this is cannot be known.
        counters::add(Counter::UntoldMisuses, 1);
        meta.add_opened();
        return guard::open(page);
    }
    let owner = nearer(slot, access.addr);
    if !accuse(owner, access) {
        return guard::take_move(slot.base());
    }
    meta.add_opened();
    if !guard::open(page) {
        return false;
    }
    if meta.state() == RETIRED {
        // With what was written there, if anything was.
        write_back(page, poison_page);
    }
    true
}

fn exists(slot: Slot) -> bool {
    slot.index < DEPOTS[slot.class].bump() as usize
}

/// The slot whose block an address behind the block of `slot` belongs to: this
/// one, or the next if that is live and nearer.
fn nearer(slot: Slot, addr: usize) -> Slot {
    let next = Slot { index: slot.index + 1, ..slot };
    let behind = addr.saturating_sub(slot.start() + large::meta(slot).size());
    let is_next = behind > next.base() - addr && exists(next);
    if is_next && large::meta(next).state() == LIVE { next } else { slot }
}

/// Tells that the block of a slot was accessed beyond its bounds or its life,
/// and takes the slot out of use: a live block's as it is freed, a free one at
/// once. False if the slot is changing hands.
fn accuse(slot: Slot, access: &Access) -> bool {
    let meta = large::meta(slot);
    loop {
        let flags = meta.flags();
        let (kind, new) = match flags & STATE {
            LIVE if access.addr < slot.base() => {
                (MisuseKind::HeapBufferUnderflow, flags | REPORTED)
            }
            LIVE => (MisuseKind::HeapBufferOverflow, flags | REPORTED),
            FREE | QUARANTINED | UNMAPPED => (access.stale(), RETIRED | REPORTED),
            RETIRED => (access.stale(), flags),
            _ => return false,
        };
        let block = meta.block(slot.start());
        if !meta.swap(flags, new) {
            continue;
        }
        if new != flags && new & STATE == RETIRED {
            counters::add(Counter::RetiredSlots, 1);
        }
        match block.filter(|_| flags & REPORTED == 0 && flags & STATE != RETIRED) {
            Some(block) => access.tell(kind, block),
            None => counters::add(Counter::RepeatedMisuses, 1),
        }
        return true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_another_thread_shut_is_not_filled_and_no_fault() {
        let page = os::map_anywhere(PAGE).expect("there is memory");
        // SAFETY: the page was mapped just now.
        let bytes = || unsafe { *(page as *const [u8; PAGE]) };
        // SAFETY: as above; nobody uses it.
        unsafe { assert!(os::protect(page, PAGE, false)) };
        poison_page(page);
        // SAFETY: as above.
        unsafe { assert!(os::protect(page, PAGE, true)) };
        assert_eq!(bytes(), [0; PAGE]);
        poison_page(page);
        assert_eq!(bytes(), [POISON_FREE; PAGE]);
        // SAFETY: as above.
        unsafe { os::unmap(page, PAGE) };
    }
}
