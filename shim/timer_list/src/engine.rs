//! The engine: its lock, its settings, its clock.
//!
//! # Ground rules
//!
//! * One lock guards the table, the wheels and the books. What is decided, is
//!   decided under it; findings, stacks and waits come after it. The detector's
//!   verbs are called under it where the order of two threads matters.
//! * A timer is *pending* from its queueing to its detach or expiry, *running*
//!   from `next_due` to `leave`. It may be both: armed again by its handler.
//! * Time is counted in ticks since the start; `jiffies` is [`first_jiffies`]
//!   more, and wraps five minutes after the start.
//!
//! # Invariant
//!
//! adds accepted + mods that returned 0 = expiries + refused at expiry +
//! detaches + auto-detached + still pending ([`Engine::is_balanced`]).

use deadwalk_detector::options::DelPolicy;

use crate::arm::Arming;
use crate::canary::Keys;
use crate::host::{Count, Host};
use crate::lock::{Guard, Lock};
use crate::record::RecordRef;
use crate::sites::Sites;
use crate::sync::{AtomicU32, Ordering};
use crate::table::Table;
use crate::wait::Wait;
use crate::wheel::Wheel;

/// Most timer threads.
pub const CPUS_MAX: usize = 64;
/// The longest delay, in ticks: 2.4 kernels lost longer ones for ever.
pub const DELAY_MAX: u64 = u32::MAX as u64;

/// Where the clock stops: every delay from there is still a tick.
pub(crate) const LAST_TICK: u64 = u64::MAX - 2 * DELAY_MAX;

/// What is set at the start and does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Ticks a second.
    pub hz: u32,
    /// Timer threads, each with a wheel.
    pub cpus: usize,
    /// How long a waiting delete waits, ns ...
    pub deadlock_ns: u64,
    /// ... and how often it looks.
    pub deadlock_loops: u64,
    /// Are freed blocks searched for timers?
    pub hook_free: bool,
    /// Does only `timer_exit` end a handler, as in 2.3 kernels?
    pub legacy_timer_exit: bool,
    /// Seed of the canaries' keys.
    pub seed: u64,
}

impl Settings {
    /// The defaults.
    pub const DEFAULT: Settings = Settings {
        hz: 100,
        cpus: 1,
        deadlock_ns: 2_000_000_000,
        deadlock_loops: 500_000_000,
        hook_free: true,
        legacy_timer_exit: false,
        seed: 0,
    };
}

/// `jiffies` at tick 0: five minutes before it wraps, so that bugs of wrapping
/// show soon.
pub const fn first_jiffies(hz: u32) -> u64 {
    (300 * hz as u64).wrapping_neg()
}

/// What happened to timers so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Adds accepted, and mods of a timer that was not pending.
    pub queued: u64,
    /// Expiries whose handler was called.
    pub expired: u64,
    /// Expiries whose handler was not called.
    pub refused: u64,
    /// Detaches by deletes.
    pub detached: u64,
    /// Detaches by something else.
    pub auto_detached: u64,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct State<T, R> {
    pub settings: Settings,
    pub keys: Keys,
    /// Ticks since the start.
    pub now: u64,
    pub wheels: Vec<Wheel>,
    pub table: Table<T, R>,
    pub sites: Sites,
    pub books: Books,
    /// Records whose handlers run.
    pub running: Vec<RecordRef>,
    pub runs: u64,
    /// Threads in a waiting delete.
    pub waits: Vec<Wait>,
    /// The storage may hold canaries of the parent's timers.
    pub is_fork_child: bool,
}

/// The timers of a process.
#[derive(Debug)]
pub struct Engine<H: Host> {
    /// The process.
    pub host: H,
    policy: AtomicU32,
    pub(crate) arming: Arming,
    state: Lock<State<H::Timer, H::Run>>,
}

pub(crate) type Locked<'a, H> = Guard<'a, State<<H as Host>::Timer, <H as Host>::Run>>;

impl<H: Host> Engine<H> {
    /// An engine with default settings.
    #[cfg(not(loom))]
    pub const fn new(host: H) -> Self {
        Engine {
            host,
            policy: AtomicU32::new(DelPolicy::Async as u32),
            arming: Arming::new(),
            state: Lock::new(State::new()),
        }
    }

    /// An engine with default settings.
    #[cfg(loom)]
    pub fn new(host: H) -> Self {
        Engine {
            host,
            policy: AtomicU32::new(DelPolicy::Async as u32),
            arming: Arming::new(),
            state: Lock::new(State::new()),
        }
    }

    /// Settings, before the first timer; later nothing is changed, and this is `false`:
    /// the timers that there are would not be known by their canaries.
    pub fn configure(&self, settings: Settings) -> bool {
        let Some(mut state) = self.lock() else { return false };
        if state.table.was_used() {
            return false;
        }
        state.settings = settings;
        state.reserve();
        state.keys = Keys::new(settings.seed);
        self.host.set_jiffies(state.jiffies());
        true
    }

    /// The settings.
    pub fn settings(&self) -> Settings {
        self.lock().map_or(Settings::DEFAULT, |state| state.settings)
    }

    /// What deletes do; to be set before the first timer.
    pub fn set_policy(&self, policy: DelPolicy) {
        self.policy.store(policy as u32, Ordering::Release);
    }

    /// What deletes do.
    pub fn policy(&self) -> DelPolicy {
        DelPolicy::from_u32(self.policy.load(Ordering::Acquire)).unwrap_or(DelPolicy::Async)
    }

