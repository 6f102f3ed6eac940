//! A host over plain variables: its clock, threads, heap and locks are the test's.
//!
//! Memory is real, so that bytes can be compared; what was freed is forbidden,
//! and any access of the engine to it panics.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use deadwalk_detector::{Kind, Op, Severity};

use crate::engine::Engine;
use crate::host::{Armed, Block, Caller, Count, Deleted, Found, Known};
use crate::layout::Fields;
use crate::storage::Storage;

/// The thread that a test begins on.
pub const MAIN: u32 = 1;
/// Another one.
pub const OTHER: u32 = 2;
/// The first timer thread; the next ones follow.
pub const TIMERS: u32 = 100;
/// Where all calls come from.
pub const SITE: usize = 0x51;

thread_local! {
    static THREAD: Cell<u32> = const { Cell::new(MAIN) };
}

type Hook = Box<dyn FnOnce() + Send>;

/// What the engine said to the detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Init(u32),
    Armed(u32),
    Detached(u32, bool),
    Entered(u32),
    Left(u32),
    Retired(u32),
    Rearmed(u32),
    Handled(u32),
    Worsened(u32),
    Futile(Op),
}

#[derive(Default)]
struct Inner {
    blocks: BTreeMap<usize, Block>,
    watched: BTreeSet<usize>,
    unmapped: BTreeSet<usize>,
    /// Starts and sizes of what must not be touched.
    forbidden: BTreeMap<usize, usize>,
    holders: BTreeMap<u32, u32>,
    found: Vec<Found<u32>>,
    verbs: Vec<Verb>,
    counts: Vec<Count>,
    deleted: Option<Deleted<u32, u32>>,
    deletes: usize,
    noted: BTreeSet<u32>,
    timers: u32,
    runs: u32,
}

/// The host.
pub struct Host {
    now: AtomicU64,
    jiffies: AtomicU64,
    inner: Mutex<Inner>,
    hooks: Mutex<VecDeque<Hook>>,
}

