//! Writes the record: lock-free, without allocation, safe in a signal handler.
//!
//! Tables are open-addressed by a 64-bit key; the compare-and-swap of the key
//! from 0 claims an entry. Whoever finds its key already there may count at
//! once, filled or not: counts start at zero, and the reader waits for `READY`.

use core::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use super::layout::*;
use super::mapped::{self, SegmentCell};
use crate::counters::Counter;
use crate::histogram;
use crate::kind::{Api, Consequence, Kind, Op, Subject};
use crate::platform::{Module, Platform};

/// A finding's identity and the particulars of its first occurrence.
#[derive(Clone, Copy, Debug)]
pub struct FindingSpec {
    /// What it is.
    pub kind: Kind,
    /// The worst that followed.
    pub consequence: Consequence,
    /// Where the timer comes from.
    pub api: Api,
    /// What an access hit.
    pub subject: Subject,
    /// `FLAG_*`
    pub flags: u32,
    /// Stack index + 1 by [`StackRole`], 0 for none.
    pub stacks: [u32; 6],
    /// Address concerned.
    pub addr: usize,
    /// Block concerned.
    pub base: usize,
    /// Its size.
    pub size: usize,
    /// Offset in the block.
    pub offset: isize,
    /// Time since the free, ns.
    pub age_ns: u64,
    /// The whole stack of the access tells it apart, not its first frame only.
    pub is_told_apart: bool,
    /// Bytes that should have been there.
    pub expected: [u8; 16],
    /// Bytes that were there.
    pub found: [u8; 16],
}

impl FindingSpec {
    /// A finding of `kind` with nothing else known.
    pub const fn new(kind: Kind, api: Api) -> FindingSpec {
        FindingSpec {
            kind,
            consequence: Consequence::None,
            api,
            subject: Subject::Heap,
            flags: 0,
            stacks: [0; 6],
            addr: 0,
            base: 0,
            size: 0,
            offset: 0,
            age_ns: 0,
            is_told_apart: false,
            expected: [0; 16],
            found: [0; 16],
        }
    }

    /// The same with a stack in `role`; 0, which is none, leaves what is known.
    pub const fn with(mut self, role: StackRole, stack: u32) -> FindingSpec {
        if stack != 0 {
            self.stacks[role as usize] = stack;
        }
        self
    }
}

/// The record of this process.
pub struct Recorder {
    head: SegmentCell<HeadSegment>,
    body: SegmentCell<BodySegment>,
    /// The handler last remembered for each site: spares the module look-up.
    last_handler: [AtomicU64; SITES],
    /// Delete sites of timer_list looked up last: the key's hash picks one of them,
    /// which holds key and index.
    recent_sites: [[AtomicU64; 2]; RECENT_SITES],
}

/// As many sites as delete timers in the same loop.
const RECENT_SITES: usize = 16;

impl Recorder {
    /// A recorder that counts in private memory until [`attach`](Self::attach).
    pub const fn new() -> Recorder {
        Recorder {
            head: SegmentCell::new(),
            body: SegmentCell::new(),
            last_handler: [const { AtomicU64::new(0) }; SITES],
            recent_sites: [const { [const { AtomicU64::new(0) }; 2] }; RECENT_SITES],
        }
    }

    /// Moves to another record (start, or a fork child); the body is asked for
    /// again when it is needed.
    pub fn attach(&self, head: &'static HeadSegment) {
        self.body.set(None);
        self.head.set(Some(head));
        for cell in self.last_handler.iter().chain(self.recent_sites.as_flattened()) {
            cell.store(0, Relaxed);
        }
    }

