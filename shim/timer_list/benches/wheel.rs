//! What a timer costs: nanoseconds per add, mod, delete and expiry, this crate's
//! wheel beside `nexus-timer` and an ordered map, in one run.
//!
//! `cargo bench -p deadwalk-timer --bench wheel`. Best of interleaved rounds; the
//! entries are touched in random order, ticks are random in a span of 2^20.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use deadwalk_timer::wheel::{Link, Links, Wheel};
use nexus_timer::TimerHandle;

/// Ticks lie within so many of now.
const SPAN: u64 = 1 << 20;
/// Expiry: the clock comes in such steps.
const STEP: u64 = 1 << 10;
const ROUNDS: usize = 5;
const COLUMNS: [&str; 4] = ["add", "mod", "delete", "expire"];

/// A timer engine with entries `0..n`; time starts at 0.
trait Engine {
    fn add(&mut self, id: u32, tick: u64);
    fn modify(&mut self, id: u32, tick: u64);
    fn delete(&mut self, id: u32);
    /// Takes off everything up to `now`; returns how many.
    fn expire(&mut self, now: u64) -> usize;
}

/// A timer's record as an engine has it: the link among other fields.
#[repr(align(64))]
struct Record<const BYTES: usize> {
    link: Link,
    _fields: [u8; BYTES],
}

struct Records<const BYTES: usize>(Vec<Record<BYTES>>);

impl<const BYTES: usize> Links for Records<BYTES> {
    fn link(&mut self, id: u32) -> &mut Link {
        &mut self.0[id as usize].link
    }
}

struct Ours<L> {
    wheel: Wheel,
    links: L,
}

impl<L: Links> Engine for Ours<L> {
    fn add(&mut self, id: u32, tick: u64) {
        black_box(self.wheel.add(&mut self.links, id, tick));
    }

    fn modify(&mut self, id: u32, tick: u64) {
        self.add(id, tick);
    }

    fn delete(&mut self, id: u32) {
        black_box(self.wheel.remove(&mut self.links, id));
    }

    fn expire(&mut self, now: u64) -> usize {
        let mut count = 0;
        while self.wheel.advance(&mut self.links, now) {
            while let Some(id) = self.wheel.pop_expired(&mut self.links) {
                black_box(id);
                count += 1;
            }
        }
        count
    }
}

/// One lock per call, nobody else there.
struct Locked<E>(Mutex<E>);

impl<E: Engine> Engine for Locked<E> {
    fn add(&mut self, id: u32, tick: u64) {
        self.0.lock().unwrap().add(id, tick);
    }

    fn modify(&mut self, id: u32, tick: u64) {
        self.0.lock().unwrap().modify(id, tick);
    }

    fn delete(&mut self, id: u32) {
        self.0.lock().unwrap().delete(id);
    }

    fn expire(&mut self, now: u64) -> usize {
        self.0.lock().unwrap().expire(now)
    }
}

struct Nexus {
    wheel: nexus_timer::Wheel<u32>,
    handles: Vec<Option<TimerHandle<u32>>>,
    start: Instant,
    expired: Vec<u32>,
}

impl Nexus {
    fn new(count: usize) -> Self {
        let start = Instant::now();
        let wheel = nexus_timer::Wheel::unbounded(count, start);
        Self { wheel, handles: (0..count).map(|_| None).collect(), start, expired: Vec::new() }
    }

    fn at(&self, tick: u64) -> Instant {
        self.start + Duration::from_millis(tick)
    }
}

impl Engine for Nexus {
    fn add(&mut self, id: u32, tick: u64) {
        let handle = self.wheel.schedule(self.at(tick), id);
        self.handles[id as usize] = Some(handle);
    }

    fn modify(&mut self, id: u32, tick: u64) {
        let at = self.at(tick);
        let handle = &mut self.handles[id as usize];
        *handle = handle.take().map(|handle| self.wheel.reschedule(handle, at));
    }

    fn delete(&mut self, id: u32) {
        if let Some(handle) = self.handles[id as usize].take() {
            black_box(self.wheel.cancel(handle));
        }
    }

    fn expire(&mut self, now: u64) -> usize {
        // Its 1.4 walks whole coarse slots at each poll, a thousand times in this
        // work. Asked once, at the end, it need not even sort by tick.
        if now < SPAN {
            return 0;
        }
        let count = self.wheel.poll(self.at(now), &mut self.expired);
        for id in self.expired.drain(..) {
            // The caller's part: a handle must be given back.
            if let Some(handle) = self.handles[id as usize].take() {
                self.wheel.free(handle);
            }
        }
        count
    }
}

