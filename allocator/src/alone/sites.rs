//! Whose blocks lie alone: by the place in the program's code that allocates them and
//! their size, since many a program allocates everything in one place.
//!
//! A kind is known from its first watched block on; where watches are expected, from its
//! first block on. One that is known and was never watched gives its place to one that
//! is.
//!
//! Ground rules. Any thread may choose and ask at any time. As long as nothing is
//! chosen, `malloc` pays a comparison with memory instead of one with a constant
//! ([`is_small`]); from then on every call looks here first.

use core::ops::Range;
use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::class::SMALL_LIMIT;
use crate::config;

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

/// Whether the first block of each kind is to lie alone.
static EXPECTS: AtomicBool = AtomicBool::new(false);

/// Sites of nobody's data, from and to: see [`expect_watches`].
static ASIDE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// The process uses timers: somebody will watch blocks, of sites outside `aside` (the C
/// library keeps its own state in blocks, which it reads as long as a handle is used,
/// legally or not). To be called once, after [`crate::configure`].
pub fn expect_watches(aside: Range<usize>) {
    if config::isolates() {
        ASIDE[0].store(aside.start, Relaxed);
        ASIDE[1].store(aside.end, Relaxed);
        EXPECTS.store(true, Relaxed);
        BELOW.store(0, Relaxed);
    }
}

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

/// The place of a kind, if it is known.
fn known(key: u64) -> Option<&'static Kind> {
    let places = places(key).map(|kind| (kind, kind.key.load(Acquire)));
    let mut filled = places.take_while(|&(_, found)| found != 0);
    filled.find(|&(_, found)| found == key).map(|(kind, _)| kind)
}

/// Finds a place for a kind that is not known: an empty one, or one of a kind of which
/// no block is watched, if `takes_over`.
fn settle(key: u64, takes_over: bool) -> Option<&'static Kind> {
    places(key).find(|kind| {
        let old = kind.key.load(Acquire);
        let may = old == 0 || takes_over && kind.watched.load(Relaxed) == 0;
        let is_ours = may && kind.key.compare_exchange(old, key, AcqRel, Relaxed).is_ok();
        if is_ours {
            kind.blocks.store(0, Relaxed);
        }
        is_ours
    })
}

/// Blocks of `size` bytes from `site` are to lie alone from now on.
pub fn choose(size: usize, site: usize) {
    let key = key(size, site);
    if let Some(kind) = known(key).or_else(|| settle(key, true)) {
        kind.watched.fetch_add(1, Relaxed);
        BELOW.store(0, Relaxed);
    }
}

/// Every block is asked for from now on.
pub fn look_at_all() {
    BELOW.store(0, Relaxed);
}

/// Functions whose blocks all lie alone, from and to.
static CODE: [[AtomicUsize; 2]; MOST_CODE] =
    [const { [const { AtomicUsize::new(0) }; 2] }; MOST_CODE];
/// So many of them are there.
static CODE_COUNT: AtomicUsize = AtomicUsize::new(0);
/// More are refused: each allocation looks at all.
const MOST_CODE: usize = 256;

/// The blocks that this code allocates are to be held when freed, and the small ones lie
/// alone; false if there is no
/// place for more. One thread at a time.
pub fn choose_code(code: Range<usize>) -> bool {
    let count = CODE_COUNT.load(Relaxed);
    let Some(place) = CODE.get(count).filter(|_| config::isolates()) else { return false };
    place[0].store(code.start, Relaxed);
    place[1].store(code.end, Relaxed);
    CODE_COUNT.store(count + 1, Release);
    look_at_all();
    true
}

/// Whether `site` is in such code. A call's return address may be the function's end.
pub fn is_in_code(site: usize) -> bool {
    let chosen = CODE.iter().take(CODE_COUNT.load(Acquire));
    let mut ends = chosen.map(|code| code.each_ref().map(|end| end.load(Relaxed)));
    ends.any(|[start, end]| site > start && site <= end)
}

/// Whether the blocks of `site` are nobody's data.
fn is_aside(site: usize) -> bool {
    let [from, to] = ASIDE.each_ref().map(|end| end.load(Relaxed));
    (from..to).contains(&site)
}

/// Whether the first block of `site` is to lie alone.
fn expects(site: usize) -> bool {
    EXPECTS.load(Relaxed) && !is_aside(site)
}

/// Whether the next block of `size` bytes from `site` is to lie alone; then it counts
/// as one that does.
pub fn is_chosen(size: usize, site: usize) -> bool {
    if config::isolates_all() && !is_aside(site) || is_in_code(site) {
        return true;
    }
    let key = key(size, site);
    let first = || if expects(site) { settle(key, false) } else { None };
    let Some(kind) = known(key).or_else(first) else { return false };
    let (blocks, watched) = (kind.blocks.load(Relaxed), kind.watched.load(Relaxed));
    let is_rare = watched == 0 && blocks > 0 || blocks >= ENOUGH && watched < blocks / RARE;
    if !is_rare {
        kind.blocks.store(blocks.saturating_add(1), Relaxed);
    }
    !is_rare
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// What is expected is the process's: one test at a time.
    fn begin() -> MutexGuard<'static, ()> {
        static SERIAL: Mutex<()> = Mutex::new(());
        SERIAL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn a_kind_is_a_site_with_a_size() {
        let _serial = begin();
        assert!(!is_chosen(40, 0x1_1000));
        choose(40, 0x1_1000);
        assert!(is_chosen(40, 0x1_1000));
        assert!(!is_chosen(41, 0x1_1000) && !is_chosen(40, 0x1_1001));
    }

    #[test]
    fn a_kind_that_is_rarely_watched_is_given_up() {
        let _serial = begin();
        choose(48, 0x2_2000);
        let alone = (0..10 * ENOUGH).filter(|_| is_chosen(48, 0x2_2000)).count();
        assert_eq!(alone as u32, ENOUGH);
    }

    /// Whether the first block of `site` lies alone where those of `aside` do not.
    fn first_of(aside: Range<usize>, site: usize) -> bool {
        ASIDE[0].store(aside.start, Relaxed);
        ASIDE[1].store(aside.end, Relaxed);
        EXPECTS.store(true, Relaxed);
        let is_chosen = is_chosen(72, site);
        EXPECTS.store(false, Relaxed);
        is_chosen
    }

    #[test]
    fn where_watches_are_expected_the_first_block_lies_alone() {
        let _serial = begin();
        EXPECTS.store(true, Relaxed);
        let alone = [0; 3].map(|_| is_chosen(64, 0x4_4000));
        EXPECTS.store(false, Relaxed);
        assert_eq!(alone, [true, false, false]);
        assert!(!is_chosen(64, 0x5_5000));
        assert!(!first_of(0x7_7000..0x7_8000, 0x7_7000) && first_of(0x7_8000..0x7_9000, 0x7_7fff));
        choose(64, 0x4_4000);
        assert!(is_chosen(64, 0x4_4000));
    }

    #[test]
    fn a_kind_that_is_often_watched_stays() {
        let _serial = begin();
        for _ in 0..10 * ENOUGH {
            choose(56, 0x3_3000);
            assert!((0..RARE).all(|_| is_chosen(56, 0x3_3000)));
        }
    }
}