    /// The head segment.
    #[inline]
    pub fn head(&self) -> &'static HeadSegment {
        self.head.get().unwrap_or(&mapped::PRIVATE_HEAD)
    }

    /// The body, once somebody needed it.
    #[inline]
    pub fn body_if_any(&self) -> Option<&'static BodySegment> {
        self.body.get()
    }

    /// The body; asks the host for it the first time.
    #[inline]
    pub fn body(&self, platform: &dyn Platform) -> &'static BodySegment {
        if let Some(body) = self.body_if_any() {
            return body;
        }
        // Two threads may come here at once: the first one's body is everybody's.
        self.body.set_first(platform.body().unwrap_or(&mapped::PRIVATE_BODY))
    }

    /// Adds to a counter.
    #[inline]
    pub fn count(&self, counter: Counter, n: u64) {
        self.head().counters[counter as usize].fetch_add(n, Relaxed);
    }

    /// Adds to a counter, under the lock of the timer_list engine.
    #[inline]
    pub fn count_locked(&self, counter: Counter, n: u64) {
        add_locked(&self.head().counters[LOCKED_CELLS + counter as usize], n);
    }

    /// A counter's value.
    pub fn counter(&self, counter: Counter) -> u64 {
        let cells = &self.head().counters;
        let locked = cells[LOCKED_CELLS + counter as usize].load(Relaxed);
        cells[counter as usize].load(Relaxed).wrapping_add(locked)
    }

    /// The entry of a delete site; `return_addr` is the caller's return address.
    pub fn site(
        &self,
        platform: &dyn Platform,
        api: Api,
        op: Op,
        return_addr: usize,
    ) -> Option<(u32, &'static SiteEntry)> {
        let body = self.body(platform);
        let key = site_key(api, op, return_addr);
        let claimed = claim(&body.sites, key, |s| &s.key);
        let Some((index, new)) = claimed else {
            self.count(Counter::DroppedSites, 1);
            return None;
        };
        let site = &body.sites[index];
        if new {
            site.op.store(op as u8, Relaxed);
            site.api.store(api as u8, Relaxed);
            site.window_min_ns.store(u64::MAX, Relaxed);
            site.frame.store(self.frame(platform, return_addr.wrapping_sub(1)), Relaxed);
            site.state.store(READY, Release);
        }
        Some((index as u32, site))
    }

    /// As [`site`](Self::site) for timer_list, under its engine's lock.
    #[inline]
    pub fn site_locked(
        &self,
        platform: &dyn Platform,
        op: Op,
        return_addr: usize,
    ) -> Option<(u32, &'static SiteEntry)> {
        let key = site_key(Api::TimerList, op, return_addr);
        let recent = ((return_addr ^ return_addr >> 4) as u64 ^ op as u64) as usize % RECENT_SITES;
        let [known, index] = &self.recent_sites[recent];
        if known.load(Relaxed) != key {
            let (found, _) = self.site(platform, Api::TimerList, op, return_addr)?;
            index.store(u64::from(found), Relaxed);
            known.store(key, Relaxed);
        }
        let index = index.load(Relaxed) as u32;
        Some((index, self.body(platform).sites.get(index as usize)?))
    }

    /// Remembers that the site of this index deletes timers of `handler`.
    pub fn site_handler(&self, platform: &dyn Platform, site: u32, handler: usize) {
        let last = &self.last_handler[site as usize % SITES];
        if handler == 0 || last.load(Relaxed) == handler as u64 {
            return;
        }
        last.store(handler as u64, Relaxed);
        let Some(site) = self.body(platform).sites.get(site as usize) else { return };
        let frame = self.frame(platform, handler);
        for cell in &site.handlers {
            match cell.compare_exchange(0, frame, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(old) if old == frame => return,
                Err(_) => {}
            }
        }
        site.handlers_dropped.fetch_add(1, Relaxed);
    }

    /// The calling thread's stack as index + 1; 0 if there is no room.
    pub fn capture(&self, platform: &dyn Platform) -> u32 {
        let mut addrs = [0usize; STACK_DEPTH];
        let depth = platform.capture(&mut addrs).min(STACK_DEPTH);
        self.stack(platform, &addrs[..depth])
    }

    /// A stack of one address, as index + 1; 0 for address 0.
    pub fn single(&self, platform: &dyn Platform, addr: usize) -> u32 {
        if addr == 0 { 0 } else { self.stack(platform, &[addr]) }
    }

    /// Stores a stack, as index + 1; 0 if it is empty or there is no room.
    pub fn stack(&self, platform: &dyn Platform, addrs: &[usize]) -> u32 {
        if addrs.is_empty() {
            return 0;
        }
        let body = self.body(platform);
        let mut frames = [0u64; STACK_DEPTH];
        let mut key = addrs.len() as u64;
        for (frame, &addr) in frames.iter_mut().zip(addrs) {
            *frame = self.frame(platform, addr);
            key = mix(key, *frame);
        }
        match claim(&body.stacks, key | 1 << 63, |s| &s.key) {
            None => {
                self.count(Counter::DroppedEvents, 1);
                0
            }
            Some((index, new)) => {
                if new {
                    let entry = &body.stacks[index];
                    for (cell, &frame) in entry.frames.iter().zip(&frames) {
                        cell.store(frame, Relaxed);
                    }
                    entry.depth.store(addrs.len().min(STACK_DEPTH) as u32, Relaxed);
                    entry.state.store(READY, Release);
                }
                index as u32 + 1
            }
        }
    }

    /// The entry of a finding, new or known.
    pub fn finding(&self, platform: &dyn Platform, spec: &FindingSpec) -> Option<u32> {
        let body = self.body(platform);
        let mut key = (spec.kind as u64) << 16
            | (spec.consequence as u64) << 8
            | (spec.api as u64) << 4
            | spec.subject as u64;
        for stack in spec.stacks {
            let frame = match stack.checked_sub(1) {
                Some(i) => body.stacks.get(i as usize).map_or(0, |s| s.frames[0].load(Relaxed)),
                None => 0,
            };
            key = mix(key, frame);
        }
        if spec.is_told_apart {
            key = mix(key, u64::from(spec.stacks[StackRole::Access as usize]));
        }
        let Some((index, new)) = claim(&body.findings, key | 1 << 63, |f| &f.key) else {
            self.count(Counter::DroppedEvents, 1);
            return None;
        };
        if new {
            let f = &body.findings[index];
            f.kind.store(spec.kind as u8, Relaxed);
            f.consequence.store(spec.consequence as u8, Relaxed);
            f.api.store(spec.api as u8, Relaxed);
            f.subject.store(spec.subject as u8, Relaxed);
            f.flags.store(spec.flags, Relaxed);
            for (cell, &stack) in f.stacks.iter().zip(&spec.stacks) {
                cell.store(stack, Relaxed);
            }
            f.addr.store(spec.addr as u64, Relaxed);
            f.base.store(spec.base as u64, Relaxed);
            f.size.store(spec.size as u64, Relaxed);
            f.offset.store(spec.offset as i64, Relaxed);
            f.age_ns.store(spec.age_ns, Relaxed);
            store_bytes(&f.expected, &spec.expected);
            store_bytes(&f.found, &spec.found);
            f.first_ns.store(self.now(platform), Relaxed);
            f.state.store(READY, Release);
        }
        Some(index as u32)
    }

    /// Counts an occurrence whose verdict is known.
    pub fn occurred(&self, platform: &dyn Platform, finding: u32, verdict: Verdict) {
        let Some(f) = self.entry(finding) else { return };
        self.touch(platform, f);
        f.verdicts[verdict as usize].fetch_add(1, Relaxed);
        platform.wake();
    }

    /// Counts how long after the free an access was; 0 if that is not known.
    pub fn aged(&self, finding: u32, age_ns: u64) {
        let body = self.body_if_any();
        let Some(ages) = body.and_then(|body| body.ages.get(finding as usize)) else { return };
        if age_ns == 0 {
            return;
        }
        let shortest = |min: u64| (min == 0 || age_ns < min).then_some(age_ns);
        let _ = ages.min_ns.fetch_update(Relaxed, Relaxed, shortest);
        ages.max_ns.fetch_max(age_ns, Relaxed);
        ages.buckets[histogram::bucket(age_ns)].fetch_add(1, Relaxed);
    }

    /// Counts an occurrence whose verdict is to come.
    pub fn open(&self, platform: &dyn Platform, finding: u32) {
        let Some(f) = self.entry(finding) else { return };
        self.touch(platform, f);
        f.unresolved.fetch_add(1, Relaxed);
    }

    /// Takes back what [`open`](Self::open) counted, to count it elsewhere.
    pub fn close(&self, finding: u32) {
        if let Some(f) = self.entry(finding) {
            f.unresolved.fetch_sub(1, Relaxed);
        }
    }

    /// Changes one occurrence's verdict.
    pub fn reclassify(&self, finding: u32, from: Verdict, to: Verdict) {
        if let Some(f) = self.entry(finding) {
            f.verdicts[from as usize].fetch_sub(1, Relaxed);
            f.verdicts[to as usize].fetch_add(1, Relaxed);
        }
    }

    fn entry(&self, finding: u32) -> Option<&'static FindingEntry> {
        self.body_if_any()?.findings.get(finding as usize)
    }

    fn touch(&self, platform: &dyn Platform, f: &FindingEntry) {
        f.last_ns.store(self.now(platform), Relaxed);
        let tid = platform.thread().tid;
        for cell in &f.threads {
            match cell.compare_exchange(0, tid, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(old) if old == tid => break,
                Err(_) => {}
            }
        }
    }

    /// Time since the record's start, ns.
    pub fn now(&self, platform: &dyn Platform) -> u64 {
        platform.now_ns().saturating_sub(self.head().start_mono_ns.load(Relaxed))
    }

    /// An address as the record stores it; registers its module.
    pub fn frame(&self, platform: &dyn Platform, addr: usize) -> Frame {
        let mut frame = addr as u64 & 0xffff_ffff_ffff;
        platform.module_of(addr, &mut |module| {
            if let Some(index) = self.module(platform, module) {
                frame = pack_frame(index, (addr.wrapping_sub(module.bias)) as u64);
            }
        });
        frame
    }

    fn module(&self, platform: &dyn Platform, module: &Module<'_>) -> Option<usize> {
        let body = self.body(platform);
        for (index, entry) in body.modules.iter().enumerate() {
            match entry.state.load(Acquire) {
                READY if is_module(entry, body, module) => return Some(index),
                EMPTY if entry.state.compare_exchange(EMPTY, CLAIMED, Acquire, Relaxed).is_ok() => {
                    self.fill_module(entry, body, module);
                    return Some(index);
                }
                _ => {}
            }
        }
        self.count(Counter::DroppedEvents, 1);
        None
    }

    fn fill_module(&self, entry: &ModuleEntry, body: &BodySegment, module: &Module<'_>) {
        entry.bias.store(module.bias as u64, Relaxed);
        entry.start.store(module.start as u64, Relaxed);
        entry.end.store(module.end as u64, Relaxed);
        let path = &module.path[..module.path.len().min(4096)];
        let at = self.head().names_used.fetch_add(path.len() as u32, Relaxed) as usize;
        if let Some(room) = body.names.get(at..at.saturating_add(path.len())) {
            store_bytes(room, path);
            entry.path_at.store(at as u32, Relaxed);
            entry.path_len.store(path.len() as u16, Relaxed);
        }
        let id = &module.build_id[..module.build_id.len().min(BUILD_ID_BYTES)];
        store_bytes(&entry.build_id, id);
        entry.build_id_len.store(id.len() as u16, Relaxed);
        entry.state.store(READY, Release);
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder::new()
    }
}

