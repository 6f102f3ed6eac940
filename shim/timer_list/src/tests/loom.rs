//! Models: loom runs every interleaving of a few calls on the whole engine.
//!
//! ```text
//! shim/timer_list/loom     (the same as)
//! RUSTFLAGS="--cfg loom" cargo test --release -p deadwalk-timer --lib loom
//! ```
//! Threads meet at the engine's lock. The model of two that wait for a third is
//! bounded to two preemptions, which keeps it under a minute; the others are
//! complete.

use std::cell::Cell;
use std::sync::Mutex;

use deadwalk_detector::options::DelPolicy::{self, Async, Running, Sync};
use deadwalk_detector::{Kind, Op, Severity};
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering::SeqCst};
use loom::thread;

use crate::host::{Armed, Block, Count, Deleted, Found, Host, Known};
use crate::layout::Fields;
use crate::storage::Storage;
use crate::{Arm, Engine, Settings};

/// The only timer's address, at the start of a heap block.
const TIMER: usize = 0x10000;
const BLOCK: Block = Block { base: TIMER, size: 64, is_freed: false, alloc_site: 1, free_site: 0 };
const MAIN: u32 = 1;
const OTHER: u32 = 2;
const TICKER: u32 = 100;

loom::thread_local! {
    static THREAD: Cell<u32> = Cell::new(MAIN);
}

/// The only object of a model: what stands in it, and whether it is there.
#[derive(Default)]
struct Object {
    fields: Fields,
    running: bool,
    is_freed: bool,
}

/// A host of one object. Its own lock is none of the model's: the engine's is
/// what is checked.
#[derive(Default)]
struct Little {
    object: Mutex<Object>,
    found: Mutex<Vec<(Kind, Severity)>>,
}

impl Little {
    /// Access to the storage.
    fn touch<T>(&self, addr: usize, act: impl FnOnce(&mut Object) -> T) -> T {
        assert_eq!(addr, TIMER);
        let mut object = self.object.lock().unwrap();
        assert!(!object.is_freed, "the storage is gone");
        act(&mut object)
    }
}

impl Storage for Little {
    fn read(&self, addr: usize) -> Fields {
        self.touch(addr, |object| object.fields)
    }

    fn write_links(&self, addr: usize, next: usize, prev: usize) {
        self.touch(addr, |object| (object.fields.next, object.fields.prev) = (next, prev));
    }

    fn write_expires(&self, addr: usize, expires: usize) {
        self.touch(addr, |object| object.fields.expires = expires);
    }

    fn write_handler(&self, addr: usize, function: usize, data: usize) {
        self.touch(addr, |object| {
            (object.fields.function, object.fields.data) = (function, data);
        });
    }

    fn read_running(&self, addr: usize) -> bool {
        self.touch(addr, |object| object.running)
    }

    fn write_running(&self, addr: usize, running: bool) {
        self.touch(addr, |object| object.running = running);
    }

    fn write_flags(&self, addr: usize, _flags: u32) {
        self.touch(addr, |_| ());
    }
}

impl Host for Little {
    type Timer = ();
    type Run = ();

    fn thread(&self) -> u32 {
        THREAD.with(Cell::get)
    }

    fn cpu(&self) -> Option<usize> {
        (self.thread() == TICKER).then_some(0)
    }

    fn now_ns(&self) -> u64 {
        0
    }

    fn pause(&self, _attempt: u32) {
        thread::yield_now();
    }

    fn waits_for(&self, _thread: u32) -> Option<u32> {
        None
    }

    fn block(&self, addr: usize) -> Option<Block> {
        let is_freed = self.object.lock().unwrap().is_freed;
        (addr == TIMER).then_some(Block { is_freed, ..BLOCK })
    }

    fn watch(&self, _addr: usize) {}

    fn is_usable(&self, _addr: usize, _bytes: usize) -> bool {
        false
    }

    fn want_ticks(&self) {}

    fn set_jiffies(&self, _jiffies: u64) {}

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

    fn entered(&self, _timer: ()) -> Option<()> {
        Some(())
    }

    fn retired(&self, _timer: ()) {}

    fn rearmed(&self, _run: ()) {}

    fn owner_armed(&self, _run: Self::Run) {}

    fn handled(&self, _run: ()) {}

    fn count(&self, _count: Count) {}

    fn count_delete(&self, _op: Op, _site: usize, _handler: usize, _was_pending: bool) {}