impl Host {
    pub fn new() -> Host {
        Host {
            now: AtomicU64::new(0),
            jiffies: AtomicU64::new(0),
            inner: Mutex::default(),
            hooks: Mutex::default(),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Another thread acts at the next pause of a wait that nobody has taken
    /// yet.
    pub fn at_pause(&self, act: impl FnOnce() + Send + 'static) {
        self.hooks.lock().unwrap().push_back(Box::new(act));
    }

    pub fn has_hooks(&self) -> bool {
        !self.hooks.lock().unwrap().is_empty()
    }

    pub fn jiffies(&self) -> u64 {
        self.jiffies.load(SeqCst)
    }

    /// `thread` is blocked on what `holder` holds.
    pub fn blocks_on(&self, thread: u32, holder: u32) {
        self.inner().holders.insert(thread, holder);
    }

    /// Nothing is mapped there.
    pub fn unmap(&self, addr: usize) {
        self.inner().unmapped.insert(addr);
        self.forbid(addr, 64);
    }

    /// The engine must not touch these bytes.
    pub fn forbid(&self, addr: usize, bytes: usize) {
        self.inner().forbidden.insert(addr, bytes);
    }

    /// A heap block, filled with poison as kmalloc does.
    pub fn alloc(&self, size: usize) -> usize {
        let words: Box<[u64]> = vec![0x5a5a_5a5a_5a5a_5a5a; size.div_ceil(8)].into();
        let base = Box::leak(words).as_mut_ptr() as usize;
        let block = Block { base, size, is_freed: false, alloc_site: 0xa110c, free_site: 0 };
        self.inner().blocks.insert(base, block);
        base
    }

    pub fn is_watched(&self, base: usize) -> bool {
        self.inner().watched.contains(&base)
    }

    /// Frees a block as the allocator does: whoever watches is asked first.
    pub fn free(&self, engine: &Engine<Host>, base: usize) {
        let block = self.inner().blocks[&base];
        let watched = self.inner().watched.remove(&base);
        if watched {
            engine.freeing(block, SITE);
        }
        for offset in (0..block.size).step_by(8) {
            poke(base + offset, 0x6b6b_6b6b_6b6b_6b6b);
        }
        self.forbid(base, block.size);
        let freed = Block { is_freed: true, free_site: 0xf1ee, ..block };
        self.inner().blocks.insert(base, freed);
    }

    /// The allocator gives a freed block out again.
    pub fn reuse(&self, base: usize) {
        let mut inner = self.inner();
        inner.forbidden.remove(&base);
        inner.blocks.get_mut(&base).unwrap().is_freed = false;
    }

    pub fn take_found(&self) -> Vec<Found<u32>> {
        std::mem::take(&mut self.inner().found)
    }

    pub fn take_verbs(&self) -> Vec<Verb> {
        std::mem::take(&mut self.inner().verbs)
    }

    pub fn last_deleted(&self) -> Deleted<u32, u32> {
        self.inner().deleted.expect("a delete was reported")
    }

    pub fn deletes(&self) -> usize {
        self.inner().deletes
    }

    /// Something is noted on a run: its timer's name must be kept.
    pub fn note(&self, run: u32) {
        self.inner().noted.insert(run);
    }

    pub fn counted(&self, count: Count) -> usize {
        self.inner().counts.iter().filter(|&&c| c == count).count()
    }

    fn say(&self, verb: Verb) {
        self.inner().verbs.push(verb);
    }

    #[track_caller]
    fn touch(&self, addr: usize) {
        let inner = self.inner();
        let before = inner.forbidden.range(..=addr).next_back();
        let hit = before.is_some_and(|(&start, &bytes)| addr < start + bytes);
        drop(inner);
        assert!(!hit, "the engine touches storage that is gone");
    }
}

/// Runs `act` as thread `tid`.
pub fn on<T>(tid: u32, act: impl FnOnce() -> T) -> T {
    let before = THREAD.replace(tid);
    let result = act();
    THREAD.set(before);
    result
}

/// A word of the program's memory.
#[allow(unsafe_code)]
pub fn peek(addr: usize) -> usize {
    // SAFETY: tests ask for words of objects that they made and never give back.
    unsafe { (addr as *const usize).read_volatile() }
}

/// Writes a word of the program's memory.
#[allow(unsafe_code)]
pub fn poke(addr: usize, word: usize) {
    // SAFETY: as for `peek`.
    unsafe { (addr as *mut usize).write_volatile(word) }
}

/// The program's memory as it is.
struct Memory;

impl Storage for Memory {}

impl Storage for Host {
    fn read(&self, addr: usize) -> Fields {
        self.touch(addr);
        Memory.read(addr)
    }

    fn write_links(&self, addr: usize, next: usize, prev: usize) {
        self.touch(addr);
        Memory.write_links(addr, next, prev);
    }

    fn write_expires(&self, addr: usize, expires: usize) {
        self.touch(addr);
        Memory.write_expires(addr, expires);
    }

    fn write_handler(&self, addr: usize, function: usize, data: usize) {
        self.touch(addr);
        Memory.write_handler(addr, function, data);
    }

    fn read_running(&self, addr: usize) -> bool {
        self.touch(addr);
        Memory.read_running(addr)
    }

    fn write_running(&self, addr: usize, running: bool) {
        self.touch(addr);
        Memory.write_running(addr, running);
    }

    fn write_flags(&self, addr: usize, flags: u32) {
        self.touch(addr);
        Memory.write_flags(addr, flags);
    }
}

impl crate::host::Host for Host {
    type Timer = u32;
    type Run = u32;

    fn thread(&self) -> u32 {
        THREAD.get()
    }

    fn cpu(&self) -> Option<usize> {
        THREAD.get().checked_sub(TIMERS).map(|cpu| cpu as usize)
    }

    fn now_ns(&self) -> u64 {
        self.now.load(SeqCst)
    }

    /// A millisecond passes, and the next hook acts.
    fn pause(&self, _attempt: u32) {
        self.now.fetch_add(1_000_000, SeqCst);
        let act = self.hooks.lock().unwrap().pop_front();
        if let Some(act) = act {
            act();
        }
    }

    fn waits_for(&self, thread: u32) -> Option<u32> {
        self.inner().holders.get(&thread).copied()
    }

    fn block(&self, addr: usize) -> Option<Block> {
        let inner = self.inner();
        let (_, block) = inner.blocks.range(..=addr).next_back()?;
        (addr < block.base + block.size).then_some(*block)
    }

    fn watch(&self, addr: usize) {
        let base = self.block(addr).expect("what is watched is in the heap").base;
        self.inner().watched.insert(base);
    }

    fn is_usable(&self, addr: usize, _bytes: usize) -> bool {
        !self.inner().unmapped.contains(&addr)
    }

    fn want_ticks(&self) {}

    fn set_jiffies(&self, jiffies: u64) {
        self.jiffies.store(jiffies, SeqCst);
    }

    fn has_data(&self, data: usize, addr: usize) -> bool {
        let block = self.block(data).filter(|block| !block.is_freed);
        block.is_some_and(|block| addr.wrapping_sub(block.base) >= block.size)
    }

    fn init(&self, _known: &Known) -> Option<u32> {
        let mut inner = self.inner();
        inner.timers += 1;
        let timer = inner.timers;
        inner.verbs.push(Verb::Init(timer));
        Some(timer)
    }

    fn armed(&self, timer: u32, armed: &Armed) -> bool {
        self.say(Verb::Armed(timer));
        self.has_data(armed.data, armed.addr)
    }

    fn changed(&self, _timer: u32, _handler: usize, _data: usize, _addr: usize) {}

    fn detached(&self, timer: u32, by_caller: bool) {
        self.say(Verb::Detached(timer, by_caller));
    }

    fn entered(&self, timer: u32) -> Option<u32> {
        let mut inner = self.inner();
        inner.runs += 1;
        inner.verbs.push(Verb::Entered(timer));
        Some(inner.runs)
    }

    fn retired(&self, timer: u32) {
        self.say(Verb::Retired(timer));
    }

    fn rearmed(&self, run: u32) {
        self.say(Verb::Rearmed(run));
    }

    fn owner_armed(&self, _run: Self::Run) {}

    fn handled(&self, run: u32) {
        self.say(Verb::Handled(run));
    }

    fn count(&self, count: Count) {
        self.inner().counts.push(count);
    }

    /// What there is more to say of it, `deleted` says.
    fn count_delete(&self, op: Op, site: usize, _handler: usize, was_pending: bool) {
        let mut inner = self.inner();
        inner.deletes += 1;
        inner.deleted = Some(Deleted {
            timer: None,
            op,
            site,
            detaches: was_pending.into(),
            re_deletes: 0,
            readds_by_handler: 0,
            readds_by_other: 0,
            is_own: false,
            waited_ns: None,
            gave_up: false,
            landed_on: None,
        });
    }

    fn left(&self, run: u32) -> bool {
        self.say(Verb::Left(run));
        self.inner().noted.remove(&run)
    }

    fn deleted(&self, deleted: &Deleted<u32, u32>) {
        self.inner().deleted = Some(*deleted);
    }

    /// The detector makes an error of it.
    fn harmed(&self, _run: u32, kind: Kind, addr: usize, block: Block) -> bool {
        self.inner().found.push(Found {
            kind,
            severity: Severity::Error,
            timer: None,
            addr,
            block,
            caller: Caller::Nobody,
            site: SITE,
            blocked: None,
        });
        true
    }

    fn found(&self, found: &Found<u32>) -> Option<u32> {
        let mut inner = self.inner();
        inner.found.push(*found);
        Some(inner.found.len() as u32)
    }

    fn worsened(&self, finding: u32) {
        self.say(Verb::Worsened(finding));
    }

    fn futile(&self, op: Op, _site: usize) {
        self.say(Verb::Futile(op));
    }
}