fn is_module(entry: &ModuleEntry, body: &BodySegment, module: &Module<'_>) -> bool {
    let at = entry.path_at.load(Relaxed) as usize;
    let len = entry.path_len.load(Relaxed) as usize;
    entry.start.load(Relaxed) == module.start as u64
        && entry.bias.load(Relaxed) == module.bias as u64
        && entry.end.load(Relaxed) == module.end as u64
        && body.names.get(at..at + len).is_some_and(|name| {
            len == 0 || name.iter().map(|b| b.load(Relaxed)).eq(module.path.iter().copied())
        })
}

/// Copies bytes into atomic cells, as many as fit.
pub fn store_bytes(cells: &[AtomicU8], bytes: &[u8]) {
    for (cell, &byte) in cells.iter().zip(bytes) {
        cell.store(byte, Relaxed);
    }
}

const fn site_key(api: Api, op: Op, return_addr: usize) -> u64 {
    (return_addr as u64) << 8 | (op as u64) << 4 | api as u64 | 1 << 63
}

/// Adds to a cell that only who holds a lock adds to: no other thread's step is
/// lost, and it costs no locked instruction.
#[inline]
pub(crate) fn add_locked(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Finds the entry of `key`, or claims an empty one; `true` if it is new.
/// Inlined, so that the table's length is known and nothing is divided by it.
#[inline(always)]
fn claim<T>(entries: &[T], key: u64, key_of: impl Fn(&T) -> &AtomicU64) -> Option<(usize, bool)> {
    let start = (mix(0, key) >> 16) as usize % entries.len();
    (0..entries.len()).map(|i| (start + i) % entries.len()).find_map(|index| {
        let cell = key_of(&entries[index]);
        let found = match cell.load(Acquire) {
            0 => cell.compare_exchange(0, key, Release, Acquire).unwrap_or_else(|now| now),
            now => now,
        };
        match found {
            0 => Some((index, true)),
            now if now == key => Some((index, false)),
            _ => None,
        }
    })
}

const fn mix(hash: u64, value: u64) -> u64 {
    let mixed = (hash.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}
