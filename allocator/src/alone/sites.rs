//! Whose blocks lie alone: by the place in the program's code that allocates them and
//! their size, since many a program allocates everything in one place.
//!
//! Ground rules. Any thread may choose and ask at any time. As long as nothing is
//! chosen, `malloc` pays a comparison with memory instead of one with a constant
//! ([`is_small`]); from then on every call looks here first.

use core::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::class::SMALL_LIMIT;

/// Kinds of blocks that can be chosen; those behind them are not.
const KINDS: usize = 1024;
/// Places looked at for one.
const LOOK: usize = 16;
/// A kind of whose blocks less than one in `RARE` is watched, after so many of them,
/// is chosen no longer: it costs a page each.
const RARE: u32 = 8;
const ENOUGH: u32 = 64;

struct Kind {
    /// Site and size; 0 for none.
    key: AtomicU64,
    /// Blocks that lay alone, and watches of such blocks.
    blocks: AtomicU32,
    watched: AtomicU32,
}

static KIND: [Kind; KINDS] = [const {
    Kind { key: AtomicU64::new(0), blocks: AtomicU32::new(0), watched: AtomicU32::new(0) }
}; KINDS];

/// Sizes below this are served from the thread's cache without a look: all small ones,
/// until something is chosen.
static BELOW: AtomicUsize = AtomicUsize::new(SMALL_LIMIT);

/// Whether a block of `size` bytes is a small one.
#[inline(always)]
pub fn is_small(size: usize) -> bool {
    size < SMALL_LIMIT
}

/// Blocks of less than so many bytes lie with others, whoever allocates them.
#[inline(always)]
pub fn below() -> usize {
    let below = BELOW.load(Relaxed);
    // SAFETY: nothing larger is ever stored.
    unsafe { core::hint::assert_unchecked(below <= SMALL_LIMIT) };
    below
}

fn key(size: usize, site: usize) -> u64 {
    1 << 63 | (size as u64) << 40 | site as u64 & ((1 << 40) - 1)
}

/// Where a kind is looked for.
fn places(key: u64) -> impl Iterator<Item = &'static Kind> {
    let first = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (0..LOOK).map(move |at| &KIND[(first as usize + at) % KINDS])
}

/// Blocks of `size` bytes from `site` are to lie alone from now on.
pub fn choose(size: usize, site: usize) {
    let key = key(size, site);
    for kind in places(key) {
        let found = match kind.key.load(Acquire) {
            0 => kind.key.compare_exchange(0, key, Release, Acquire).unwrap_or_else(|now| now),
            now => now,
        };
        if found == 0 || found == key {
            kind.watched.fetch_add(1, Relaxed);
            BELOW.store(0, Relaxed);
            return;
        }
    }
}

/// Whether the next block of `size` bytes from `site` is to lie alone; then it counts
/// as one that does.
pub fn is_chosen(size: usize, site: usize) -> bool {
    let key = key(size, site);
    let places = places(key).map(|kind| (kind, kind.key.load(Acquire)));
    let mut filled = places.take_while(|&(_, found)| found != 0);
    let Some((kind, _)) = filled.find(|&(_, found)| found == key) else { return false };
    let blocks = kind.blocks.load(Relaxed);
    if blocks >= ENOUGH && kind.watched.load(Relaxed) < blocks / RARE {
        return false;
    }
    kind.blocks.store(blocks.saturating_add(1), Relaxed);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_a_site_with_a_size() {
        assert!(!is_chosen(40, 0x1_1000));
        choose(40, 0x1_1000);
        assert!(is_chosen(40, 0x1_1000));
        assert!(!is_chosen(41, 0x1_1000) && !is_chosen(40, 0x1_1001));
    }

    #[test]
    fn a_kind_that_is_rarely_watched_is_given_up() {
        choose(48, 0x2_2000);
        let alone = (0..10 * ENOUGH).filter(|_| is_chosen(48, 0x2_2000)).count();
        assert_eq!(alone as u32, ENOUGH);
    }

    #[test]
    fn a_kind_that_is_often_watched_stays() {
        for _ in 0..10 * ENOUGH {
            choose(56, 0x3_3000);
            assert!((0..RARE).all(|_| is_chosen(56, 0x3_3000)));
        }
    }
}
