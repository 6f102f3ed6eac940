//! Provoked races: how long a handler's start, or a delete's return, is held up.
//!
//! A rare race is rare because its window is short. Held up between the detach
//! and the call, a handler offers a window of as long as one likes; held up on
//! its way back, a delete meets what comes a little later than usual.
//!
//! # What repeats
//!
//! There are four streams of delays, one per API and [`Moment`]. The n-th delay
//! of a stream is a pure function of seed, limit, stream and n ([`delay_ns`]).
//! Which call gets the n-th delay is the scheduler's choice, as ever.
//!
//! Contexts: normal threads and timer handlers. Who sleeps is the host; nothing
//! here waits, locks or allocates.

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::Api;

/// The longest delay that can be asked for: half of what a waiting delete waits
/// by default.
pub const LIMIT_MAX_US: u32 = 1_000_000;

/// Delays stretch the bound of a waiting delete up to so many times: the handler
/// may wait for a lock whose holder deletes timers, each delete held up.
const STRETCH_MAX: u64 = 10;

/// Where a delay is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The timer is detached and counts as running; its handler is not called yet.
    Entry = 0,
    /// A delete has taken effect and is about to return.
    Return = 1,
}

/// The number of a stream.
const fn stream(api: Api, moment: Moment) -> usize {
    2 * matches!(api, Api::TimerList) as usize + moment as usize
}

const STREAMS: usize = 4;

/// The delay number `number` (from 0) of a stream: 0 to `limit_us`
/// microseconds, evenly, in ns.
pub const fn delay_ns(seed: u64, limit_us: u32, api: Api, moment: Moment, number: u64) -> u64 {
    let key = mix(seed ^ mix(stream(api, moment) as u64 + 1));
    let random = mix(key.wrapping_add(number.wrapping_mul(GOLDEN))) as u128;
    // The high word of a product: 0 to the limit, without a division.
    ((random * (limit_us as u128 * 1_000 + 1)) >> 64) as u64
}

/// 2^64 by the golden ratio: successive multiples lie far apart.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of `SplitMix64` (G. Steele, D. Lea, C. Flood, 2014).
const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(GOLDEN);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Draws the delays of a process.
#[derive(Debug)]
pub struct Provoker {
    /// 0: off.
    limit_us: AtomicU32,
    seed: AtomicU64,
    drawn: [AtomicU64; STREAMS],
    spent_ns: AtomicU64,
}

impl Provoker {
    /// One that is off.
    pub const fn new() -> Provoker {
        Provoker {
            limit_us: AtomicU32::new(0),
            seed: AtomicU64::new(0),
            drawn: [const { AtomicU64::new(0) }; STREAMS],
            spent_ns: AtomicU64::new(0),
        }
    }

    /// Delays of up to `limit_us` microseconds from now on; 0 for none.
    pub fn configure(&self, limit_us: u32, seed: u64) {
        self.seed.store(seed, Relaxed);
        self.limit_us.store(limit_us.min(LIMIT_MAX_US), Release);
    }

    /// Are there delays at all? One load.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.limit_us.load(Relaxed) != 0
    }

    /// No delay from now on.
    pub fn stop(&self) {
        self.limit_us.store(0, Release);
    }

    /// The next delay, ns; `None` if it is off. The caller makes it.
    pub fn draw(&self, api: Api, moment: Moment) -> Option<u64> {
        let limit_us = self.limit_us.load(Acquire);
        if limit_us == 0 {
            return None;
        }
        let number = self.drawn[stream(api, moment)].fetch_add(1, Relaxed);
        let ns = delay_ns(self.seed.load(Relaxed), limit_us, api, moment, number);
        self.spent_ns.fetch_add(ns, Relaxed);
        Some(ns)
    }

    /// All delays so far together, ns.
    pub fn spent_ns(&self) -> u64 {
        self.spent_ns.load(Relaxed)
    }

    /// How much longer than `bound_ns` a wait may take that began when
    /// [`spent_ns`](Self::spent_ns) was `spent_ns`: a delay that was on then, and
    /// all since, but a multiple of the bound at most.
    pub fn stretch_ns(&self, spent_ns: u64, bound_ns: u64) -> u64 {
        let limit_ns = u64::from(self.limit_us.load(Relaxed)) * 1_000;
        let since = self.spent_ns().saturating_sub(spent_ns);
        limit_ns + since.min(bound_ns.saturating_mul(STRETCH_MAX - 1))
    }

    /// A fork child draws from the start.
    pub fn reset_after_fork(&self) {
        for cell in self.drawn.iter().chain([&self.spent_ns]) {
            cell.store(0, Relaxed);
        }
    }
}

