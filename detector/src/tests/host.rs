//! A host whose clock, threads and samples the test sets.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::core::Detector;
use crate::counters::Counter;
use crate::ladder::Sample;
use crate::platform::{Module, Platform, ThreadToken};
use crate::record::layout::{BodySegment, FULL_BYTES, FindingEntry, HeadSegment, READY, StackRole};
use crate::record::mapped;
use crate::{Consequence, Kind};

thread_local! {
    static THREAD: Cell<u32> = const { Cell::new(1) };
    static STACK: Cell<usize> = const { Cell::new(0x7000) };
}

type Pause = Box<dyn FnMut(u32) + Send>;
type Hook = Box<dyn FnOnce() + Send>;

/// Where another thread may be let in between, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The clock is read.
    Now,
    /// A stack is captured.
    Capture,
    /// The collector is woken.
    Wake,
}

/// The host.
pub struct Host {
    now: AtomicU64,
    samples: Mutex<BTreeMap<u32, Sample>>,
    pending: Mutex<BTreeMap<u64, bool>>,
    holders: Mutex<BTreeMap<u32, u32>>,
    sleepers: Mutex<BTreeSet<u32>>,
    standstill: Mutex<Option<u64>>,
    /// Do signal handlers see the value that comes with their signal?
    pub passes_value: AtomicBool,
    pause: Mutex<Option<Pause>>,
    hook: Mutex<Option<(Point, Hook)>>,
    pub wakes: AtomicU64,
    has_code: AtomicBool,
    head: &'static HeadSegment,
    body: &'static BodySegment,
}

/// A zeroed record, for ever.
#[allow(unsafe_code)]
fn record() -> (&'static HeadSegment, &'static BodySegment) {
    let layout = std::alloc::Layout::from_size_align(FULL_BYTES, 4096).unwrap();
    // SAFETY: the size is not zero; the memory is never freed and reached
    // through the segments only.
    unsafe {
        let memory = std::alloc::alloc_zeroed(layout);
        assert!(!memory.is_null());
        (mapped::head_at(memory), mapped::body_at(memory))
    }
}

impl Host {
    /// A host with a record of its own; the time is 1000.
    pub fn new() -> &'static Host {
        let (head, body) = record();
        Box::leak(Box::new(Host {
            now: AtomicU64::new(1_000),
            samples: Mutex::default(),
            pending: Mutex::default(),
            holders: Mutex::default(),
            sleepers: Mutex::default(),
            standstill: Mutex::default(),
            passes_value: AtomicBool::new(true),
            pause: Mutex::default(),
            hook: Mutex::default(),
            wakes: AtomicU64::new(0),
            has_code: AtomicBool::new(true),
            head,
            body,
        }))
    }

    /// A small detector on this host.
    pub fn detector(&'static self) -> Detector {
        let detector = Detector::small(self);
        detector.record.attach(self.head);
        detector
    }

    /// Runs `act` as thread `tid`.
    pub fn on<T>(&self, tid: u32, act: impl FnOnce() -> T) -> T {
        let before = THREAD.replace(tid);
        let result = act();
        THREAD.set(before);
        result
    }

    /// Time passes.
    pub fn pass(&self, ns: u64) {
        self.now.fetch_add(ns, SeqCst);
    }

    /// The time in `ns`.
    pub fn now_and(&self, ns: u64) -> u64 {
        self.now.load(SeqCst) + ns
    }

    /// What the next samples of thread `tid` show.
    pub fn set_sample(&self, tid: u32, sample: Sample) {
        self.samples.lock().unwrap().insert(tid, sample);
    }

    /// The thread sleeps once.
    pub fn sleeps(&self, tid: u32) {
        self.samples.lock().unwrap().entry(tid).or_default().voluntary_switches += 1;
    }

    /// The thread uses CPU.
    pub fn burns(&self, tid: u32, ns: u64) {
        self.samples.lock().unwrap().entry(tid).or_default().cpu_ns += ns;
    }

    /// Thread `tid` is blocked on a lock of `holder`'s.
    pub fn blocks(&self, tid: u32, holder: u32) {
        self.holders.lock().unwrap().insert(tid, holder);
    }

    /// Thread `tid` got the lock.
    pub fn unblocks(&self, tid: u32) {
        self.holders.lock().unwrap().remove(&tid);
    }

    /// Does thread `tid` sleep until another one wakes it?
    pub fn needs_waking(&self, tid: u32, sleeps: bool) {
        let mut sleepers = self.sleepers.lock().unwrap();
        if sleeps {
            sleepers.insert(tid)
        } else {
            sleepers.remove(&tid)
        };
    }

    /// How the whole process stands still, if it does.
    pub fn stands_still(&self, how: Option<u64>) {
        *self.standstill.lock().unwrap() = how;
    }

    /// What the kernel says of a handle; `true` if nothing was set.
    pub fn set_pending(&self, handle: u64, pending: bool) {
        self.pending.lock().unwrap().insert(handle, pending);
    }

    /// Is the code of handlers there?
    pub fn set_code(&self, is_there: bool) {
        self.has_code.store(is_there, SeqCst);
    }

    /// What happens in a waiting delete.
    pub fn on_pause(&self, act: impl FnMut(u32) + Send + 'static) {
        *self.pause.lock().unwrap() = Some(Box::new(act));
    }

    /// What happens, once, when the core reaches this point.
    pub fn at(&self, point: Point, act: impl FnOnce() + Send + 'static) {
        *self.hook.lock().unwrap() = Some((point, Box::new(act)));
    }

    fn reached(&self, point: Point) {
        let act = self.hook.lock().unwrap().take_if(|(p, _)| *p == point);
        if let Some((_, act)) = act {
            act();
        }
    }

    /// The calling thread's stack from now on.
    pub fn stack(&self, addr: usize) {
        STACK.set(addr);
    }

    /// Every finding, in the order of the table.
    pub fn findings(&self) -> Vec<Found> {
        let all = self.body.findings.iter().enumerate();
        all.filter(|(_, f)| f.state.load(SeqCst) == READY).map(Found::read).collect()
    }

    /// The finding of this kind and consequence, if it has any occurrence.
    pub fn found(&self, kind: Kind, consequence: Consequence) -> Option<Found> {
        let mut all = self.findings().into_iter().filter(|f| {
            f.kind == kind
                && f.consequence == consequence
                && f.unresolved + f.verdicts.iter().sum::<u32>() > 0
        });
        let first = all.next();
        assert!(all.next().is_none(), "{kind:?} is there more than once");
        first
    }

    /// The verdicts of a finding without consequence (tail, info, warning,
    /// error), zero if there is none; nothing may be open.
    pub fn verdicts(&self, kind: Kind) -> [u32; 4] {
        self.found(kind, Consequence::None).map_or([0; 4], |f| {
            assert_eq!(f.unresolved, 0, "{kind:?} is open");
            f.verdicts
        })
    }

    /// Kinds with an occurrence, sorted by number.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<_> = self
            .findings()
            .into_iter()
            .filter(|f| f.unresolved + f.verdicts.iter().sum::<u32>() > 0)
            .map(|f| f.kind)
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The first frame of a stack of the record.
    pub fn top(&self, found: &Found, role: StackRole) -> u64 {
        match found.stacks[role as usize] {
            0 => 0,
            stack => self.body.stacks[stack as usize - 1].frames[0].load(SeqCst),
        }
    }

    /// The body.
    pub fn body(&self) -> &'static BodySegment {
        self.body
    }

    /// A counter.
    pub fn count(&self, counter: Counter) -> u64 {
        self.head.counters[counter as usize].load(SeqCst)
    }
}

