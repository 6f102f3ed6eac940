//! Real threads on shared timers: at the end everything adds up.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Kind, Op};

use super::rig::HANDLER;
use crate::host::{Armed, Block, Count, Deleted, Found, Host, Known};
use crate::storage::Storage;
use crate::{Arm, Engine, Settings};

const WORKERS: u32 = 4;
const CPUS: usize = 2;
const TIMERS: usize = 1000;
/// Timers expire within so many ticks.
const SOON: u64 = 4;
const TICK_NS: u64 = 50_000;

thread_local! {
    static THREAD: Cell<u32> = const { Cell::new(0) };
}

/// A host with as little of its own as possible: it would hide races.
struct Light {
    start: Instant,
    jiffies: AtomicU64,
    runs: AtomicU64,
    waits: AtomicU64,
    found: Mutex<BTreeMap<Kind, u64>>,
}

impl Storage for Light {}

impl Host for Light {
    type Timer = ();
    type Run = u64;

    fn thread(&self) -> u32 {
        THREAD.get()
    }

    fn cpu(&self) -> Option<usize> {
        THREAD.get().checked_sub(100).map(|cpu| cpu as usize)
    }

    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn pause(&self, _attempt: u32) {
        std::thread::yield_now();
    }

    fn waits_for(&self, _thread: u32) -> Option<u32> {
        None
    }

    fn block(&self, _addr: usize) -> Option<Block> {
        None
    }

    fn watch(&self, _addr: usize) {}

    fn is_usable(&self, _addr: usize, _bytes: usize) -> bool {
        true
    }

    fn want_ticks(&self) {}

    fn set_jiffies(&self, jiffies: u64) {
        self.jiffies.store(jiffies, Relaxed);
    }

    fn has_data(&self, _data: usize, _addr: usize) -> bool {
        false
    }

    fn init(&self, _known: &Known) -> Option<()> {
        Some(())
    }

    fn armed(&self, _timer: (), _armed: &Armed) -> bool {
        false
    }

    fn changed(&self, _timer: (), _handler: usize, _data: usize, _addr: usize) {}

    fn detached(&self, _timer: (), _by_caller: bool) {}

    fn entered(&self, _timer: ()) -> Option<u64> {
        Some(self.runs.fetch_add(1, Relaxed))
    }

    fn retired(&self, _timer: ()) {}

    fn rearmed(&self, _run: u64) {}

    fn owner_armed(&self, _run: Self::Run) {}

    fn handled(&self, _run: u64) {}

    fn count(&self, count: Count) {
        assert!(!matches!(count, Count::Trashed(_) | Count::Refused), "{count:?}");
        if count == Count::SyncWait {
            self.waits.fetch_add(1, Relaxed);
        }
    }

    fn count_delete(&self, _op: Op, _site: usize, _handler: usize, _was_pending: bool) {}

    fn left(&self, _run: u64) -> bool {
        false
    }

    fn deleted(&self, deleted: &Deleted<(), u64>) {
        assert!(!deleted.gave_up);
    }

    fn harmed(&self, _run: u64, kind: Kind, _addr: usize, _block: Block) -> bool {
        panic!("{kind:?}");
    }

    fn found(&self, found: &Found<()>) -> Option<u32> {
        *self.found.lock().unwrap().entry(found.kind).or_default() += 1;
        None
    }

    fn worsened(&self, _finding: u32) {
        panic!("nothing is freed");
    }

    fn futile(&self, _op: Op, _site: usize) {}
}

/// A small generator of its own for each thread (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }
}

struct Object {
    timer: usize,
    is_in_handler: AtomicBool,
}

/// What the threads did, as they saw it.
#[derive(Default)]
struct Did {
    /// Sum of what deletes returned.
    detached: AtomicU64,
    handled: AtomicU64,
    is_over: AtomicBool,
}

struct Stress {
    engine: Engine<Light>,
    objects: Vec<Object>,
    did: Did,
}

impl Stress {
    fn new(policy: DelPolicy) -> Stress {
        let engine = Engine::new(Light {
            start: Instant::now(),
            jiffies: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            found: Mutex::default(),
        });
        engine.configure(Settings { cpus: CPUS, hook_free: false, ..Settings::DEFAULT });
        engine.set_policy(policy);
        THREAD.set(1);
        let memory: &mut [[u64; 6]] = Vec::leak(vec![[0; 6]; TIMERS]);
        let objects = memory.iter_mut().map(|memory| {
            let timer = memory.as_mut_ptr() as usize;
            engine.init(timer, Some(HANDLER), 0, 0);
            Object { timer, is_in_handler: AtomicBool::new(false) }
        });
        let objects = objects.collect();
        Stress { engine, objects, did: Did::default() }
    }

