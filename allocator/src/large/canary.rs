//! What surrounds a large block, and whether it still is as it was.
//!
//! Ground rules. Canary bytes fill the block's last page up to its guard; without
//! one there are [`LEAST`] of them, on the next page if need be. Only the owner
//! of a slot reads its bytes directly; others' bytes are copied by the kernel,
//! since the access to them may be taken away at any time.

use core::sync::atomic::{Ordering::*, fence};

use crate::alone;
use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::observer::{Block, BlockState, Misuse, MisuseKind, deliver};
use crate::os::{self, PAGE};
use crate::place::Slot;
use crate::poison::POISON_FREE;
use crate::report::{self, Damage};
use crate::slot::{FREE, LIVE, QUARANTINED, REPORTED, RETIRED};
use crate::{config, poison};

use super::ahead;
use super::guards::pages_of;
use super::meta::{Meta, meta, pages};
use super::retain::purge;

/// Bytes checked behind a block without a guard.
const LEAST: usize = 32;
/// Bytes looked at in front of a block without a guard there.
const FRONT: usize = 16;

/// Where the canary of a block of `size` bytes ends.
pub fn canary_end(slot: Slot, meta: &Meta, size: usize) -> usize {
    let (end, pages) = (pages_of(size), pages(slot));
    if end < pages && meta.traps(end, pages) {
        return end * PAGE;
    }
    let open = meta.open_bytes(pages);
    if open < slot.bytes() && open - size <= ahead::MOST {
        return open;
    }
    // No more: the slot's end is left to show an underflow of the block behind.
    (size + LEAST).min(open).min(slot.bytes())
}

/// The damaged part of a live block's canary; for its owner, who resizes it to `new`
/// bytes. If it grows, what will be canary still is looked at later.
pub fn canary_damage(slot: Slot, meta: &Meta, size: usize, new: usize) -> Option<Damage> {
    let to = if new > size { new.saturating_add(LEAST) } else { usize::MAX };
    let lead = alone::lead(slot, || size);
    let end = (canary_end(slot, meta, lead + size) - lead).min(to);
    let base = slot.start() as *const u8;
    // SAFETY: inside the slot and in front of its guards; the caller owns it.
    if end <= size || unsafe { poison::plain_holds(base.add(size), end - size) } {
        return None;
    }
    // SAFETY: as above.
    let found = unsafe { poison::damage(base, size, end, usize::MAX) };
    found.map(|(first, last)| Damage { first, last })
}

/// The two parts of a free slot that hold poison; what is shut does not.
pub fn poisoned(slot: Slot, meta: &Meta) -> [(usize, usize); 2] {
    let (pages, own) = (pages(slot), meta.guards(pages(slot)).own * PAGE);
    let dirty = meta.dirty().min((pages - meta.shut()) * PAGE);
    [(0, dirty.min(own)), (own + PAGE, dirty)]
}

/// Whether a free slot holds nothing but poison, where it can be touched.
///
/// # Safety
///
/// * The caller owns the slot, or holds the lock of the set it is in.
pub unsafe fn poison_holds(slot: Slot, meta: &Meta) -> bool {
    poisoned(slot, meta).into_iter().filter(|(from, to)| from < to).all(|(from, to)| {
        // SAFETY: in front of `dirty` and not guarded: mapped and accessible.
        unsafe { poison::plain_holds((slot.base() + from) as *const u8, to - from) }
    })
}

/// Takes a free slot out of use in which poison is damaged, and tells of it.
pub fn retire_stale(slot: Slot, meta: &Meta) {
    meta.set(RETIRED | REPORTED);
    counters::add(Counter::RetiredSlots, 1);
    let found = poisoned(slot, meta).into_iter().find_map(|(from, to)| {
        // SAFETY: as in `poison_holds`; the slot is the caller's.
        unsafe { poison::damage(slot.base() as *const u8, from, to, usize::MAX) }
    });
    if let (Some((first, last)), Some(block)) = (found, meta.block(slot.start())) {
        // Behind the block's end it was never the block's.
        let lead = block.base - slot.base();
        let behind = first >= lead + block.size;
        let kind =
            if behind { MisuseKind::HeapBufferOverflow } else { MisuseKind::UseAfterFreeWrite };
        let damage = Damage { first: first.saturating_sub(lead), last: last.saturating_sub(lead) };
        let mut misuse = report::damaged(kind, &block, damage, 0, usize::MAX, 0);
        misuse.late = true;
        deliver(&misuse);
    }
    purge(slot, meta);
}

