//! The work that an engine in Rust is made to do: as `programs/speed/timers/work.h`.

use std::time::{Duration, Instant};

/// A timer engine with timers `0..count`; times are milliseconds from its start.
pub trait Timers {
    /// An engine for so many timers.
    fn new(count: usize) -> Self;
    /// Arms timer `id`.
    fn add(&mut self, id: u32, ms: u64);
    /// Moves an armed timer.
    fn modify(&mut self, id: u32, ms: u64);
    /// Disarms an armed timer.
    fn delete(&mut self, id: u32);
    /// Takes off everything that is due at `ms`, one by one; how many there were.
    fn expire(&mut self, ms: u64) -> usize;
}

/// No timer expires before the rounds are over ...
const FIRST_MS: u64 = 1_000_000;
/// ... nor later than that.
const SPAN_MS: u64 = 1 << 20;
/// Calls per operation, at least, and rounds.
const CALLS: usize = 3_000_000;
const ROUNDS: std::ops::RangeInclusive<usize> = 3..=300;
const EXPIRIES: usize = 3;
/// How far ahead all are due in one tick.
const SOON_MS: u64 = 100;

/// Does the work and prints what it cost.
pub fn work<T: Timers>(count: usize, order: &str) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut number = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 32
    };
    let mut ids: Vec<u32> = (0..count as u32).collect();
    if order == "random" {
        for index in (1..count).rev() {
            ids.swap(index, number() as usize % (index + 1));
        }
    }
    let before = resident();
    let mut timers = T::new(count);
    let mut least = [f64::INFINITY; 3];
    let mut bytes = None;
    for _ in 0..(CALLS / count).clamp(*ROUNDS.start(), *ROUNDS.end()) {
        let mut later = || FIRST_MS + number() % SPAN_MS;
        let add = ns_each(&ids, |id| timers.add(id, later()));
        let modify = ns_each(&ids, |id| timers.modify(id, later()));
        bytes.get_or_insert_with(|| (resident() - before) as f64 / count as f64);
        let delete = ns_each(&ids, |id| timers.delete(id));
        for (least, ns) in least.iter_mut().zip([add, modify, delete]) {
            *least = least.min(ns);
        }
    }
    let [add, modify, delete] = least;
    println!("add {add:.1}\nmod {modify:.1}\ndelete {delete:.1}");
    println!("bytes {:.0}", bytes.unwrap_or_default());
    println!("expire {:.1}", expire_all::<T>(&ids));
}

/// All in one tick, once the last was queued.
fn expire_all<T: Timers>(ids: &[u32]) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..EXPIRIES {
        let mut timers = T::new(ids.len());
        ids.iter().for_each(|&id| timers.add(id, SOON_MS));
        // For those with a clock of their own.
        std::thread::sleep(Duration::from_millis(SOON_MS + 2));
        let start = Instant::now();
        assert_eq!(timers.expire(SOON_MS + 1), ids.len(), "every timer expires once");
        least = least.min(start.elapsed().as_nanos() as f64 / ids.len() as f64);
    }
    least
}

fn ns_each(ids: &[u32], mut operation: impl FnMut(u32)) -> f64 {
    let start = Instant::now();
    ids.iter().for_each(|&id| operation(id));
    start.elapsed().as_nanos() as f64 / ids.len() as f64
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * 4096
}