    fn soon(&self, dice: &mut Dice) -> usize {
        let jiffies = self.engine.host.jiffies.load(Relaxed);
        jiffies.wrapping_add(dice.roll(SOON)) as usize
    }

    fn note(&self, result: i32) {
        self.did.detached.fetch_add(result.max(0) as u64, Relaxed);
    }

    fn act(&self, dice: &mut Dice) {
        let (engine, timer) = (&self.engine, self.objects[dice.roll(TIMERS as u64) as usize].timer);
        let delete = |op| self.note(engine.delete(timer, op, 0x30));
        match dice.roll(20) {
            0..=3 => {
                engine.arm(timer, Arm::Add, 0x31);
            }
            4..=9 => {
                engine.arm(timer, Arm::Mod(self.soon(dice)), 0x32);
            }
            10 => {
                engine.arm(timer, Arm::Reduce(self.soon(dice)), 0x33);
            }
            11..=13 => delete(Op::DelTimer),
            14..=16 => delete(Op::DelTimerSync),
            17 => delete(Op::TryToDelTimerSync),
            _ => assert!((0..=1).contains(&engine.pending(timer, 0x34))),
        }
    }

    fn handler(&self, data: usize, dice: &mut Dice) {
        let object = self.objects.iter().position(|object| object.timer == data);
        let object = &self.objects[object.expect("the timer's own address")];
        assert!(!object.is_in_handler.swap(true, Relaxed), "a handler overlaps itself");
        match dice.roll(8) {
            0 => {
                self.engine.arm(data, Arm::Mod(self.soon(dice)), 0x40);
            }
            1 => self.note(self.engine.delete(data, Op::DelTimer, 0x41)),
            2 => std::thread::yield_now(),
            _ => {}
        }
        self.did.handled.fetch_add(1, Relaxed);
        object.is_in_handler.store(false, Relaxed);
    }

    /// A timer thread; the first keeps the time too.
    fn timer_thread(&self, cpu: usize) {
        THREAD.set(100 + cpu as u32);
        let mut dice = Dice(77 + cpu as u64);
        while !self.did.is_over.load(Relaxed) {
            if cpu == 0 {
                self.engine.clock(self.engine.host.start.elapsed().as_nanos() as u64 / TICK_NS);
            }
            while let Some(due) = self.engine.next_due(cpu) {
                self.handler(due.data, &mut dice);
                self.engine.leave(due.ticket);
            }
            std::thread::yield_now();
        }
    }
}

fn stress(policy: DelPolicy) {
    let quick = cfg!(debug_assertions) || std::env::var_os("DEADWALK_TEST_QUICK").is_some();
    let rounds = if quick { 50_000 } else { 1_000_000 };
    let stress = &Stress::new(policy);
    std::thread::scope(|scope| {
        for cpu in 0..CPUS {
            scope.spawn(move || stress.timer_thread(cpu));
        }
        let workers = (1..=WORKERS).map(|tid| {
            scope.spawn(move || {
                THREAD.set(tid);
                let mut dice = Dice(u64::from(tid).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                (0..rounds).for_each(|_| stress.act(&mut dice));
            })
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().for_each(|worker| worker.join().expect("no worker fails"));
        // While the timer threads still run.
        for object in &stress.objects {
            stress.note(stress.engine.delete(object.timer, Op::DelTimerSync, 0x50));
            assert_eq!(stress.engine.pending(object.timer, 0x51), 0);
        }
        stress.engine.sync(0x52);
        stress.did.is_over.store(true, Relaxed);
    });
    let (engine, did) = (&stress.engine, &stress.did);
    let books = engine.books();
    assert!(engine.is_balanced(), "{books:?}");
    assert_eq!(engine.pending_count(), 0);
    assert_eq!(books.detached, did.detached.load(Relaxed), "the returns add up");
    assert_eq!(books.expired, did.handled.load(Relaxed));
    assert!(books.expired > 0 && (quick || engine.host.waits.load(Relaxed) > 0));
    let expected = [Kind::DoubleAdd, Kind::ConcurrentArm, Kind::RearmPast, Kind::RearmAfterDel];
    let found = engine.host.found.lock().unwrap();
    assert!(found.keys().all(|kind| expected.contains(kind)), "{found:?}");
}

#[test]
fn everything_adds_up_async() {
    stress(DelPolicy::Async);
}

#[test]
fn everything_adds_up_sync() {
    stress(DelPolicy::Sync);
}

#[test]
fn everything_adds_up_running() {
    stress(DelPolicy::Running);
}