/// What was written to the end of the slot in front, where its own block never
/// reached: from this block, since who overflows does so at his own end. With
/// the bytes found. None if a guard stands there.
///
/// Ground rules: the depot's lock keeps the slot in front mapped. `dirty` is
/// raised before anybody writes below it, and looked at again after the bytes.
fn front_damage(slot: Slot) -> Option<(Damage, [u8; FRONT])> {
    let front = Slot { index: slot.index.checked_sub(1)?, ..slot };
    let meta = meta(front);
    let start = front.bytes() - FRONT;
    let last_page = pages(front) - 1;
    if meta.traps(last_page, pages(front)) {
        return None;
    }
    let _mapped = DEPOTS[slot.class].lock();
    if !matches!(meta.state(), LIVE | QUARANTINED | FREE | RETIRED) {
        return None;
    }
    let mut found = None;
    // Twice: the owner in front may lower `dirty` just after he dropped what we
    // saw (there it reads zero from then on).
    for _ in 0..2 {
        if meta.dirty() > start {
            return None;
        }
        fence(Acquire);
        let mut bytes = [0; FRONT];
        if !read_front(front.base() + start, &mut bytes) {
            return None;
        }
        fence(Acquire);
        let first = bytes.iter().position(|&byte| byte != 0)?;
        let last = bytes.iter().rposition(|&byte| byte != 0)?;
        found = Some((Damage { first, last }, bytes));
    }
    found.filter(|_| meta.dirty() <= start)
}

fn read_front(addr: usize, bytes: &mut [u8; FRONT]) -> bool {
    if config::guards() {
        return os::read_any(addr, bytes);
    }
    // SAFETY: the end of a mapped slot, and nobody takes its access away.
    *bytes = unsafe { (addr as *const [u8; FRONT]).read_volatile() };
    true
}

/// What was written in front of a block that ends its pages.
fn lead_damage(slot: Slot) -> Option<(Damage, [u8; FRONT])> {
    // SAFETY: inside the slot, in front of its block; the caller owns it.
    let bytes = unsafe { ((slot.start() - FRONT) as *const [u8; FRONT]).read_volatile() };
    let first = bytes.iter().position(|&byte| byte != POISON_FREE)?;
    let last = bytes.iter().rposition(|&byte| byte != POISON_FREE)?;
    Some((Damage { first, last }, bytes))
}

/// Tells of bytes written in front of a block.
fn tell_underflow(block: &Block, damage: Damage, bytes: [u8; FRONT], site: usize) {
    let addr = block.base - FRONT + damage.first;
    let mut misuse = Misuse::of(MisuseKind::HeapBufferUnderflow, addr, Some(*block), site);
    misuse.len = damage.last - damage.first + 1;
    misuse.found = bytes;
    deliver(&misuse);
}

fn tell_overflow(block: &Block, damage: Damage, site: usize) {
    let kind = MisuseKind::HeapBufferOverflow;
    deliver(&report::damaged(kind, block, damage, block.size, usize::MAX, site));
}

/// Checks what surrounds a block that is being freed; tells of damage and
/// retires the slot. A block of which a misuse was told is retired in silence.
pub fn is_out_of_use(slot: Slot, meta: &Meta, size: usize, site: usize) -> bool {
    let was_told = meta.flags() & REPORTED != 0;
    let looks = config::poisons() && !was_told;
    let behind = if looks { canary_damage(slot, meta, size, 0) } else { None };
    let in_front = match looks && behind.is_none() {
        true if slot.start() > slot.base() => lead_damage(slot),
        true => front_damage(slot),
        false => None,
    };
    if !was_told && behind.is_none() && in_front.is_none() {
        return false;
    }
    // The trap may have been faster, and told.
    let is_first = meta.claim(RETIRED | REPORTED).is_some();
    if is_first || meta.swap(QUARANTINED | REPORTED, RETIRED | REPORTED) {
        counters::add(Counter::RetiredSlots, 1);
    }
    if let Some(block) = meta.block(slot.start()).filter(|_| is_first) {
        let block = Block { state: BlockState::Live, free_site: 0, ..block };
        match (behind, in_front) {
            (Some(damage), _) => tell_overflow(&block, damage, site),
            (None, Some((damage, bytes))) => tell_underflow(&block, damage, bytes, site),
            (None, None) => {}
        }
    }
    purge(slot, meta);
    true
}