impl Default for Provoker {
    fn default() -> Self {
        Provoker::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const STREAMS: [(Api, Moment); 4] = [
        (Api::Posix, Moment::Entry),
        (Api::Posix, Moment::Return),
        (Api::TimerList, Moment::Entry),
        (Api::TimerList, Moment::Return),
    ];

    fn drawn(seed: u64, limit_us: u32) -> Vec<Vec<u64>> {
        let provoker = Provoker::new();
        provoker.configure(limit_us, seed);
        let draw = |(api, moment)| (0..1000).map(|_| provoker.draw(api, moment).unwrap()).collect();
        STREAMS.into_iter().map(draw).collect()
    }

    #[test]
    fn a_seed_repeats_its_delays_and_another_one_does_not() {
        assert_eq!(drawn(42, 2000), drawn(42, 2000));
        assert_ne!(drawn(42, 2000), drawn(43, 2000));
        let streams = drawn(42, 2000);
        assert!((1..4).all(|other| streams[0] != streams[other]), "streams of their own");
        // Written down: a seed that found a race is worth something next year.
        assert_eq!(delay_ns(42, 2000, Api::Posix, Moment::Entry, 0), PINNED[0]);
        assert_eq!(delay_ns(42, 2000, Api::TimerList, Moment::Return, 7), PINNED[1]);
    }

    const PINNED: [u64; 2] = [309_128, 110_374];

    #[test]
    fn delays_are_even_up_to_the_limit() {
        for stream in drawn(7, 2000) {
            assert!(stream.iter().all(|&ns| ns <= 2_000_000));
            let mean = stream.iter().sum::<u64>() / 1000;
            assert!((900_000..1_100_000).contains(&mean), "{mean}");
            let quarters = stream.iter().filter(|&&ns| ns < 500_000).count();
            assert!((200..300).contains(&quarters), "{quarters}");
        }
        assert!(drawn(7, 1).concat().iter().all(|&ns| ns <= 1000));
    }

    #[test]
    fn off_draws_nothing() {
        let provoker = Provoker::new();
        assert!(!provoker.is_on());
        assert_eq!(provoker.draw(Api::Posix, Moment::Entry), None);
        provoker.configure(5, 0);
        assert!(provoker.is_on() && provoker.draw(Api::Posix, Moment::Entry).is_some());
        provoker.stop();
        assert!(!provoker.is_on());
        assert_eq!(provoker.draw(Api::Posix, Moment::Entry), None);
    }

    #[test]
    fn waits_are_stretched_by_the_delays_since_they_began() {
        let provoker = Provoker::new();
        assert_eq!(provoker.stretch_ns(0, 1_000_000), 0, "off: not at all");
        provoker.configure(100, 1);
        for _ in 0..50 {
            provoker.draw(Api::Posix, Moment::Return);
        }
        let before = provoker.spent_ns();
        assert_eq!(provoker.stretch_ns(before, 1_000_000), 100_000, "one that was on");
        let mut since = 0;
        for _ in 0..10 {
            since += provoker.draw(Api::TimerList, Moment::Return).unwrap();
        }
        assert_eq!(provoker.stretch_ns(before, 1_000_000), 100_000 + since);
        assert_eq!(provoker.stretch_ns(before, 10), 100_000 + 90, "not for ever");
    }

    #[test]
    fn a_fork_child_draws_from_the_start() {
        let provoker = Provoker::new();
        provoker.configure(100, 1);
        let first = provoker.draw(Api::Posix, Moment::Entry);
        assert_ne!(provoker.draw(Api::Posix, Moment::Entry), first);
        provoker.reset_after_fork();
        assert_eq!(provoker.draw(Api::Posix, Moment::Entry), first);
    }
}
