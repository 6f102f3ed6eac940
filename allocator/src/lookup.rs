//! What the heap knows about an address, for detectors.

use crate::alone;
use crate::cache::{self, Cache};
use crate::depot::DEPOTS;
use crate::observer::{Block, BlockState};
use crate::place::{Place, Slot, locate};
use crate::slot::{FREE, QUARANTINED, WATCHED};
use crate::{huge, large, os, poison};

/// The block whose slot contains `addr`, live or freed; none where nothing was
/// ever handed out.
///
/// Cost: a few loads; for a freed block also a search of the quarantines for who
/// freed it. Runs in any context but a signal handler (huge blocks take a lock).
pub fn lookup(addr: usize) -> Option<Block> {
    match locate(addr) {
        Place::In(slot, _) => slot.block(),
        Place::Huge => huge::lookup(addr),
        Place::Foreign | Place::Nowhere => None,
    }
}

/// Marks the live block that contains `addr`: the observer is told before it is
/// freed or moved. None if no live block is there. The caller keeps the block
/// from being freed meanwhile.
pub fn watch(addr: usize) -> Option<Block> {
    let slot = match locate(addr) {
        Place::In(slot, _) => slot,
        Place::Huge => return huge::watch(addr),
        Place::Foreign | Place::Nowhere => return None,
    };
    let block = slot.block().filter(|block| block.state == BlockState::Live)?;
    if slot.is_small() {
        slot.meta().add_flag(WATCHED);
    } else {
        large::meta(slot).add_flag(WATCHED);
    }
    if !block.watched {
        alone::watched(&block);
    }
    Some(Block { watched: true, ..block })
}

/// Whether nothing wrote to the freed block at `base` since it was freed. None
/// unless a freed, still poisoned block starts there. Tells nobody.
///
/// A free that another thread is in the middle of looks like damage; so a
/// damaged block is looked at twice, with a yield between.
pub fn freed_intact(base: usize) -> Option<bool> {
    let Place::In(slot, true) = locate(base) else { return None };
    let first = holds(slot)?;
    if first {
        return Some(true);
    }
    os::yield_now();
    holds(slot)
}

fn holds(slot: Slot) -> Option<bool> {
    if !crate::config::poisons() {
        return None;
    }
    if slot.is_small() {
        // Held, since what is in the depot may be unmapped.
        let _mapped = DEPOTS[slot.class].lock();
        let state = slot.meta().load().state();
        let poisoned = matches!(state, QUARANTINED | FREE);
        // SAFETY: a slot in this state, seen under the lock, is mapped while it is
        // held.
        return poisoned.then(|| unsafe { poison::holds(slot.base() as *const u8, slot.bytes()) });
    }
    let meta = large::meta(slot);
    let inner = DEPOTS[slot.class].lock();
    // What is shut nobody writes to.
    let open = meta.open_bytes(slot.bytes() / os::PAGE);
    // SAFETY: a retained slot's open part is mapped and poisoned; it stays so while
    // it is in the set, whose lock is held.
    (meta.state() == FREE && inner.free.contains(slot.index as u32))
        .then(|| unsafe { poison::plain_holds(slot.base() as *const u8, meta.size().min(open)) })
}

/// A view on whether a thread is using the heap: where a detector asks whether
/// some thread went on working.
#[derive(Clone, Copy, Debug)]
pub struct ActivityProbe(*const Cache);

// SAFETY: caches are never unmapped, and what is read of them is atomic.
unsafe impl Send for ActivityProbe {}
// SAFETY: as above.
unsafe impl Sync for ActivityProbe {}

/// A probe of the calling thread.
pub fn thread_activity() -> ActivityProbe {
    ActivityProbe(cache::current())
}

impl ActivityProbe {
    /// The probe as a number, for a table of another crate.
    pub fn as_raw(self) -> usize {
        self.0 as usize
    }

    /// The probe of a number.
    ///
    /// # Safety
    ///
    /// * `raw` is 0 or came from [`as_raw`](Self::as_raw) in this process (or
    ///   its parent before a fork).
    pub unsafe fn from_raw(raw: usize) -> ActivityProbe {
        ActivityProbe(raw as *const Cache)
    }

    /// A number that changes whenever the thread allocates or frees; always 0 for
    /// a thread without a cache. May be read from any thread, even after the
    /// probed one ended (another may use its cache by then).
    pub fn read(&self) -> u64 {
        // SAFETY: null, or a cache, which is never unmapped.
        unsafe { self.0.as_ref() }.map_or(0, Cache::activity)
    }
}
