//! Four threads on real atomics: at the end everything adds up.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::host::Host;
use crate::blocks::BlockTable;
use crate::counters::Counter;
use crate::deletes::{Deleted, NewTimer};
use crate::options::DelPolicy;
use crate::record::layout::READY;
use crate::{HeapBlock, Kind, Notify, Op, TimerRef};

const THREADS: u32 = 4;
const ROUNDS: u32 = 60_000;
const SLOTS: usize = 4;

/// A small generator of its own for each thread (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What the threads did, as they saw it.
#[derive(Default)]
struct Did {
    inits: AtomicU64,
    arms: AtomicU64,
    deletes: AtomicU64,
    pending: AtomicU64,
    landed: AtomicU64,
    enters: AtomicU64,
}

fn stress(policy: DelPolicy) {
    let host = Host::new();
    let detector = host.detector();
    detector.configure(policy, 50, 60_000);
    let shared: [AtomicU64; SLOTS] = Default::default();
    let did = Did::default();
    let thread = |tid: u32| {
        let mut dice = Dice(u64::from(tid).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let any = |dice: &mut Dice| {
            let word = shared[dice.roll(SLOTS as u64) as usize].load(Relaxed);
            (word != 0).then(|| TimerRef::unpack(word))
        };
        let count_delete = |deleted: Deleted| {
            did.pending.fetch_add(u64::from(deleted.was_pending), Relaxed);
            did.landed.fetch_add(u64::from(deleted.landed > 0), Relaxed);
        };
        for round in 0..ROUNDS {
            host.pass(dice.roll(3));
            match dice.roll(16) {
                0 => {
                    // A new timer takes the place of an old one, which is deleted.
                    let base = 0x1000 * (1 + dice.roll(3) as usize);
                    let block = HeapBlock { base, size: 64, alloc_site: 9 };
                    let new = NewTimer {
                        handler: 0x40,
                        value: base,
                        block: Some(block),
                        notify: Notify::Thread,
                        signal: 0,
                    };
                    host.pass(100_000_000);
                    let Some(timer) = detector.init_timer(&new) else { continue };
                    detector.bind_timer(timer, u64::from(tid) << 32 | u64::from(round));
                    did.inits.fetch_add(1, Relaxed);
                    let place = &shared[dice.roll(SLOTS as u64) as usize];
                    let old = place.swap(timer.pack(), Relaxed);
                    if old != 0 {
                        let deletion =
                            detector.begin_delete(TimerRef::unpack(old), Op::TimerDelete, 0x30);
                        did.deletes.fetch_add(1, Relaxed);
                        count_delete(detector.finish_delete(deletion.unwrap()));
                    }
                }
                1 => detector.freeing(
                    &HeapBlock {
                        base: 0x1000 * (1 + dice.roll(3) as usize),
                        size: 64,
                        alloc_site: 9,
                    },
                    0x20,
                ),
                2 => {
                    detector.deleter_waits(dice.roll(3) as usize * 2 + 2);
                }
                3..=5 => {
                    let Some(timer) = any(&mut dice) else { continue };
                    if let Some(deletion) = detector.begin_delete(timer, Op::TimerSettime, 0x31) {
                        let before = detector.counter("del.calls");
                        let deleted = detector.finish_delete(deletion);
                        assert!(detector.counter("del.calls") >= before);
                        count_delete(deleted);
                    }
                }
                6..=9 => {
                    let Some(timer) = any(&mut dice) else { continue };
                    let due = if dice.roll(2) == 0 { 0 } else { host.now_and(5) };
                    if let Some(arming) = detector.arm(timer, dice.roll(2) == 0, due, 0x60) {
                        if dice.roll(8) == 0 {
                            detector.arm_refused(arming);
                        } else {
                            did.arms.fetch_add(1, Relaxed);
                        }
                    }
                }
                _ => {
                    let Some(timer) = any(&mut dice) else { continue };
                    let Some(entry) = detector.enter(timer) else { continue };
                    did.enters.fetch_add(1, Relaxed);
                    let Some(run) = entry.run else { continue };
                    match dice.roll(4) {
                        0 => detector.handler_called(run),
                        1 => detector.handler_posted(run, dice.roll(3) as usize * 2 + 2),
                        2 => std::thread::yield_now(),
                        _ => {}
                    }
                    detector.leave(run);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for tid in 1..=THREADS {
            scope.spawn(move || host.on(tid, || thread(tid)));
        }
    });

    assert_eq!(detector.runs.each_taken().count(), 0, "every slot was given back");
    let get = |counter| host.count(counter);
    let armed =
        detector.registry.each().filter(|(_, s)| s.state().phase == crate::state::Phase::Armed);
    assert_eq!(get(Counter::TimersPending), armed.count() as u64);
    for (timer, slot) in detector.registry.each() {
        assert_eq!(slot.state().runs, 0, "{timer:?}");
    }
    for (index, entry) in (0..64).filter_map(|i| Some((i, detector.blocks.get(i)?))) {
        let armed = detector.registry.each().filter(|(_, s)| {
            s.block.load(Relaxed) == index + 1 && s.state().phase == crate::state::Phase::Armed
        });
        assert_eq!(entry.armed.load(Relaxed), armed.count() as u32, "block {index}");
    }
    assert_eq!(get(Counter::TimersInited), did.inits.load(Relaxed));
    assert_eq!(get(Counter::TimersArmed), did.arms.load(Relaxed));
    assert_eq!(get(Counter::DelReturnedPending), did.pending.load(Relaxed));
    let enters = did.enters.load(Relaxed);
    assert!(get(Counter::TimersExpired) >= enters, "a few met a timer that was reused");
    assert_eq!(get(Counter::TimersHandlersRun) + get(Counter::TimersSuppressed), enters);
    assert!(get(Counter::DelWhileRunning) <= did.landed.load(Relaxed));
    assert!(did.deletes.load(Relaxed) <= get(Counter::DelCalls));
    let sites = || host.body().sites.iter().filter(|s| s.state.load(Relaxed) == READY);
    assert_eq!(sites().map(|s| s.calls.load(Relaxed)).sum::<u64>(), get(Counter::DelCalls));
    assert_eq!(
        sites().map(|s| s.while_running.load(Relaxed)).sum::<u64>(),
        get(Counter::DelWhileRunning)
    );
    let mut judged = 0;
    for finding in host.findings() {
        if finding.kind != Kind::DataFreeWhilePending {
            assert_eq!(finding.unresolved, 0, "{finding:?}");
        }
        assert!(finding.unresolved < 1 << 30, "{finding:?} went below zero");
        assert!(finding.verdicts.iter().all(|&v| v < 1 << 30), "{finding:?} went below zero");
        if finding.kind == Kind::DelWhileRunning {
            judged += u64::from(finding.verdicts.iter().sum::<u32>());
        }
    }
    let windows: u64 = sites().map(|s| s.window_count.load(Relaxed)).sum();
    assert_eq!(windows, judged, "every landing has a verdict and a window");
    assert!(judged + get(Counter::DroppedEvents) >= get(Counter::DelWhileRunning));
    assert!(policy == DelPolicy::Sync || get(Counter::DelWhileRunning) > 0, "something landed");
}

#[test]
fn everything_adds_up() {
    stress(DelPolicy::Async);
}

#[test]
fn everything_adds_up_with_waiting_deletes() {
    stress(DelPolicy::Sync);
}

/// A table that is too small, so that entries change hands all the time: who
/// refers to an entry has the block that it asked for.
#[test]
fn a_block_s_entry_stays_with_those_who_refer_to_it() {
    let table = BlockTable::small(4);
    let block = |base: usize| HeapBlock { base, size: base * 2, alloc_site: base * 3 };
    let thread = |tid: u32| {
        let mut dice = Dice(u64::from(tid).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut held = Vec::new();
        for round in 0..200_000 {
            let base = 0x100 * (1 + dice.roll(6) as usize);
            match dice.roll(4) {
                0 | 1 if held.len() < 2 => {
                    if let Some(index) = table.acquire(&block(base)) {
                        held.push((index, base));
                    }
                }
                2 => table.freed(base, round, |_, entry| {
                    assert!(entry.is_freed());
                    assert_eq!(entry.facts(), block(base));
                }),
                _ if !held.is_empty() => {
                    let (index, _) = held.swap_remove(dice.roll(held.len() as u64) as usize);
                    table.release(index);
                }
                _ => {}
            }
            for &(index, base) in &held {
                assert_eq!(table.get(index).unwrap().facts(), block(base));
            }
        }
        held.iter().for_each(|&(index, _)| table.release(index));
    };
    std::thread::scope(|scope| {
        (1..=THREADS).for_each(|tid| drop(scope.spawn(move || thread(tid))));
    });
    // Nobody refers to any entry: each can be had again.
    let all: Vec<_> = (10..14).map(|base| table.acquire(&block(base))).collect();
    let mut indexes: Vec<_> = all.into_iter().flatten().collect();
    indexes.sort_unstable();
    indexes.dedup();
    assert_eq!(indexes, [0, 1, 2, 3]);
}
