//! Accesses to freed blocks that are held (`alone`): each is told, and the program is let
//! go on. Of others the first access is told and opens the page: a large buffer may be
//! accessed byte by byte, and each costs a signal.
//!
//! A page of a freed block stays guarded for good once it was accessed; whoever
//! performs the access for the program does so at another address, the page's *alias*.
//! Reads see one page of poison, the same for all. The first write gives a page a copy
//! of its own, the *shadow*, which later reads see too: the program sees what it would
//! have seen.
//!
//! Ground rules. Called from the signal handler, at any time on any thread: no lock,
//! nothing allocated but mappings. A slot is the trap's from the moment it is retired;
//! shadows are never unmapped.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};

use crate::alone::age_ns;
use crate::counters::{self, Counter};
use crate::observer::{Block, Misuse, deliver};
use crate::os::{self, PAGE};
use crate::place::{Place, Slot, locate};
use crate::poison;
use crate::slot::{QUARANTINED, REPORTED, RETIRED, STATE, WATCHED};
use crate::{huge, large};

use super::{Access, POISON_PAGE};

/// Pages that may have a shadow: 16 MiB of memory. What is written to others goes to
/// the page itself, which is opened for that.
const SHADOWS: usize = 4096;
/// Places looked at for a page.
const LOOK: usize = 64;

struct Shadow {
    /// The page that it stands for; 0 for none.
    page: AtomicUsize,
    /// Where it is; 0 as long as it is being made.
    at: AtomicUsize,
}

static SHADOW: [Shadow; SHADOWS] =
    [const { Shadow { page: AtomicUsize::new(0), at: AtomicUsize::new(0) } }; SHADOWS];
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Whether `addr` is part of a freed block that is held, and nobody has access to its
/// page; it is out of use from then on.
fn retire(addr: usize) -> bool {
    match locate(addr) {
        Place::In(slot, _) => !slot.is_small() && retire_slot(slot, addr),
        Place::Huge => huge::retire(addr),
        _ => false,
    }
}

fn retire_slot(slot: Slot, addr: usize) -> bool {
    let (meta, pages) = (large::meta(slot), slot.bytes() / PAGE);
    loop {
        let flags = meta.flags();
        if flags & WATCHED == 0 || !meta.traps((addr - slot.base()) / PAGE, pages) {
            return false;
        }
        match flags & STATE {
            RETIRED => return true,
            QUARANTINED if meta.swap(flags, RETIRED | REPORTED | WATCHED) => {
                counters::add(Counter::RetiredSlots, 1);
                return true;
            }
            QUARANTINED => {}
            _ => return false,
        }
    }
}

/// Where `len` bytes at `addr`, all on one page, can be accessed instead if they are
/// part of a freed block to which nobody has access. For ever, and for writing if
/// `write`.
pub fn alias(addr: usize, len: usize, write: bool) -> Option<NonNull<u8>> {
    let offset = addr % PAGE;
    if offset + len > PAGE {
        return None;
    }
    if !retire(addr) {
        return None;
    }
    let page = addr - offset;
    let at = match shadow(page, write) {
        Some(at) => at,
        None if write => return None,
        None => POISON_PAGE.0.as_ptr() as usize,
    };
    NonNull::new((at + offset) as *mut u8)
}

/// The shadow of a page; made now if there is none and `make` is set.
fn shadow(page: usize, make: bool) -> Option<usize> {
    if !make && COUNT.load(Acquire) == 0 {
        return None;
    }
    let first = page / PAGE * 31;
    for at in 0..LOOK {
        let shadow = &SHADOW[(first + at) % SHADOWS];
        let found = match shadow.page.load(Acquire) {
            0 if !make => return None,
            0 => shadow
                .page
                .compare_exchange(0, page, AcqRel, Acquire)
                .map_or_else(|now| now, |_| page),
            now => now,
        };
        if found == page {
            return match shadow.at.load(Acquire) {
                0 if !make => None,
                0 => fill(shadow),
                at => Some(at),
            };
        }
    }
    None
}

/// Makes a shadow's memory. Two threads may do so at once: the first one's counts.
fn fill(shadow: &Shadow) -> Option<usize> {
    let memory = os::map_anywhere(PAGE)?;
    // SAFETY: mapped just now.
    unsafe { poison::fill_plain(memory as *mut u8, PAGE) };
    match shadow.at.compare_exchange(0, memory, AcqRel, Acquire) {
        Ok(_) => {
            COUNT.fetch_add(1, Release);
            Some(memory)
        }
        Err(first) => {
            // SAFETY: nobody else knows of it.
            unsafe { os::unmap(memory, PAGE) };
            Some(first)
        }
    }
}

/// Fills a page that was opened with its shadow; without one calls `poison`.
pub(crate) fn write_back(page: usize, poison: impl FnOnce(usize)) {
    match shadow(page, false) {
        // SAFETY: a shadow is a whole page, and stays; the page holds no block.
        Some(at) => unsafe {
            let content = &*(at as *const [u8; PAGE]);
            if !os::write_any(page, content) {
                (page as *mut [u8; PAGE]).write(*content);
            }
        },
        None => poison(page),
    }
}

/// Whether an access to `addr` can be performed on an alias.
pub fn is_stale(addr: usize) -> bool {
    retire(addr)
}

/// Tells of an access of `len` bytes at `addr` that was performed on an alias, by the
/// instruction at `ip`.
pub fn tell(addr: usize, len: usize, is_write: bool, ip: usize) {
    let access = Access { addr, is_write, ip };
    if let Some((block, age_ns)) = block_at(addr) {
        deliver(&Misuse { age_ns, ..access.misuse(access.stale(), block, len) });
    }
}

/// Tells of an access of `len` bytes at `addr` by a system call that the calling thread
/// made with the alias. Not from a signal handler that a fault called.
pub fn tell_call(addr: usize, len: usize, is_write: bool) {
    let access = Access { addr, is_write, ip: 0 };
    if let Some((block, age_ns)) = block_at(addr) {
        let misuse = access.misuse(access.stale(), block, len);
        deliver(&Misuse { caller: 0, in_signal: false, age_ns, ..misuse });
    }
}

/// The block at an address, and for how long it has been free, ns.
fn block_at(addr: usize) -> Option<(Block, u64)> {
    match locate(addr) {
        Place::In(slot, _) if !slot.is_small() => {
            Some((large::meta(slot).block(slot.start())?, age_ns(slot.base())))
        }
        Place::Huge => huge::held(addr).map(|block| (block, age_ns(block.base))),
        _ => None,
    }
}
