//! Large blocks: 32 KiB to 64 MiB, from classes without thread caches.
//!
//! ```text
//!            alloc                       free
//!   [Fresh] --------> Live --+--> Free, poisoned (retained) --alloc, verified--> Live
//!      ^               |     |
//!      |               |     +--> Fresh (pages given back; reads as zero) <--+
//!      |               +- damaged -> Retired                               |
//!      +------------------------- Unmapped <------- give_back -------------+
//! ```
//!
//! Ground rules. Free slots are in one of the depot's two sets, `free` (poisoned,
//! pages in memory) or `purged`; whoever takes a slot out of a set or wins the
//! change from Live to Quarantined owns its memory and metadata. Filling,
//! verifying and giving back happen without the lock.
//!
//! Of a slot's memory the first `dirty` bytes may differ from zero. In a free
//! slot all of those are poison (no end byte: a slot's end is rarely touched).
//! What is retained grows with what is live, or programs of large blocks would
//! spend their time on page faults, and others on memory.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::*, fence};

use crate::class::{CLASSES, SMALL_CLASSES};
use crate::counters::{self, Counter};
use crate::depot::{DEPOTS, Inner, LARGE_META};
use crate::family::{self, FAMILY, Family};
use crate::observer::{Block, BlockState, Misuse, MisuseKind, deliver, resolve, tell_freeing};
use crate::os::PAGE;
use crate::place::Slot;
use crate::report::{self, Damage};
use crate::slot::{FREE, LIVE, NEVER, QUARANTINED, REPORTED, RETIRED, STATE, WATCHED};
use crate::window::meta_base;
use crate::{config, os, poison, tls};

/// Bytes checked behind the requested size.
const CANARY: usize = 16;
/// What may always be retained ...
const RETAIN_LEAST: usize = 2 << 20;
/// ... or, if the program has freed larger blocks, so many of the largest (who
/// builds and frees such a block does so again) ...
const RETAIN_BLOCKS: usize = 2;
/// ... up to this ...
const RETAIN_MOST: usize = 16 << 20;
/// ... and this part of the live large bytes.
const RETAIN_SHARE: usize = 2;
/// A free slot without memory behind it.
const UNMAPPED: u8 = 5;
/// A shrunk block gives pages back if there are so many bytes of them.
const SHRINK: usize = 64 << 10;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);
static RETAINED: AtomicUsize = AtomicUsize::new(0);
/// The largest `dirty` of a block freed so far, up to what matters.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// Bytes that may be retained while `live` bytes are live and a block of `dirty`
/// bytes is freed.
fn retain_budget(live: usize, dirty: usize) -> usize {
    let mut largest = LARGEST.load(Relaxed);
    if dirty > largest {
        largest = dirty.min(RETAIN_MOST);
        // A lost update costs a few page faults.
        LARGEST.store(largest, Relaxed);
    }
    (RETAIN_BLOCKS * largest).clamp(RETAIN_LEAST, RETAIN_MOST) + live / RETAIN_SHARE
}

/// Metadata of a large slot.
#[repr(C)]
pub struct Meta {
    /// State and flags as in [`crate::slot`].
    flags: AtomicU32,
    _pad: u32,
    size: AtomicU64,
    alloc_site: AtomicU32,
    free_site: AtomicU32,
    dirty: AtomicU64,
}

const _: () = assert!(size_of::<Meta>() == LARGE_META);

impl Meta {
    /// State with flags.
    pub fn flags(&self) -> u8 {
        self.flags.load(Acquire) as u8
    }

    /// State without flags.
    pub fn state(&self) -> u8 {
        self.flags() & STATE
    }

    fn set(&self, flags: u8) {
        self.flags.store(flags as u32, Release);
    }

    /// Sets a flag.
    pub fn add_flag(&self, flag: u8) {
        self.flags.fetch_or(flag as u32, AcqRel);
    }

    /// Clears some flags and sets others.
    pub fn replace_flags(&self, clear: u8, set: u8) {
        self.flags.fetch_and(!((clear & !set) as u32), AcqRel);
        self.flags.fetch_or(set as u32, AcqRel);
    }

    fn swap(&self, old: u8, new: u8) -> bool {
        self.flags.compare_exchange(old as u32, new as u32, AcqRel, Relaxed).is_ok()
    }

    /// Bytes asked for.
    pub fn size(&self) -> usize {
        self.size.load(Relaxed) as usize
    }

