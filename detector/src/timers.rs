//! The registry: every timer's state outside the program's storage.
//!
//! # Ground rules
//!
//! * A timer is a slot and a generation ([`TimerRef`]); libc is given the pair
//!   instead of the program's value, so a handler finds its slot without a
//!   look-up. A slot rests after its delete ([`REST_NS`]) and is then reused:
//!   an expiry that was on its way must still find its handler there.
//! * The state word is the truth and changes by compare-and-swap only. The
//!   other fields are written by the creating thread before the handle is
//!   bound, and by `arm` (`due_ns`, `arm_site`); readers tolerate either value.
//! * Nothing here waits or allocates: any thread, also in a signal handler.

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::Api;
use crate::index_map::IndexMap;
use crate::platform::COARSE_NS;
use crate::rearms::Rearm;
use crate::stale::NEVER_NS;
use crate::state::{Outcome, Phase, State, Verb};

/// Timers that may exist or rest at the same time; more run unwatched and are counted.
pub const TIMERS: usize = 1 << 16;
/// How long a deleted timer's slot is kept for late expiries, ns.
pub const REST_NS: u64 = 2_000_000_000;
/// Handle of a timer that is not [bound](Registry::bind) yet.
const UNBOUND: u64 = u64::MAX;
/// Slots looked at for reuse before a never-used one is taken.
const LOOK: usize = 8;

/// ... and when there is none.
const LOOK_FULL: usize = 1024;

/// A timer, safe to keep beyond its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerRef {
    /// Its slot.
    pub index: u32,
    /// Which timer of that slot.
    pub generation: u32,
}

impl TimerRef {
    /// As one word, never 0.
    pub const fn pack(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// Its name, in its n-th use, among the objects that a deleter may wait for;
    /// no pointer has the top bit.
    pub const fn as_object(self, uses: u32) -> u64 {
        const { assert!(TIMERS <= 1 << 16) };
        1 << 63 | (uses as u64 & 0x7fff) << 48 | (self.generation as u64) << 16 | self.index as u64
    }

    /// From one word.
    pub const fn unpack(word: u64) -> TimerRef {
        TimerRef { index: word as u32, generation: (word >> 32) as u32 }
    }
}

/// How a timer's handler is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Notify {
    /// Not at all: SIGEV_NONE, or an engine that keeps its own books.
    #[default]
    Nobody = 0,
    /// On a thread that libc makes: SIGEV_THREAD.
    Thread = 1,
    /// As a signal handler, on whichever thread the kernel chooses.
    Signal = 2,
}

impl Notify {
    const fn from_u32(number: u32) -> Notify {
        match number {
            1 => Notify::Thread,
            2 => Notify::Signal,
            _ => Notify::Nobody,
        }
    }
}

/// A timer's slot.
pub struct TimerSlot {
    word: AtomicU64,
    /// The handle that the program knows (`timer_t` as an integer).
    pub handle: AtomicU64,
    /// The program's handler, 0 for a timer without one.
    pub handler: AtomicU64,
    /// The program's value for it.
    pub value: AtomicU64,
    /// The heap block of `value`: index + 1 in the block table, 0 for none.
    pub block: AtomicU32,
    /// How its handler is called, a [`Notify`].
    pub notify: AtomicU32,
    /// The signal by which it is called, 0 for none.
    pub signal: AtomicU32,
    /// The [`Api`].
    pub api: AtomicU32,
    /// The clock that it was created on.
    pub clock: AtomicU32,
    /// How often it was armed by something else than its own handler (timer_list).
    pub uses: AtomicU32,
    /// Return address of the last arm.
    pub arm_site: AtomicU64,
    /// Return address of the delete or last disarm.
    pub del_site: AtomicU64,
    /// When the current arming fires first, ns; 0 if unknown.
    pub due_ns: AtomicU64,
    /// Before this no arming of its own has fired, ns: `u64::MAX` if there was none,
    /// 0 if that cannot be said.
    pub earliest_ns: AtomicU64,
    /// 1 if an armed timer had its handle before: an expiry of that one may arrive here.
    shares_handle: AtomicU32,
    /// When it was deleted, ns, or up to [`COARSE_NS`] earlier.
    pub retired_ns: AtomicU64,
    /// An open `data-free-while-pending`: finding + 1 in the upper half, the
    /// freeing thread in the lower.
    pub freed_pending: AtomicU64,
    /// Its handler armed it after a disarm.
    pub rearm: Rearm,
    /// What is known of its handler's code: see `unloads.rs`.
    pub code: AtomicU32,
}

