//! A cache's mapping: its size, and how it is laid out.

use core::ptr::null_mut;

use super::{Cache, Cold, Counted};
use crate::bin::Bin;
use crate::class::{INVERSE, SLOT_SIZE, SMALL_CLASSES};
use crate::lock::Lock;
use crate::os;
use crate::slot::metas;
use crate::sync::{AtomicBool, AtomicU32, OwnU32, OwnU64};
use crate::window::class_base;

/// Slots moved at a time: at most so many, and at most so many bytes, or one slot.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 4 << 10;
/// One class may use this part of the quarantine; an equal part where more classes
/// than so many are busy.
const QUARANTINE_SHARE: usize = 8;
/// Magazine length, in batches.
const MAGAZINE_BATCHES: usize = 4;

/// (batch, ring limit, ring length) of a class.
fn shape(class: usize, quarantine_bytes: usize) -> (usize, usize, usize) {
    let batch = (BATCH_BYTES / SLOT_SIZE[class]).clamp(1, BATCH);
    let limit = limit_among(QUARANTINE_SHARE, class, batch, quarantine_bytes);
    (batch, limit, limit.next_power_of_two())
}

/// Most entries of a class's ring if so many classes share the quarantine.
pub(super) fn limit_among(
    sharers: usize,
    class: usize,
    batch: usize,
    quarantine_bytes: usize,
) -> usize {
    let kept = match quarantine_bytes {
        0 => 0,
        bytes => (bytes / sharers.max(QUARANTINE_SHARE) / SLOT_SIZE[class]).max(1),
    };
    kept + 2 * batch
}

/// Bytes of a class's ring and of its magazine.
fn tails(class: usize, quarantine_bytes: usize) -> (usize, usize) {
    let (batch, _, length) = shape(class, quarantine_bytes);
    ((length * 8).next_multiple_of(64), (batch * MAGAZINE_BATCHES * 4).next_multiple_of(64))
}

pub(super) const HEAD: usize = size_of::<Cache>().next_multiple_of(64);

/// Bytes of a cache's mapping.
pub fn footprint(quarantine_bytes: usize) -> usize {
    (0..SMALL_CLASSES).fold(HEAD, |sum, class| {
        let (ring, magazine) = tails(class, quarantine_bytes);
        sum + ring + magazine
    })
}

/// Maps a cache with its magazines and rings behind it; magazines together,
/// since all of a class's first use touches of one is its start.
pub(super) fn build(quarantine_bytes: usize) -> *mut Cache {
    let Some(at) = os::map_anywhere(footprint(quarantine_bytes)) else { return null_mut() };
    let cache = at as *mut Cache;
    let mut next_magazine = at + HEAD;
    let mut next_ring =
        (0..SMALL_CLASSES).fold(next_magazine, |at, class| at + tails(class, quarantine_bytes).1);
    for class in 0..SMALL_CLASSES {
        let (batch, limit, length) = shape(class, quarantine_bytes);
        let (ring_bytes, magazine_bytes) = tails(class, quarantine_bytes);
        let ring = ring_at(next_ring, class, length);
        next_ring += ring_bytes;
        let magazine = next_magazine as *mut u32;
        next_magazine += magazine_bytes;
        let bin = Bin {
            n: OwnU32::new(0),
            slot: SLOT_SIZE[class] as u32,
            magazine,
            base: class_base(class),
            meta: metas(class),
            inverse: INVERSE[class],
            ring,
            tail: AtomicU32::new(0),
            mask: length as u32 - 1,
            stop: limit as u32,
            limit: OwnU32::new(0),
        };
        // SAFETY: the mapping holds a `Cache`.
        unsafe {
            (&raw mut (*cache).bins[class]).write(bin);
            (&raw mut (*cache).cold[class]).write(Cold::new(limit, batch));
        }
    }
    // SAFETY: as above; the rest of it is valid as zeros.
    unsafe {
        (&raw mut (*cache).publish).write(Lock::new(()));
        (&raw mut (*cache).in_use).write(AtomicBool::new(false));
        (&raw mut (*cache).large_steps).write(OwnU64::new(0));
        (*cache).quarantine_bytes = quarantine_bytes;
    }
    cache
}

/// A ring in zeroed memory.
#[cfg(not(loom))]
fn ring_at(memory: usize, _class: usize, _length: usize) -> *const crate::sync::AtomicU64 {
    memory as *const _
}

#[cfg(loom)]
use crate::models::stand_in::ring_at;

impl Cold {
    pub(super) fn new(ring_limit: usize, batch: usize) -> Cold {
        Cold {
            head: AtomicU32::new(0),
            ring_limit: ring_limit as u32,
            sharers: 0,
            batch: batch as u32,
            magazine_cap: (batch * MAGAZINE_BATCHES) as u32,
            fresh: 0,
            fresh_end: 0,
            fresh_used: 0,
            fresh_step: 0,
            filled: OwnU64::new(0),
            verified: OwnU64::new(0),
            sampled: 0,
            counted: Counted::default(),
        }
    }
}
