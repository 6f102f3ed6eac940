//! Who sleeps for which of our locks: a fixed table, searched by thread id.
//!
//! # Ground rules
//!
//! A slot belongs to the thread whose id stands in `tid`: that thread took it
//! (0 to its id), writes `stack` and then `lock`, and gives it back, `lock`
//! first. Others only read; what they read holds if `tid` and `lock` are the
//! same afterwards. A reader takes nothing for granted about the lock's memory:
//! it may be gone by then.
//!
//! A signal handler that leaves by a jump loses a slot for good and leaves it
//! saying what is not so any more: `holder` asks the kernel as well. A full
//! table makes a wait invisible, nothing else.
//!
//! Contexts: any; no lock, no allocation.

use core::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
    fence,
};

use crate::{stack, tls};

/// Threads that can sleep at once and be seen.
const SLOTS: usize = 256;
/// In the address of a lock: it is one of `rwlock`. Locks are aligned to 4.
pub const SHARED: usize = 1;
/// Frames kept of a handler that sleeps.
pub const FRAMES: usize = 24;

struct Slot {
    /// Whose slot this is, 0 if nobody's.
    tid: AtomicU32,
    /// Frames in `stack`.
    depth: AtomicU32,
    /// The lock's address; 0 while the slot is filled or emptied.
    lock: AtomicUsize,
    /// Of a thread that is in a timer handler.
    stack: [AtomicUsize; FRAMES],
}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        tid: AtomicU32::new(0),
        depth: AtomicU32::new(0),
        lock: AtomicUsize::new(0),
        stack: [const { AtomicUsize::new(0) }; FRAMES],
    }
}; SLOTS];

/// Every slot, from the one where this thread looks first.
fn slots(tid: u32) -> impl Iterator<Item = &'static Slot> {
    let (before, from) = TABLE.split_at(tid as usize % SLOTS);
    from.iter().chain(before)
}

/// The calling thread's registration; ends when it is dropped.
pub struct Waiter(Option<&'static Slot>);

impl Waiter {
    /// Says that the calling thread is about to sleep for the lock at `lock`, which
    /// may have [`SHARED`] set.
    pub fn register(lock: usize) -> Waiter {
        let tid = tls::tid();
        let slot = slots(tid).find(|slot| {
            slot.tid.load(Relaxed) == 0
                && slot.tid.compare_exchange(0, tid, AcqRel, Relaxed).is_ok()
        });
        if let Some(slot) = slot {
            let mut frames = [0; FRAMES];
            let depth = if tls::run().is_some() { stack::capture(&mut frames) } else { 0 };
            for (cell, frame) in slot.stack.iter().zip(&frames[..depth]) {
                cell.store(*frame, Relaxed);
            }
            slot.depth.store(depth as u32, Relaxed);
            slot.lock.store(lock, Release);
        }
        Waiter(slot)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            slot.lock.store(0, Relaxed);
            slot.tid.store(0, Release);
        }
    }
}

/// The slot of a thread that sleeps, with the lock's address.
fn find(tid: u32) -> Option<(&'static Slot, usize)> {
    slots(tid).filter(|slot| slot.tid.load(Acquire) == tid).find_map(|slot| {
        match slot.lock.load(Acquire) {
            0 => None,
            lock => Some((slot, lock)),
        }
    })
}

/// The address of the lock that `tid` sleeps for.
pub fn lock_of(tid: u32) -> Option<usize> {
    find(tid).map(|(_, lock)| lock)
}

/// Copies where a handler's thread called for the lock; returns how many frames.
pub fn stack_of(tid: u32, out: &mut [usize]) -> usize {
    let Some((slot, lock)) = find(tid) else { return 0 };
    let depth = (slot.depth.load(Relaxed) as usize).min(FRAMES).min(out.len());
    for (frame, cell) in out.iter_mut().zip(&slot.stack[..depth]) {
        *frame = cell.load(Relaxed);
    }
    fence(Acquire);
    let unchanged = slot.tid.load(Relaxed) == tid && slot.lock.load(Relaxed) == lock;
    if unchanged { depth } else { 0 }
}

/// Forgets the parent's threads.
pub fn reset_after_fork() {
    for slot in &TABLE {
        slot.lock.store(0, Relaxed);
        slot.tid.store(0, Relaxed);
    }
}