    fn left(&self, _run: ()) -> bool {
        false
    }

    fn deleted(&self, deleted: &Deleted<(), ()>) {
        assert!(!deleted.gave_up);
    }

    fn harmed(&self, _run: (), kind: Kind, _addr: usize, _block: Block) -> bool {
        self.found.lock().unwrap().push((kind, Severity::Error));
        true
    }

    fn found(&self, found: &Found<()>) -> Option<u32> {
        self.found.lock().unwrap().push((found.kind, found.severity));
        None
    }

    fn worsened(&self, _finding: u32) {}

    fn futile(&self, _op: Op, _site: usize) {}
}

/// The engine with one timer, which is due, and who is in its handler.
struct Model {
    engine: Engine<Little>,
    handlers: AtomicU32,
}

impl Model {
    fn new(policy: DelPolicy) -> Arc<Model> {
        let engine = Engine::new(Little::default());
        engine.configure(Settings { deadlock_loops: u64::MAX, ..Settings::DEFAULT });
        engine.set_policy(policy);
        engine.init(TIMER, Some(0x4000), 0, 0);
        let model = Model { engine, handlers: AtomicU32::new(0) };
        assert_eq!(model.arm(1), 0);
        assert_eq!(model.engine.clock(1), 1);
        Arc::new(model)
    }

    /// `mod_timer(timer, jiffies at that tick)`
    fn arm(&self, tick: u64) -> i32 {
        let first = crate::engine::first_jiffies(Settings::DEFAULT.hz);
        self.engine.arm(TIMER, Arm::Mod(first.wrapping_add(tick) as usize), 0)
    }

    fn del(&self) -> i32 {
        self.engine.delete(TIMER, Op::DelTimer, 0)
    }

    /// The timer thread: how often it called the handler, which does `act`.
    fn tick(&self, act: impl Fn(&Model)) -> u32 {
        let mut runs = 0;
        while let Some(due) = self.engine.next_due(0) {
            runs += 1;
            assert_eq!(self.handlers.fetch_add(1, SeqCst), 0, "it overlaps itself");
            act(self);
            self.handlers.fetch_sub(1, SeqCst);
            self.engine.leave(due.ticket);
        }
        runs
    }

    /// Frees the block, as the allocator does: the engine is asked first.
    fn free(&self) {
        self.engine.freeing(BLOCK, 0);
        self.engine.host.object.lock().unwrap().is_freed = true;
    }

    fn found(&self) -> Vec<(Kind, Severity)> {
        std::mem::take(&mut self.engine.host.found.lock().unwrap())
    }

    fn assert_over(&self) {
        assert!(self.engine.is_balanced());
        assert_eq!((self.engine.pending_count(), self.handlers.load(SeqCst)), (0, 0));
    }
}

fn as_thread<T: 'static>(
    model: &Arc<Model>,
    number: u32,
    act: impl FnOnce(&Model) -> T + 'static,
) -> thread::JoinHandle<T> {
    let model = model.clone();
    thread::spawn(move || {
        THREAD.with(|thread| thread.set(number));
        act(&model)
    })
}

fn check(preemptions: Option<usize>, model: impl Fn() + std::marker::Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 10_000;
    builder.check(model);
}

#[test]
fn loom_a_timer_is_detached_or_expires() {
    check(None, || {
        let model = Model::new(Async);
        let ticker = as_thread(&model, TICKER, |model| model.tick(|_| ()));
        let detached = model.del();
        assert_eq!(detached as u32 + ticker.join().unwrap(), 1);
        model.assert_over();
    });
}

#[test]
fn loom_no_waiting_delete_returns_under_the_handler() {
    for policy in [Sync, Running] {
        check(None, move || {
            let model = Model::new(policy);
            // Who waits looks again in the middle of the handler.
            let ticker = as_thread(&model, TICKER, |model| model.tick(|_| thread::yield_now()));
            let detached = model.del();
            assert_eq!(model.handlers.load(SeqCst), 0, "the handler runs");
            assert_eq!(detached as u32 + ticker.join().unwrap(), 1);
            model.assert_over();
        });
    }
}