impl TimerSlot {
    /// All zero, so that the table costs the library's file nothing; taking a slot
    /// fills it.
    const fn new() -> TimerSlot {
        TimerSlot {
            word: AtomicU64::new(0),
            handle: AtomicU64::new(0),
            handler: AtomicU64::new(0),
            value: AtomicU64::new(0),
            block: AtomicU32::new(0),
            notify: AtomicU32::new(0),
            signal: AtomicU32::new(0),
            api: AtomicU32::new(0),
            clock: AtomicU32::new(0),
            uses: AtomicU32::new(0),
            arm_site: AtomicU64::new(0),
            del_site: AtomicU64::new(0),
            due_ns: AtomicU64::new(0),
            earliest_ns: AtomicU64::new(0),
            shares_handle: AtomicU32::new(0),
            retired_ns: AtomicU64::new(0),
            freed_pending: AtomicU64::new(0),
            rearm: Rearm::new(),
            code: AtomicU32::new(0),
        }
    }

    /// Where it comes from.
    #[inline]
    pub fn api(&self) -> Api {
        Api::from_u8(self.api.load(Relaxed) as u8).unwrap_or(Api::Posix)
    }

    /// May an expiry of a deleted timer arrive as this one's? (So it may as long as it
    /// is not bound to a handle: nobody has armed it.)
    pub fn may_get_stale_expiry(&self) -> bool {
        self.notify() == Notify::Thread
            && (self.shares_handle.load(Relaxed) != 0 || self.handle.load(Acquire) == UNBOUND)
    }

    /// How its handler is called.
    #[inline]
    pub fn notify(&self) -> Notify {
        Notify::from_u32(self.notify.load(Relaxed))
    }

    /// Its state now.
    #[inline]
    pub fn state(&self) -> State {
        State::unpack(self.word.load(Acquire))
    }

    /// Applies a verb to the timer of `generation`; returns the states before
    /// and after. `None`: that timer is gone, or the verb is impossible.
    ///
    /// Always inlined, as what it calls: the verb is known there, and little is left.
    #[inline(always)]
    pub fn apply(&self, generation: u32, verb: Verb) -> Option<(State, State, Outcome)> {
        self.apply_by(generation, |_| verb)
    }

    /// As [`apply`](Self::apply), for a verb that depends on the state before.
    #[inline(always)]
    pub fn apply_by(
        &self,
        generation: u32,
        verb: impl Fn(State) -> Verb,
    ) -> Option<(State, State, Outcome)> {
        let mut word = self.word.load(Acquire);
        loop {
            let before = State::unpack(word);
            let verb = verb(before);
            if before.generation != generation && verb != Verb::Init {
                return None;
            }
            let (after, outcome) = before.step(verb)?;
            match self.word.compare_exchange_weak(word, after.pack(), AcqRel, Acquire) {
                Ok(_) => return Some((before, after, outcome)),
                Err(now) => word = now,
            }
        }
    }

    /// Takes an arm back unless the timer was armed, disarmed, deleted or
    /// fired since; handlers that entered or left since stay counted.
    pub fn undo_arm(&self, after: State, before: State) -> bool {
        let mut word = self.word.load(Acquire);
        loop {
            let now = State::unpack(word);
            if (State { runs: after.runs, ..now }) != after {
                return false;
            }
            let next = State { runs: now.runs, ..before }.pack();
            match self.word.compare_exchange_weak(word, next, AcqRel, Acquire) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }
}

/// All timers.
pub struct Registry {
    slots: &'static [TimerSlot],
    handles: IndexMap,
    used: AtomicU32,
    hand: AtomicU32,
}

static SLOTS: [TimerSlot; TIMERS] = [const { TimerSlot::new() }; TIMERS];
static CELLS: [AtomicU32; 2 * TIMERS] = [const { AtomicU32::new(0) }; 2 * TIMERS];

impl Registry {
    /// The process's registry. There must be one user of it.
    pub const fn global() -> Registry {
        Registry::over(&SLOTS, &CELLS)
    }

    const fn over(slots: &'static [TimerSlot], cells: &'static [AtomicU32]) -> Registry {
        Registry {
            slots,
            handles: IndexMap::new(cells),
            used: AtomicU32::new(0),
            hand: AtomicU32::new(0),
        }
    }

    /// A small registry of its own.
    #[cfg(test)]
    pub fn small(timers: usize) -> Registry {
        let slots: Vec<TimerSlot> = (0..timers).map(|_| TimerSlot::new()).collect();
        let cells: Vec<AtomicU32> = (0..2 * timers).map(|_| AtomicU32::new(0)).collect();
        Registry::over(slots.leak(), cells.leak())
    }