    fn dirty(&self) -> usize {
        self.dirty.load(Relaxed) as usize
    }

    /// Raises `dirty` for its owner, before the bytes are written.
    fn raise_dirty(&self, bytes: usize) {
        self.dirty.store(self.dirty().max(bytes) as u64, Relaxed);
        fence(Release);
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

fn canary_len(size: usize, slot: Slot) -> usize {
    CANARY.min(slot.bytes() - size)
}

fn note_step() {
    // SAFETY: the calling thread's cache, if any.
    if let Some(cache) = unsafe { tls::cache().as_ref() } {
        cache.large_steps.store(cache.large_steps.load(Relaxed) + 1, Relaxed);
    }
}

/// Allocates `size` bytes from a large class; `zero` if it must read as zero.
/// None if the class's region is full or there is no memory.
pub fn allocate(class: usize, size: usize, site: usize, zero: bool) -> Option<*mut u8> {
    loop {
        let slot = match take(class) {
            Some(slot) => slot,
            None if give_back() => continue,
            None => return None,
        };
        let meta = meta(slot);
        let base = slot.base() as *mut u8;
        let dirty = meta.dirty();
        if meta.state() == FREE {
            RETAINED.fetch_sub(dirty, Relaxed);
            // SAFETY: the slot is this thread's; `dirty` bytes are mapped.
            if config::poisons() && !unsafe { poison::plain_holds(base, dirty) } {
                retire_stale(slot, dirty);
                continue;
            }
            counters::add(Counter::VerifiedBytes, dirty as u64);
        }
        let canary = canary_len(size, slot);
        meta.raise_dirty(size + canary);
        // SAFETY: the slot is this thread's and larger than `size`.
        unsafe {
            if zero {
                base.write_bytes(0, size.min(dirty));
            }
            base.add(size).write_bytes(poison::POISON_FREE, canary);
        }
        meta.size.store(size as u64, Relaxed);
        meta.alloc_site.store(site as u32, Relaxed);
        meta.free_site.store(0, Relaxed);
        meta.set(LIVE);
        LIVE_BYTES.fetch_add(size, Relaxed);
        counters::add(Counter::Allocs, 1);
        counters::add_live(size as u64);
        note_step();
        return Some(base);
    }
}

/// Takes a free slot, or makes one.
fn take(class: usize) -> Option<Slot> {
    let depot = &DEPOTS[class];
    let mut inner = depot.lock();
    let mut one = [0];
    if inner.free.take(&mut one) == 0 && !take_purged(class, &mut inner, &mut one) {
        one[0] = depot.grow(class, 1, &mut inner)?.0;
    }
    depot.publish_count(&inner);
    Some(Slot { class, index: one[0] as usize })
}

fn take_purged(class: usize, inner: &mut Inner, one: &mut [u32; 1]) -> bool {
    if inner.purged.take(one) == 0 {
        return false;
    }
    let slot = Slot { class, index: one[0] as usize };
    if meta(slot).state() == UNMAPPED {
        if os::map_at(slot.base(), slot.bytes()).is_err() {
            inner.purged.insert(one[0]);
            return false;
        }
        meta(slot).set(NEVER);
    }
    true
}

fn retire_stale(slot: Slot, dirty: usize) {
    let meta = meta(slot);
    meta.set(RETIRED);
    counters::add(Counter::RetiredSlots, 1);
    // SAFETY: the slot's first `dirty` bytes are mapped.
    let found = unsafe { poison::damage(slot.base() as *const u8, 0, dirty, usize::MAX) };
    if let (Some((first, last)), Some(block)) = (found, meta.block(slot.base())) {
        let damage = Damage { first, last };
        let kind = MisuseKind::UseAfterFreeWrite;
        let mut misuse = report::damaged(kind, &block, damage, 0, usize::MAX, 0);
        misuse.late = true;
        deliver(&misuse);
    }
    discard(slot, dirty);
}

/// Gives a slot's pages back; false if the kernel refused.
fn discard(slot: Slot, dirty: usize) -> bool {
    // SAFETY: slots of large classes are whole pages; the caller owns this one
    // and its content is dead.
    unsafe { os::discard(slot.base(), dirty.next_multiple_of(PAGE)) }
}

/// Whether a large slot holds a live block that starts at `addr`; tells if not.
pub fn check_live(slot: Slot, is_start: bool, addr: usize, site: usize) -> bool {
    let meta = meta(slot);
    let flags = meta.flags();
    if flags & STATE == LIVE && is_start {
        return true;
    }
    let kind = if is_start { MisuseKind::DoubleFree } else { MisuseKind::InvalidFree };
    match meta.block(slot.base()) {
        None => deliver(&Misuse::of(MisuseKind::InvalidFree, addr, None, site)),
        Some(_) if flags & REPORTED != 0 => {}
        Some(block) => {
            meta.add_flag(REPORTED);
            deliver(&Misuse::of(kind, addr, Some(block), site));
        }
    }
    false
}

/// The damaged part of a live block's canary.
fn canary_damage(slot: Slot, size: usize) -> Option<Damage> {
    let end = size + canary_len(size, slot);
    // SAFETY: inside the slot, which is mapped while its block lives.
    let found = unsafe { poison::damage(slot.base() as *const u8, size, end, usize::MAX) };
    found.map(|(first, last)| Damage { first, last })
}

/// What was written to the end of the slot in front, where its own block never
/// reached: from this block, since who overflows does so at his own end.
///
/// Ground rules: the depot's lock keeps the slot in front mapped. `dirty` is
/// raised before anybody writes below it, and looked at again after the bytes.
fn front_damage(slot: Slot) -> Option<Damage> {
    let front = Slot { index: slot.index.checked_sub(1)?, ..slot };
    let start = front.bytes() - CANARY;
    let _mapped = DEPOTS[slot.class].lock();
    if !matches!(meta(front).state(), LIVE | QUARANTINED | FREE | RETIRED) {
        return None;
    }
    let mut found = None;
    // Twice: the owner in front may lower `dirty` just after he dropped what we
    // saw (there it reads zero from then on).
    for _ in 0..2 {
        if meta(front).dirty() > start {
            return None;
        }
        fence(Acquire);
        // SAFETY: the end of a mapped slot.
        let bytes = unsafe { ((front.base() + start) as *const [u8; CANARY]).read_volatile() };
        fence(Acquire);
        let first = bytes.iter().position(|&byte| byte != 0)?;
        let last = bytes.iter().rposition(|&byte| byte != 0)?;
        found = Some(Damage { first, last });
    }
    found.filter(|_| meta(front).dirty() <= start)
}

/// Tells of bytes written in front of a block.
fn tell_underflow(block: &Block, damage: Damage, site: usize) {
    let addr = block.base - CANARY + damage.first;
    let mut misuse = Misuse::of(MisuseKind::HeapBufferUnderflow, addr, Some(*block), site);
    misuse.len = damage.last - damage.first + 1;
    // SAFETY: told from the block's own free, which found these bytes mapped.
    misuse.found = unsafe { ((block.base - CANARY) as *const [u8; CANARY]).read_volatile() };
    deliver(&misuse);
}

fn tell_overflow(block: &Block, damage: Damage, site: usize) {
    let kind = MisuseKind::HeapBufferOverflow;
    deliver(&report::damaged(kind, block, damage, block.size, usize::MAX, site));
}

/// Checks what surrounds a block that is being freed; tells of damage, unless a
/// misuse of the block was told already, and retires the slot.
fn is_damaged(slot: Slot, size: usize, site: usize) -> bool {
    let meta = meta(slot);
    let behind = canary_damage(slot, size);
    let in_front = if behind.is_none() { front_damage(slot) } else { None };
    if behind.or(in_front).is_none() {
        return false;
    }
    let was_told = meta.flags() & REPORTED != 0;
    meta.set(RETIRED);
    counters::add(Counter::RetiredSlots, 1);
    if let Some(block) = meta.block(slot.base()).filter(|_| !was_told) {
        let block = Block { state: BlockState::Live, free_site: 0, ..block };
        match (behind, in_front) {
            (Some(damage), _) => tell_overflow(&block, damage, site),
            (None, Some(damage)) => tell_underflow(&block, damage, site),
            (None, None) => {}
        }
    }
    discard(slot, meta.dirty());
    true
}

/// Whether retained slots of other classes made room in the budget for a block
/// of a class that retains none: else sizes that are out of use would keep
/// those in use from it for good.
fn make_room(class: usize, dirty: usize, budget: usize) -> bool {
    if dirty > budget || DEPOTS[class].count_hint() > 0 {
        return false;
    }
    let others = (SMALL_CLASSES..CLASSES).rev().filter(|&other| other != class);
    for other in others {
        while DEPOTS[other].count_hint() > 0 && evict(other) {
            if RETAINED.load(Relaxed) <= budget {
                return true;
            }
        }
    }
    false
}

/// Gives the pages of one retained slot back, after verifying it.
fn evict(class: usize) -> bool {
    let depot = &DEPOTS[class];
    let mut one = [0];
    {
        let mut inner = depot.lock();
        if inner.free.take(&mut one) == 0 {
            return false;
        }
        depot.publish_count(&inner);
    }
    let slot = Slot { class, index: one[0] as usize };
    let (meta, dirty) = (meta(slot), meta(slot).dirty());
    // SAFETY: the slot is this thread's; `dirty` bytes are mapped.
    if config::poisons() && !unsafe { poison::plain_holds(slot.base() as *const u8, dirty) } {
        RETAINED.fetch_sub(dirty, Relaxed);
        retire_stale(slot, dirty);
        return true;
    }
    // Before its poison goes: who looks meanwhile shall not take it for damage.
    let flags = meta.flags();
    meta.set(QUARANTINED | flags & REPORTED);
    let is_given_back = discard(slot, dirty);
    if is_given_back {
        RETAINED.fetch_sub(dirty, Relaxed);
        meta.dirty.store(0, Relaxed);
    } else {
        meta.set(flags);
    }
    let mut inner = depot.lock();
    let set = if is_given_back { &mut inner.purged } else { &mut inner.free };
    set.insert(one[0]);
    depot.publish_count(&inner);
    is_given_back
}

/// Gives the pages of all retained slots back; whether there were any.
pub fn trim() -> bool {
    let mut any = false;
    for (class, depot) in DEPOTS.iter().enumerate().take(CLASSES).skip(SMALL_CLASSES) {
        while depot.count_hint() > 0 && evict(class) {
            any = true;
        }
    }
    any
}

/// Bytes of live blocks, and bytes that free slots retain.
pub fn held_bytes() -> (usize, usize) {
    (LIVE_BYTES.load(Relaxed), RETAINED.load(Relaxed))
}

/// Frees a large block.
#[cold]
pub fn free(slot: Slot, is_start: bool, addr: usize, site: usize) {
    let meta = meta(slot);
    loop {
        if !check_live(slot, is_start, addr, site) {
            return;
        }
        if meta.flags() & FAMILY != 0 {
            family::leave(addr, Family::Malloc, None, site);
        }
        let flags = meta.flags();
        if flags & WATCHED != 0 {
            if let Some(block) = meta.block(slot.base()) {
                tell_freeing(&Block { free_site: site, ..block }, site);
            }
            meta.flags.fetch_and(!(WATCHED as u32), AcqRel);
            continue;
        }
        if flags & STATE == LIVE && meta.swap(flags, flags & REPORTED | QUARANTINED) {
            break;
        }
    }
    let size = meta.size();
    let live = LIVE_BYTES.fetch_sub(size, Relaxed);
    meta.free_site.store(site as u32, Relaxed);
    counters::add(Counter::Frees, 1);
    counters::add_live((size as u64).wrapping_neg());
    note_step();
    if config::poisons() && is_damaged(slot, size, site) {
        return;
    }
    let reported = meta.flags() & REPORTED;
    let dirty = meta.dirty();
    let retained = RETAINED.fetch_add(dirty, Relaxed) + dirty;
    let budget = retain_budget(live, dirty);
    let retain =
        retained <= budget || make_room(slot.class, dirty, budget) || !discard(slot, dirty);
    if retain {
        if config::poisons() {
            // SAFETY: the slot is this thread's since the state changed.
            unsafe { poison::fill_plain(slot.base() as *mut u8, size) };
            counters::add(Counter::PoisonedBytes, size as u64);
        }
        meta.set(FREE | reported);
    } else {
        RETAINED.fetch_sub(dirty, Relaxed);
        meta.dirty.store(0, Relaxed);
        meta.set(QUARANTINED | reported);
    }
    let depot = &DEPOTS[slot.class];
    let mut inner = depot.lock();
    let set = if retain { &mut inner.free } else { &mut inner.purged };
    set.insert(slot.index as u32);
    depot.publish_count(&inner);
}

/// Resizes a block in place if it stays in its slot and keeps a quarter of it.
/// The caller checked that the block is live.
pub fn resize(slot: Slot, size: usize, site: usize) -> bool {
    let meta = meta(slot);
    let old = meta.size();
    if size >= slot.bytes() || size < slot.bytes() / 4 {
        return false;
    }
    if config::poisons() && canary_damage(slot, old).is_some() {
        // Move: the old slot is told of and retired as it is freed.
        return false;
    }
    let base = slot.base() as *mut u8;
    let canary = canary_len(size, slot);
    let dirty = meta.dirty();
    let keep = (size + canary).next_multiple_of(PAGE);
    // SAFETY: all inside the slot, and behind the block's new end.
    unsafe {
        if size < old
            && dirty.saturating_sub(keep) >= SHRINK
            && os::discard(slot.base() + keep, dirty.next_multiple_of(PAGE) - keep)
        {
            meta.dirty.store(keep as u64, Relaxed);
            poison::fill_plain(base.add(size), keep.min(slot.bytes()) - size);
        } else {
            let end = (size + canary).max(if size < old { old } else { 0 });
            meta.raise_dirty(size + canary);
            poison::fill_plain(base.add(size), end - size);
        }
    }
    meta.size.store(size as u64, Relaxed);
    meta.alloc_site.store(site as u32, Relaxed);
    LIVE_BYTES.fetch_add(size.wrapping_sub(old), Relaxed);
    counters::add_live((size as u64).wrapping_sub(old as u64));
    note_step();
    true
}

/// Unmaps what free large slots hold, for a call that found no memory. True if
/// there was anything: trying again may succeed.
#[cold]
pub fn give_back() -> bool {
    let mut any = false;
    for (class, depot) in DEPOTS.iter().enumerate().take(CLASSES).skip(SMALL_CLASSES) {
        if depot.bump() == 0 {
            continue;
        }
        let mut inner = depot.lock();
        let mut at = 0;
        while let Some((first, bits)) = inner.free.scan(at) {
            for bit in (0..64).filter(|bit| bits & 1 << bit != 0) {
                let slot = Slot { class, index: (first + bit) as usize };
                let dirty = meta(slot).dirty();
                // Poison that cannot be unmapped stays where it is.
                if unmap(slot) {
                    RETAINED.fetch_sub(dirty, Relaxed);
                    inner.free.remove(first + bit);
                    inner.purged.insert(first + bit);
                    any = true;
                }
            }
            at = first + 64;
        }
        at = 0;
        while let Some((first, bits)) = inner.purged.scan(at) {
            for bit in (0..64).filter(|bit| bits & 1 << bit != 0) {
                any |= unmap(Slot { class, index: (first + bit) as usize });
            }
            at = first + 64;
        }
        depot.publish_count(&inner);
    }
    any
}

fn unmap(slot: Slot) -> bool {
    let meta = meta(slot);
    let flags = meta.flags();
    if flags & STATE == UNMAPPED {
        return false;
    }
    // First the state: who looks meanwhile shall not read what is gone.
    meta.set(UNMAPPED);
    // SAFETY: a free slot in a set whose lock is held.
    if !unsafe { os::unmap(slot.base(), slot.bytes()) } {
        meta.set(flags);
        return false;
    }
    meta.dirty.store(0, Relaxed);
    true
}

/// Verifies the retained slots of a class up to `budget` bytes.
pub fn sweep_class(class: usize, budget: &mut usize) -> usize {
    let depot = &DEPOTS[class];
    let mut damaged = 0;
    let mut at = 0;
    loop {
        let mut inner = depot.lock();
        let Some((first, bits)) = inner.free.scan(at) else { return damaged };
        at = first + 64;
        let mut stale = None;
        for bit in (0..64).filter(|bit| bits & 1 << bit != 0) {
            let slot = Slot { class, index: (first + bit) as usize };
            let dirty = meta(slot).dirty();
            if *budget < dirty {
                return damaged;
            }
            *budget -= dirty;
            // SAFETY: a free slot, held by the set whose lock is held.
            if !unsafe { poison::plain_holds(slot.base() as *const u8, dirty) } {
                inner.free.remove(first + bit);
                RETAINED.fetch_sub(dirty, Relaxed);
                stale = Some((slot, dirty));
                // The rest of the word is looked at again.
                at = first;
                break;
            }
        }
        depot.publish_count(&inner);
        drop(inner);
        if let Some((slot, dirty)) = stale {
            damaged += 1;
            retire_stale(slot, dirty);
        }
    }
}
