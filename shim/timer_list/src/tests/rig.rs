//! A small kernel on the mock host: calls as a program makes them, and handlers
//! that run as long as the test wants.

use std::ops::Deref;

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Kind, Op, Severity};

use super::host::{Host, SITE, TIMERS, on, peek, poke};
use crate::layout::{FULL_BYTES, LEGACY_BYTES, STATIC};
use crate::{Arm, Due, Engine, Settings};

/// Every policy.
pub const POLICIES: [DelPolicy; 3] = [DelPolicy::Async, DelPolicy::Sync, DelPolicy::Running];
/// Those whose `del_timer` waits.
pub const WAITING: [DelPolicy; 2] = [DelPolicy::Sync, DelPolicy::Running];
/// A handler's address; it is never called.
pub const HANDLER: usize = 0x4000;
/// What stands behind a legacy object.
pub const BEYOND: usize = 0xeeee_eeee_eeee_eeee;

/// The engine, by the names of the kernel's functions.
#[derive(Clone, Copy)]
pub struct Kernel {
    pub engine: &'static Engine<Host>,
}

/// A kernel that is looked after when the test ends: its books balance, every
/// finding was named, everything that was to happen in a pause has happened.
pub struct Rig(Kernel);

impl Deref for Rig {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.0
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.engine.is_balanced(), "{:?}", self.engine.books());
            assert_eq!(self.found(), []);
            assert!(!self.engine.host.has_hooks(), "nobody waited");
        }
    }
}

impl Rig {
    pub fn new(policy: DelPolicy) -> Rig {
        Rig::with(policy, Settings { seed: 7, ..Settings::DEFAULT })
    }

    pub fn with(policy: DelPolicy, settings: Settings) -> Rig {
        let engine = Box::leak(Box::new(Engine::new(Host::new())));
        engine.configure(settings);
        engine.set_policy(policy);
        Rig(Kernel { engine })
    }
}

impl Kernel {
    /// 64 zeroed bytes outside the heap.
    pub fn memory(&self) -> usize {
        Box::leak(Box::new([0u64; 8])).as_mut_ptr() as usize
    }

    /// A timer that `timer_setup` initialised.
    pub fn timer(&self) -> usize {
        let timer = self.memory();
        self.setup(timer);
        timer
    }

    /// A static timer with a positional initialiser; it ends at byte 40.
    pub fn legacy(&self) -> usize {
        let timer = self.memory();
        poke(timer + 32, HANDLER);
        (LEGACY_BYTES..64).step_by(8).for_each(|offset| poke(timer + offset, BEYOND));
        timer
    }

    /// A static timer of the header's initialisers.
    pub fn defined(&self) -> usize {
        let timer = self.memory();
        poke(timer + 8, STATIC);
        poke(timer + 32, HANDLER);
        timer
    }

    /// A timer at the start of a heap block.
    pub fn heap_timer(&self) -> usize {
        let timer = self.engine.host.alloc(96);
        self.setup(timer);
        timer
    }

    pub fn setup(&self, timer: usize) {
        self.engine.init(timer, Some(HANDLER), 0, SITE);
    }

    pub fn free(&self, base: usize) {
        self.engine.host.free(self.engine, base);
    }

    fn after(&self, delay: i64) -> usize {
        self.engine.host.jiffies().wrapping_add(delay as u64) as usize
    }

    pub fn arm(&self, timer: usize, how: Arm) -> i32 {
        self.engine.arm(timer, how, SITE)
    }

    /// `expires = jiffies + delay; add_timer()`.
    pub fn add(&self, timer: usize, delay: i64) -> i32 {
        poke(timer + 16, self.after(delay));
        self.arm(timer, Arm::Add)
    }

    /// `mod_timer(timer, jiffies + delay)`.
    pub fn modify(&self, timer: usize, delay: i64) -> i32 {
        self.arm(timer, Arm::Mod(self.after(delay)))
    }

    pub fn modify_pending(&self, timer: usize, delay: i64) -> i32 {
        self.arm(timer, Arm::ModPending(self.after(delay)))
    }

    pub fn reduce(&self, timer: usize, delay: i64) -> i32 {
        self.arm(timer, Arm::Reduce(self.after(delay)))
    }

    pub fn pending(&self, timer: usize) -> i32 {
        self.engine.pending(timer, SITE)
    }

    pub fn delete(&self, timer: usize, op: Op) -> i32 {
        self.engine.delete(timer, op, SITE)
    }

    pub fn del(&self, timer: usize) -> i32 {
        self.delete(timer, Op::DelTimer)
    }

    pub fn del_sync(&self, timer: usize) -> i32 {
        self.delete(timer, Op::DelTimerSync)
    }

    /// The clock goes on; nothing is run.
    pub fn tick(&self, ticks: u64) {
        self.engine.clock(self.engine.now() + ticks);
    }

    /// Enters the next handler that is due on a timer thread.
    pub fn enter(&self, cpu: usize) -> Option<Due<u32>> {
        on(TIMERS + cpu as u32, || self.engine.next_due(cpu))
    }

    /// Runs `act` in the handler that runs on timer thread 0.
    pub fn in_handler<T>(&self, act: impl FnOnce() -> T) -> T {
        on(TIMERS, act)
    }

    /// The handler on timer thread 0 ends.
    pub fn leave(&self, due: Due<u32>) {
        on(TIMERS, || self.engine.leave(due.ticket));
    }

    /// Arms an inactive timer and enters its handler on timer thread 0.
    pub fn run(&self, timer: usize) -> Due<u32> {
        assert_eq!(self.modify(timer, 1), 0);
        self.tick(1);
        self.enter(0).expect("it is due")
    }

    /// Lets time pass; how many handlers that ran, each to its end at once.
    pub fn advance(&self, ticks: u64) -> usize {
        let mut runs = 0;
        self.in_handler(|| {
            self.engine.advance(ticks, |due| {
                runs += 1;
                self.engine.leave(due.ticket);
            });
        });
        runs
    }

    /// Takes the findings so far, in their order.
    pub fn found(&self) -> Vec<(Kind, Severity)> {
        let found = self.engine.host.take_found();
        found.iter().map(|found| (found.kind, found.severity)).collect()
    }

    /// The whole object as the program sees it.
    pub fn words(&self, timer: usize) -> [usize; 8] {
        [0, 1, 2, 3, 4, 5, 6, 7].map(|n: usize| peek(timer + 8 * n))
    }

    /// `timer->running`
    pub fn flag(&self, timer: usize) -> u32 {
        const _: () = assert!(FULL_BYTES == LEGACY_BYTES + 8);
        peek(timer + LEGACY_BYTES) as u32
    }
}

/// An error of that kind.
pub fn error(kind: Kind) -> (Kind, Severity) {
    (kind, Severity::Error)
}

/// A warning of that kind.
pub fn warning(kind: Kind) -> (Kind, Severity) {
    (kind, Severity::Warning)
}

/// An info of that kind.
pub fn info(kind: Kind) -> (Kind, Severity) {
    (kind, Severity::Info)
}