    /// A new timer, in state `Idle` with all fields zero; `None` if all slots
    /// are taken. `release` is told of a slot that is taken over.
    pub fn init(
        &self,
        now_ns: u64,
        release: impl FnOnce(&TimerSlot),
    ) -> Option<(TimerRef, &TimerSlot)> {
        let used = (self.used.load(Relaxed) as usize).min(self.slots.len());
        let crowded = used > self.slots.len() / 4;
        let look = if used == self.slots.len() { LOOK_FULL } else { LOOK };
        for _ in 0..look.min(used) {
            let index = self.hand.fetch_add(1, Relaxed) as usize % used;
            let slot = &self.slots[index];
            if (is_rested(slot, now_ns) || crowded && is_spare(slot))
                && let Some((_, state, _)) = slot.apply(0, Verb::Init)
            {
                self.handles.remove(slot.handle.load(Relaxed), index as u32);
                release(slot);
                return Some((clear(slot, index, state.generation), slot));
            }
        }
        let index = self.used.fetch_add(1, Relaxed) as usize;
        let Some(slot) = self.slots.get(index) else {
            self.used.fetch_sub(1, Relaxed);
            return None;
        };
        let (_, state, _) = slot.apply(0, Verb::Init)?;
        Some((clear(slot, index, state.generation), slot))
    }

    /// Makes the timer known by its handle. An older, deleted timer of the same
    /// handle is forgotten: the handle was given out again.
    pub fn bind(&self, timer: TimerRef, handle: u64) {
        let Some(slot) = self.slots.get(timer.index as usize) else { return };
        if self.forget(handle) {
            slot.shares_handle.store(1, Relaxed);
        }
        slot.handle.store(handle, Release);
        self.handles.insert(handle, timer.index);
    }

    /// The handle was given out again: its deleted timer is no longer found by it.
    /// Whether an expiry of that one, or of one before it, may still be on its way.
    pub fn forget(&self, handle: u64) -> bool {
        let mut was_armed = false;
        while let Some(old) = self.handles.find(handle, |i| self.has_handle(i, handle)) {
            was_armed |= self.slots.get(old as usize).is_some_and(|old| !never_armed(old));
            if !self.handles.remove(handle, old) {
                break;
            }
        }
        was_armed
    }

    /// The timer of a handle, live or deleted.
    #[inline]
    pub fn find(&self, handle: u64) -> Option<(TimerRef, &TimerSlot)> {
        let index = self.handles.find(handle, |i| self.has_handle(i, handle))?;
        let slot = &self.slots[index as usize];
        Some((TimerRef { index, generation: slot.state().generation }, slot))
    }

    #[inline]
    fn has_handle(&self, index: u32, handle: u64) -> bool {
        self.slots.get(index as usize).is_some_and(|s| s.handle.load(Acquire) == handle)
    }

    /// The slot of a timer, if it still is that timer's.
    #[inline]
    pub fn get(&self, timer: TimerRef) -> Option<&TimerSlot> {
        let slot = self.slots.get(timer.index as usize)?;
        let state = slot.state();
        let same = state.generation == timer.generation && state.phase != Phase::Vacant;
        same.then_some(slot)
    }

    /// Every slot in use, for the rare whole look.
    pub fn each(&self) -> impl Iterator<Item = (TimerRef, &TimerSlot)> {
        let used = (self.used.load(Relaxed) as usize).min(self.slots.len());
        self.slots[..used].iter().enumerate().map(|(index, slot)| {
            (TimerRef { index: index as u32, generation: slot.state().generation }, slot)
        })
    }