    /// Takes the lock; `None` in a thread that has it: a signal handler.
    pub(crate) fn lock(&self) -> Option<Locked<'_, H>> {
        let locked = self.state.lock(self.host.thread(), |attempt| self.host.pause(attempt));
        if locked.is_none() {
            self.host.count(Count::Lost);
        }
        locked
    }

    /// Takes the lock if nobody has it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Locked<'_, H>> {
        self.state.try_lock(self.host.thread())
    }

    /// Sets the clock to `tick`, if that is later; bit n of the result says that
    /// something is due on timer thread n.
    pub fn clock(&self, tick: u64) -> u64 {
        let Some(mut state) = self.lock() else { return 0 };
        if tick > state.now {
            state.now = tick.min(LAST_TICK);
            self.host.set_jiffies(state.jiffies());
        }
        let now = state.now;
        let is_due = |wheel: &Wheel| wheel.next_expiry().is_some_and(|tick| tick <= now);
        let due = state.wheels.iter().enumerate().filter(|(_, wheel)| is_due(wheel));
        due.fold(0, |bits, (cpu, _)| bits | 1 << cpu)
    }

    /// The next tick at which something may expire, no later than `until`: how
    /// far a virtual clock may be set at once.
    pub fn next_tick(&self, until: u64) -> u64 {
        let Some(state) = self.lock() else { return until };
        let until = until.min(LAST_TICK);
        let next = state.wheels.iter().filter_map(Wheel::next_expiry).min();
        next.map_or(until, |next| next.max(state.now + 1).min(until))
    }

    /// Does no handler run?
    pub fn is_idle(&self) -> bool {
        self.lock().is_some_and(|state| state.running.is_empty())
    }

    /// Ticks since the start.
    pub fn now(&self) -> u64 {
        self.lock().map_or(0, |state| state.now)
    }

    /// The books.
    pub fn books(&self) -> Books {
        self.lock().map_or(Books::default(), |state| state.books)
    }

    /// Timers that are pending.
    pub fn pending_count(&self) -> u64 {
        self.lock().map_or(0, |state| state.pending())
    }

    /// The module's invariant.
    pub fn is_balanced(&self) -> bool {
        self.lock().is_none_or(|state| {
            let books = state.books;
            books.queued
                == books.expired
                    + books.refused
                    + books.detached
                    + books.auto_detached
                    + state.pending()
        })
    }

    /// A fork child has none of its parent's timers, handlers and threads. To be
    /// called in the child, before anything else of ours.
    pub fn reset_after_fork(&self) {
        self.state.break_open();
        self.arming.clear();
        let Some(mut state) = self.lock() else { return };
        let (settings, keys, now) = (state.settings, state.keys, state.now);
        // A thread of the parent may have been in the middle of the old state:
        // it is left as it is, and its memory with it.
        let table = state.table.empty_after();
        let mut fresh = State { settings, keys, now, table, is_fork_child: true, ..State::new() };
        fresh.reserve();
        core::mem::forget(core::mem::replace(&mut *state, fresh));
    }
}

impl<T: Copy, R: Copy> State<T, R> {
    const fn new() -> Self {
        State {
            settings: Settings::DEFAULT,
            keys: Keys::new(0),
            now: 0,
            wheels: Vec::new(),
            table: Table::new(),
            sites: Sites::new(),
            books: Books { queued: 0, expired: 0, refused: 0, detached: 0, auto_detached: 0 },
            running: Vec::new(),
            runs: 0,
            waits: Vec::new(),
            is_fork_child: false,
        }
    }

    /// Has the room that the timer threads need, so that they do not have to ask.
    fn reserve(&mut self) {
        // Without it they ask, one by one.
        let _ = self.wheels.try_reserve_exact(self.settings.cpus.clamp(1, CPUS_MAX));
        let _ = self.running.try_reserve(2 * CPUS_MAX);
        let _ = self.table.reserve_rare();
    }

    /// The program's time.
    pub fn jiffies(&self) -> u64 {
        first_jiffies(self.settings.hz).wrapping_add(self.now)
    }

    /// The tick of a time in jiffies, and whether that is now or past.
    pub fn tick_of(&self, expires: usize) -> (u64, bool) {
        let delay = (expires as u64).wrapping_sub(self.jiffies()) as i64;
        let past = delay <= 0;
        (self.now + (delay.max(0) as u64).min(DELAY_MAX), past)
    }

    /// The timer whose handler runs on a thread.
    pub fn running_on(&mut self, thread: u32) -> Option<RecordRef> {
        let table = &mut self.table;
        self.running
            .iter()
            .copied()
            .find(|&timer| table.run_of(timer).is_some_and(|run| run.thread == thread))
    }

    fn pending(&self) -> u64 {
        self.wheels.iter().map(|wheel| wheel.len() as u64).sum()
    }

    /// The wheel of a timer thread; wheels are made when first needed.
    #[inline]
    pub fn wheel(&mut self, cpu: usize) -> (&mut Wheel, &mut Table<T, R>) {
        while self.wheels.len() <= cpu {
            self.wheels.push(Wheel::new(self.now));
        }
        (&mut self.wheels[cpu], &mut self.table)
    }

    /// Takes a pending timer off its wheel.
    #[inline]
    pub fn dequeue(&mut self, id: u32) {
        let cpu = usize::from(self.table.at(id).cpu);
        let (wheel, table) = self.wheel(cpu);
        wheel.remove(table, id);
    }

    /// Detaches a pending timer, for another reason than a delete.
    pub fn auto_detach<H: Host<Timer = T, Run = R>>(&mut self, host: &H, id: u32) {
        self.dequeue(id);
        self.books.auto_detached += 1;
        host.count(Count::AutoDetached);
        host.count(Count::Dequeued);
        if let Some(timer) = self.table.name(id) {
            host.detached(timer, false);
        }
    }
}