/// A finding as the record holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub index: u32,
    pub kind: Kind,
    pub consequence: Consequence,
    pub unresolved: u32,
    pub verdicts: [u32; 4],
    pub stacks: [u32; 6],
    pub addr: u64,
    pub base: u64,
    pub size: u64,
    pub age_ns: u64,
    pub flags: u32,
    pub offset: i64,
}

impl Found {
    fn read((index, f): (usize, &FindingEntry)) -> Found {
        Found {
            index: index as u32,
            kind: Kind::from_u8(f.kind.load(SeqCst)).unwrap(),
            consequence: Consequence::from_u8(f.consequence.load(SeqCst)).unwrap(),
            unresolved: f.unresolved.load(SeqCst),
            verdicts: [0, 1, 2, 3].map(|i: usize| f.verdicts[i].load(SeqCst)),
            stacks: [0, 1, 2, 3, 4, 5].map(|i: usize| f.stacks[i].load(SeqCst)),
            addr: f.addr.load(SeqCst),
            base: f.base.load(SeqCst),
            size: f.size.load(SeqCst),
            age_ns: f.age_ns.load(SeqCst),
            flags: f.flags.load(SeqCst),
            offset: f.offset.load(SeqCst),
        }
    }
}

impl Platform for Host {
    fn now_ns(&self) -> u64 {
        self.reached(Point::Now);
        self.now.load(SeqCst)
    }

    fn thread(&self) -> ThreadToken {
        ThreadToken { tid: THREAD.get(), probe: 0 }
    }

    fn sample(&self, thread: ThreadToken) -> Sample {
        self.samples.lock().unwrap().get(&thread.tid).copied().unwrap_or_default()
    }

    fn sample_self(&self) -> Sample {
        Sample { asleep: false, ..self.sample(self.thread()) }
    }

    fn capture(&self, out: &mut [usize]) -> usize {
        self.reached(Point::Capture);
        let stack = [STACK.get(), 0x8000, 0x9000];
        out[..3].copy_from_slice(&stack);
        3
    }

    fn module_of(&self, _addr: usize, _found: &mut dyn FnMut(&Module<'_>)) {}

    fn body(&self) -> Option<&'static BodySegment> {
        Some(self.body)
    }

    fn thread_object(&self) -> u64 {
        0x9_0000 + u64::from(THREAD.get())
    }

    fn is_pending(&self, handle: u64) -> bool {
        self.pending.lock().unwrap().get(&handle).copied().unwrap_or(true)
    }

    fn passes_value(&self, _signal: u32) -> bool {
        self.passes_value.load(SeqCst)
    }

    fn list_uses(&self, _addr: u64, _block: &crate::HeapBlock) -> bool {
        true
    }

    fn waits_for(&self, tid: u32) -> Option<u32> {
        self.holders.lock().unwrap().get(&tid).copied()
    }

    fn needs_waking(&self, tid: u32) -> bool {
        self.sleepers.lock().unwrap().contains(&tid)
    }

    fn standstill(&self) -> Option<u64> {
        *self.standstill.lock().unwrap()
    }

    fn stack_of_waiter(&self, _tid: u32, out: &mut [usize]) -> usize {
        out[0] = 0x8000;
        1
    }

    fn may_call(&self, _addr: usize) -> bool {
        self.has_code.load(SeqCst)
    }

    fn pause(&self, attempt: u32) {
        self.pass(100);
        let act = self.pause.lock().unwrap().take();
        if let Some(mut act) = act {
            act(attempt);
            self.pause.lock().unwrap().get_or_insert(act);
        } else {
            std::thread::yield_now();
        }
    }

    fn wake(&self) {
        self.reached(Point::Wake);
        self.wakes.fetch_add(1, SeqCst);
    }
}

/// A head of zeros, as a new process has it.
pub fn empty_head() -> &'static HeadSegment {
    record().0
}