    /// Forgets all timers: a fork child has none.
    pub fn reset_after_fork(&self) {
        for (timer, slot) in self.each() {
            self.handles.remove(slot.handle.load(Relaxed), timer.index);
            let vacant = State { generation: timer.generation, ..State::VACANT };
            slot.word.store(vacant.pack(), Release);
            slot.block.store(0, Relaxed);
        }
    }
}

fn is_rested(slot: &TimerSlot, now_ns: u64) -> bool {
    let state = slot.state();
    match state.phase {
        Phase::Vacant => true,
        Phase::Retired => {
            // Its engine knows that no expiry is on its way; a closed descriptor's are lost.
            let is_over = never_armed(slot) || matches!(slot.api(), Api::TimerList | Api::Timerfd);
            let age = now_ns.saturating_sub(slot.retired_ns.load(Relaxed));
            state.runs == 0 && (is_over || age > REST_NS)
        }
        _ => false,
    }
}

/// Is no expiry to come, neither its own nor one of those who had its handle before?
fn never_armed(slot: &TimerSlot) -> bool {
    slot.arm_site.load(Relaxed) == 0 && slot.shares_handle.load(Relaxed) == 0
}

/// Does its rest serve little, so that it may end where room is short?
fn is_spare(slot: &TimerSlot) -> bool {
    let state = slot.state();
    let never_armed = state.arms == 0 && slot.arm_site.load(Relaxed) == 0;
    state.phase == Phase::Retired && state.runs == 0 && never_armed || never_fired(slot)
}

/// Was it deleted before its only arming was due? Then no expiry is on its way,
/// and its rest only serves those who use the handle again.
fn never_fired(slot: &TimerSlot) -> bool {
    let state = slot.state();
    state.phase == Phase::Retired
        && state.runs == 0
        && state.arms == 1
        && slot.retired_ns.load(Relaxed) + COARSE_NS < slot.due_ns.load(Relaxed)
}

fn clear(slot: &TimerSlot, index: usize, generation: u32) -> TimerRef {
    slot.handle.store(UNBOUND, Relaxed);
    slot.earliest_ns.store(NEVER_NS, Relaxed);
    slot.rearm.clear();
    slot.shares_handle.store(0, Relaxed);
    for cell in [
        &slot.handler,
        &slot.value,
        &slot.arm_site,
        &slot.del_site,
        &slot.due_ns,
        &slot.retired_ns,
        &slot.freed_pending,
    ] {
        cell.store(0, Relaxed);
    }
    slot.block.store(0, Relaxed);
    slot.notify.store(Notify::Nobody as u32, Relaxed);
    slot.signal.store(0, Relaxed);
    slot.clock.store(0, Relaxed);
    slot.code.store(0, Relaxed);
    slot.api.store(Api::Posix as u32, Relaxed);
    TimerRef { index: index as u32, generation }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_rests_before_it_is_reused() {
        let registry = Registry::small(2);
        let (a, slot) = registry.init(0, |_| {}).unwrap();
        registry.bind(a, 7);
        slot.arm_site.store(1, Relaxed);
        slot.apply(a.generation, Verb::Delete).unwrap();
        slot.retired_ns.store(100, Relaxed);
        let (b, _) = registry.init(200, |_| panic!("not rested")).unwrap();
        assert_ne!(b.index, a.index);
        assert!(registry.init(200, |_| ()).is_none());
        assert_eq!(registry.find(7).unwrap().0, a);
        let mut released = 0;
        let (c, _) = registry.init(101 + REST_NS, |_| released += 1).unwrap();
        assert_eq!((c.index, released), (a.index, 1));
        assert_ne!(c.generation, a.generation);
        assert!(registry.get(a).is_none() && registry.find(7).is_none());
    }

    /// Also in a process that is younger than the rest.
    #[test]
    fn a_timer_list_s_slot_does_not_rest() {
        let registry = Registry::small(1);
        for _ in 0..3 {
            let (timer, slot) = registry.init(5, |_| {}).unwrap();
            slot.api.store(Api::TimerList as u32, Relaxed);
            slot.arm_site.store(1, Relaxed);
            slot.apply(timer.generation, Verb::Delete).unwrap();
        }
    }

    #[test]
    fn a_crowded_registry_takes_timers_that_never_fired_at_once() {
        let registry = Registry::small(4);
        for (due_ns, reusable) in [(COARSE_NS, 0), (0, 0), (2 * COARSE_NS, 1)] {
            let (timer, slot) = registry.init(0, |_| {}).unwrap();
            slot.apply(timer.generation, Verb::Arm { periodic: false }).unwrap();
            slot.arm_site.store(1, Relaxed);
            slot.due_ns.store(due_ns, Relaxed);
            slot.apply(timer.generation, Verb::Delete).unwrap();
            slot.retired_ns.store(100, Relaxed);
            assert_eq!(never_fired(slot), reusable == 1);
        }
        let mut taken = vec![];
        while let Some((timer, _)) = registry.init(101, |_| {}) {
            taken.push(timer.index);
        }
        assert_eq!(taken, [2, 3], "the one that never fired, and the unused one");
    }

    #[test]
    fn a_handle_given_out_again_names_the_new_timer() {
        let registry = Registry::small(4);
        let (a, slot) = registry.init(0, |_| {}).unwrap();
        registry.bind(a, 0);
        slot.arm_site.store(1, Relaxed);
        slot.apply(a.generation, Verb::Delete).unwrap();
        let (b, _) = registry.init(0, |_| {}).unwrap();
        registry.bind(b, 0);
        assert_eq!(registry.find(0).unwrap().0, b);
    }

    #[test]
    fn a_fork_child_has_no_timers() {
        let registry = Registry::small(4);
        let (a, _) = registry.init(0, |_| {}).unwrap();
        registry.bind(a, 5);
        registry.reset_after_fork();
        assert!(registry.find(5).is_none());
        let (b, _) = registry.init(0, |_| {}).unwrap();
        assert_ne!(a, b, "a late reference to the parent's timer finds nothing");
    }
}