/// Detached before the handler began, or what the handler armed: 1 in all.
#[test]
fn loom_a_timer_that_arms_itself_is_gone_after_a_waiting_delete() {
    for policy in [Sync, Running] {
        check(None, move || {
            let model = Model::new(policy);
            let arm = |model: &Model| assert_eq!(model.arm(2), 0);
            let ticker = as_thread(&model, TICKER, move |model| model.tick(arm));
            assert_eq!(model.del(), 1);
            assert_eq!(model.engine.pending(TIMER, 0), 0);
            assert_eq!(model.handlers.load(SeqCst), 0, "the handler runs");
            ticker.join().unwrap();
            model.assert_over();
            assert_eq!(model.engine.books().detached, 1);
        });
    }
}

#[test]
fn loom_two_waiting_deletes_share_the_detaches() {
    for policy in [Sync, Running] {
        check(Some(2), move || {
            let model = Model::new(policy);
            let arm = |model: &Model| assert_eq!(model.arm(2), 0);
            let ticker = as_thread(&model, TICKER, move |model| model.tick(arm));
            let other = as_thread(&model, OTHER, Model::del);
            let detached = model.del();
            assert_eq!(detached + other.join().unwrap(), 1);
            assert_eq!(model.handlers.load(SeqCst), 0, "the handler runs");
            ticker.join().unwrap();
            model.assert_over();
            assert_eq!(model.engine.books().detached, 1);
        });
    }
}

/// Any access to the storage after the free fails the model.
#[test]
fn loom_a_handler_frees_its_timer_under_a_delete() {
    for policy in [Async, Sync, Running] {
        check(None, move || {
            let model = Model::new(policy);
            let ticker = as_thread(&model, TICKER, |model| model.tick(Model::free));
            let detached = model.del();
            let runs = ticker.join().unwrap();
            assert_eq!(detached as u32 + runs, 1);
            model.assert_over();
            let severity = if policy == Running { Severity::Error } else { Severity::Info };
            let mut found = model.found();
            if runs == 1 {
                let own = found.iter().position(|&f| f == (Kind::FreeOwnHandler, severity));
                found.remove(own.expect("it freed its own timer"));
            }
            // The delete came after the free, or waited on the flag that went.
            let late = (Kind::ApiUseAfterFree, Severity::Error);
            let gone = (Kind::RunningFlagAfterFree, Severity::Error);
            let fits = found.is_empty()
                || runs == 1 && (found == [late] || policy == Running && found == [gone]);
            assert!(fits, "{found:?}");
        });
    }
}

#[test]
fn loom_a_handler_arms_deletes_and_frees_under_a_delete() {
    for policy in [Sync, Running] {
        check(None, move || {
            let model = Model::new(policy);
            let act = |model: &Model| {
                // Another delete may come in between.
                assert_eq!(model.arm(2), 0);
                model.del();
                model.free();
            };
            let ticker = as_thread(&model, TICKER, move |model| model.tick(act));
            assert!((0..=1).contains(&model.del()));
            ticker.join().unwrap();
            model.assert_over();
        });
    }
}

/// Without waiting: what the handler arms after the delete survives, what it
/// armed before does not.
#[test]
fn loom_an_async_delete_and_a_handler_that_arms() {
    check(None, || {
        let model = Model::new(Async);
        let arm = |model: &Model| assert_eq!(model.arm(2), 0);
        let ticker = as_thread(&model, TICKER, move |model| model.tick(arm));
        let detached = model.del();
        let runs = ticker.join().unwrap();
        // A handler that ran armed the timer: it was detached, or it is pending.
        let pending = model.engine.pending(TIMER, 0);
        assert_eq!(detached + pending, 1, "{runs} runs");
        let rearmed = model.found().contains(&(Kind::RearmAfterDel, Severity::Warning));
        assert_eq!(rearmed, pending == 1, "who survives a delete is told of");
        model.del();
        model.assert_over();
    });
}

/// Two threads arm an inactive timer, a third deletes it: once armed, once told.
#[test]
fn loom_two_arms_and_a_delete() {
    check(None, || {
        let model = Model::new(Async);
        assert_eq!(model.del(), 1);
        let others = [OTHER, 3].map(|n| as_thread(&model, n, |model| model.arm(9)));
        let detached = model.del();
        let again: i32 = others.into_iter().map(|other| other.join().unwrap()).sum();
        let pending = model.engine.pending(TIMER, 0);
        // Two calls, each of which queued it or found it pending.
        assert_eq!(2 - again, detached + pending);
        let found = model.found();
        assert!(found.iter().all(|f| f.0 == Kind::ConcurrentArm) && found.len() <= again as usize);
        model.del();
        model.assert_over();
    });
}