#[derive(Default)]
struct Map {
    queue: BTreeMap<(u64, u64), u32>,
    keys: Vec<(u64, u64)>,
    sequence: u64,
}

impl Engine for Map {
    fn add(&mut self, id: u32, tick: u64) {
        self.sequence += 1;
        self.keys[id as usize] = (tick, self.sequence);
        self.queue.insert((tick, self.sequence), id);
    }

    fn modify(&mut self, id: u32, tick: u64) {
        self.delete(id);
        self.add(id, tick);
    }

    fn delete(&mut self, id: u32) {
        black_box(self.queue.remove(&self.keys[id as usize]));
    }

    fn expire(&mut self, now: u64) -> usize {
        let mut count = 0;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now {
                break;
            }
            black_box(entry.remove());
            count += 1;
        }
        count
    }
}

/// What the engines are made to do, the same for all.
struct Work {
    ticks: Vec<u64>,
    later: Vec<u64>,
    order: Vec<u32>,
}

impl Work {
    fn new(count: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 16
        };
        let ticks = (0..count).map(|_| 1 + random() % SPAN).collect();
        let later = (0..count).map(|_| 1 + random() % SPAN).collect();
        let mut order: Vec<u32> = (0..count as u32).collect();
        for index in (1..count).rev() {
            order.swap(index, random() as usize % (index + 1));
        }
        Self { ticks, later, order }
    }

    /// Nanoseconds per operation, in the order of [`COLUMNS`].
    fn run<E: Engine>(&self, mut engine: E) -> [f64; 4] {
        let count = self.order.len();
        let per_timer = |start: Instant| start.elapsed().as_nanos() as f64 / count as f64;

        let start = Instant::now();
        self.order.iter().zip(&self.ticks).for_each(|(&id, &tick)| engine.add(id, tick));
        let add = per_timer(start);
        let start = Instant::now();
        self.order.iter().rev().zip(&self.later).for_each(|(&id, &tick)| engine.modify(id, tick));
        let modify = per_timer(start);
        let start = Instant::now();
        self.order.iter().for_each(|&id| engine.delete(id));
        let delete = per_timer(start);

        self.order.iter().zip(&self.ticks).for_each(|(&id, &tick)| engine.add(id, tick));
        let start = Instant::now();
        let expired: usize = (0..=SPAN).step_by(STEP as usize).map(|now| engine.expire(now)).sum();
        let expire = per_timer(start);
        assert_eq!(expired, count, "every timer expires once");
        [add, modify, delete, expire]
    }
}

type Run = fn(&Work) -> [f64; 4];

/// Bare links, or records of 128 bytes and a lock, which is nearer to real use.
const ENGINES: [(&str, Run); 4] = [
    ("wheel", |work| {
        let links = vec![Link::new(); work.order.len()];
        work.run(Ours { wheel: Wheel::new(0), links })
    }),
    ("wheel, records, lock", |work| {
        let record = |_: &u32| Record { link: Link::new(), _fields: [0; 112] };
        let links = Records(work.order.iter().map(record).collect());
        work.run(Locked(Mutex::new(Ours { wheel: Wheel::new(0), links })))
    }),
    ("nexus-timer", |work| work.run(Nexus::new(work.order.len()))),
    ("BTreeMap", |work| work.run(Map { keys: vec![(0, 0); work.order.len()], ..Map::default() })),
];

fn main() {
    for (count, repeats) in [(1_000, 200), (1_000_000, 1)] {
        let work = Work::new(count);
        let mut best = vec![[f64::INFINITY; 4]; ENGINES.len()];
        for _ in 0..ROUNDS * repeats {
            for ((_, run), best) in ENGINES.iter().zip(&mut best) {
                let figures = run(&work);
                for (best, figure) in best.iter_mut().zip(figures) {
                    *best = best.min(figure);
                }
            }
        }
        print!("{:<24}", format!("{count} timers, ns (x)"));
        println!("{}", COLUMNS.map(|column| format!("{column:>16}")).concat());
        for ((name, _), figures) in ENGINES.iter().zip(&best) {
            let cells: Vec<String> = (0..4)
                .map(|column| {
                    let ratio = figures[column] / best[0][column];
                    format!("{:>8.1} ({ratio:>4.1})", figures[column])
                })
                .collect();
            println!(
                "{name:<24}{}",
                cells.iter().map(|cell| format!("{cell:>16}")).collect::<String>()
            );
        }
    }
}
