//! Builds valid record images in memory, for the tests of the reader and of the
//! command (which includes this file by path). Knows the layout from
//! [`layout`]'s types alone, like the reader.

use core::mem::offset_of;

use super::{Api, Consequence, Counter, Kind, Op, layout};
use layout::{
    AgesEntry, BodySegment, FULL_BYTES, FindingEntry, HEAD_BYTES, HeadSegment, HeapSiteEntry,
    ModuleEntry, READY, SiteEntry, StackEntry, StackRole, Verdict,
};

/// A record file that grows by table entries.
pub struct Image {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    names_used: usize,
    used: [usize; 5],
}

/// What a site entry of an [`Image`] holds.
pub struct SiteImage {
    pub op: Op,
    pub frame: layout::Frame,
    pub handler: layout::Frame,
    pub calls: u64,
    pub while_running: u64,
    pub consequence: Consequence,
    /// One duration for every landing.
    pub windows_ns: Vec<u64>,
}

/// What a finding entry of an [`Image`] holds.
pub struct FindingImage {
    pub kind: Kind,
    pub consequence: Consequence,
    pub api: Api,
    pub verdicts: Vec<(Verdict, u32)>,
    pub unresolved: u32,
    pub stacks: Vec<(StackRole, usize)>,
}

impl Image {
    /// A record without tables of process `pid`.
    pub fn new(pid: u32) -> Image {
        let mut image = Image { bytes: vec![0; HEAD_BYTES], names_used: 0, used: [0; 5] };
        image.put(0, &layout::MAGIC);
        image.u32(offset_of!(HeadSegment, version), layout::VERSION);
        image.u32(offset_of!(HeadSegment, head_bytes), size_of::<HeadSegment>() as u32);
        image.u32(offset_of!(HeadSegment, body_bytes), size_of::<BodySegment>() as u32);
        image.u32(offset_of!(HeadSegment, pid), pid);
        image.u32(offset_of!(HeadSegment, parent_pid), 1);
        image.u64(offset_of!(HeadSegment, process_start_ticks), u64::MAX);
        image.u64(offset_of!(HeadSegment, start_unix_ns), 1_700_000_000_000_000_000);
        image.u64(offset_of!(HeadSegment, start_mono_ns), 1_000);
        image.put(offset_of!(HeadSegment, exe), b"/usr/bin/prog");
        image.put(offset_of!(HeadSegment, options), b"del=async");
        image.put(offset_of!(HeadSegment, argv), b"prog\0--flag\0x y\0");
        image.u32(offset_of!(HeadSegment, argv_used), 16);
        image
    }

    /// Overwrites bytes.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Overwrites four bytes.
    pub fn u32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    /// Overwrites eight bytes.
    pub fn u64(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    /// Records an end.
    pub fn end(&mut self, state: u32, code: u32, ns: u64) {
        self.u32(offset_of!(HeadSegment, end_state), state);
        self.u32(offset_of!(HeadSegment, end_code), code);
        self.u64(offset_of!(HeadSegment, end_ns), ns);
    }

    /// Sets a counter.
    pub fn counter(&mut self, counter: Counter, value: u64) {
        self.u64(offset_of!(HeadSegment, counters) + counter as usize * 8, value);
    }

    /// Sets the numbers of a size class.
    pub fn class(&mut self, class: usize, cells: [u64; layout::CLASS_CELLS]) {
        for (i, value) in cells.into_iter().enumerate() {
            let at = (class * layout::CLASS_CELLS + i) * 8;
            self.u64(offset_of!(HeadSegment, classes) + at, value);
        }
    }

    /// Adds live blocks of a site; where its entry lies.
    pub fn heap_site(&mut self, frame: layout::Frame, blocks: u64, bytes: u64) -> usize {
        let table = offset_of!(BodySegment, heap_sites);
        let (_, at) = self.next(4, table, size_of::<HeapSiteEntry>());
        self.u64(at + offset_of!(HeapSiteEntry, frame), frame);
        self.u64(at + offset_of!(HeapSiteEntry, blocks), blocks);
        self.u64(at + offset_of!(HeapSiteEntry, bytes), bytes);
        at
    }

    /// Adds the tables.
    fn body(&mut self) {
        self.bytes.resize(FULL_BYTES, 0);
        self.u32(offset_of!(HeadSegment, has_body), 1);
    }

    /// Position of the next entry of the table at `table`, published.
    fn next(&mut self, slot: usize, table: usize, size: usize) -> (usize, usize) {
        self.body();
        let index = self.used[slot];
        self.used[slot] += 1;
        let at = HEAD_BYTES + table + index * size;
        self.u32(at, READY);
        (index, at)
    }

    /// Adds a module; its index.
    pub fn module(&mut self, path: &str, build_id: &[u8], bias: u64) -> usize {
        let table = offset_of!(BodySegment, modules);
        let (index, at) = self.next(0, table, size_of::<ModuleEntry>());
        let name_at = self.names_used;
        self.names_used += path.len();
        self.put(HEAD_BYTES + offset_of!(BodySegment, names) + name_at, path.as_bytes());
        self.u32(at + offset_of!(ModuleEntry, path_at), name_at as u32);
        self.put(at + offset_of!(ModuleEntry, path_len), &(path.len() as u16).to_le_bytes());
        let id_len = (build_id.len() as u16).to_le_bytes();
        self.put(at + offset_of!(ModuleEntry, build_id_len), &id_len);
        self.put(at + offset_of!(ModuleEntry, build_id), build_id);
        self.u64(at + offset_of!(ModuleEntry, bias), bias);
        index
    }

    /// Adds a stack; its index.
    pub fn stack(&mut self, frames: &[layout::Frame]) -> usize {
        let table = offset_of!(BodySegment, stacks);
        let (index, at) = self.next(1, table, size_of::<StackEntry>());
        self.u32(at + offset_of!(StackEntry, depth), frames.len() as u32);
        for (i, &frame) in frames.iter().enumerate() {
            self.u64(at + offset_of!(StackEntry, frames) + i * 8, frame);
        }
        index
    }

    /// Adds a delete site; where its entry lies.
    pub fn site(&mut self, site: &SiteImage) -> usize {
        let table = offset_of!(BodySegment, sites);
        let (_, at) = self.next(2, table, size_of::<SiteEntry>());
        self.put(at + offset_of!(SiteEntry, op), &[site.op as u8]);
        self.put(at + offset_of!(SiteEntry, api), &[Api::Posix as u8]);
        self.u64(at + offset_of!(SiteEntry, frame), site.frame);
        self.u64(at + offset_of!(SiteEntry, handlers), site.handler);
        self.u64(at + offset_of!(SiteEntry, calls), site.calls);
        self.u64(at + offset_of!(SiteEntry, while_running), site.while_running);
        let consequence = offset_of!(SiteEntry, consequences) + site.consequence as usize * 4;
        self.u32(at + consequence, site.while_running as u32);
        let windows = &site.windows_ns;
        self.u64(at + offset_of!(SiteEntry, window_count), windows.len() as u64);
        let min = windows.iter().copied().min().unwrap_or(u64::MAX);
        self.u64(at + offset_of!(SiteEntry, window_min_ns), min);
        let max = windows.iter().copied().max().unwrap_or(0);
        self.u64(at + offset_of!(SiteEntry, window_max_ns), max);
        let mut counts = std::collections::BTreeMap::new();
        for &ns in windows {
            *counts.entry(super::histogram::bucket(ns)).or_insert(0u32) += 1;
        }
        for (bucket, count) in counts {
            self.u32(at + offset_of!(SiteEntry, window_buckets) + bucket * 4, count);
        }
        at
    }

    /// Adds a finding; where its entry lies.
    pub fn finding(&mut self, finding: &FindingImage) -> usize {
        let table = offset_of!(BodySegment, findings);
        let (_, at) = self.next(3, table, size_of::<FindingEntry>());
        self.put(at + offset_of!(FindingEntry, kind), &[finding.kind as u8]);
        self.put(at + offset_of!(FindingEntry, consequence), &[finding.consequence as u8]);
        self.put(at + offset_of!(FindingEntry, api), &[finding.api as u8]);
        self.u32(at + offset_of!(FindingEntry, unresolved), finding.unresolved);
        for &(verdict, count) in &finding.verdicts {
            self.u32(at + offset_of!(FindingEntry, verdicts) + verdict as usize * 4, count);
        }
        for &(role, stack) in &finding.stacks {
            self.u32(at + offset_of!(FindingEntry, stacks) + role as usize * 4, stack as u32 + 1);
        }
        self.u32(at + offset_of!(FindingEntry, threads), 77);
        self.u64(at + offset_of!(FindingEntry, first_ns), 5_000_000);
        self.u64(at + offset_of!(FindingEntry, last_ns), 9_000_000);
        at
    }

    /// Sets how long after the free the accesses of the finding added last were.
    pub fn ages(&mut self, ages_ns: &[u64]) {
        let number = self.used[3] - 1;
        let at = HEAD_BYTES + offset_of!(BodySegment, ages) + number * size_of::<AgesEntry>();
        self.u64(at + offset_of!(AgesEntry, min_ns), *ages_ns.iter().min().unwrap_or(&0));
        self.u64(at + offset_of!(AgesEntry, max_ns), *ages_ns.iter().max().unwrap_or(&0));
        let buckets = at + offset_of!(AgesEntry, buckets);
        for &ns in ages_ns {
            let bucket = super::histogram::bucket(ns);
            let count = ages_ns.iter().filter(|&&other| super::histogram::bucket(other) == bucket);
            let count = count.count() as u32;
            self.u32(buckets + bucket * 4, count);
        }
    }
}

/// The mail's program: 100 deletes at one site, all landed, 40 with the data freed.
pub fn showit(pid: u32) -> Image {
    let mut image = Image::new(pid);
    image.end(layout::END_EXIT, 0, 1_500_000_000);
    image.counter(Counter::TimersInited, 100);
    image.counter(Counter::DelCalls, 100);
    image.counter(Counter::DelWhileRunning, 100);
    let prog = image.module("/opt/app/showit", b"\x01\x02\x03", 0x5555_0000_0000);
    let libc = image.module("/lib/libc.so.6", b"\xaa\xbb", 0x7fff_0000_0000);
    let del_frame = layout::pack_frame(prog, 0x1234);
    let handler_frame = layout::pack_frame(prog, 0x1100);
    let del = image.stack(&[del_frame, layout::pack_frame(libc, 0x2724a)]);
    let handler = image.stack(&[handler_frame]);
    image.site(&SiteImage {
        op: Op::TimerDelete,
        frame: del_frame,
        handler: handler_frame,
        calls: 100,
        while_running: 100,
        consequence: Consequence::DataFreed,
        windows_ns: (0..100).map(|i| 900_000 + i * 5_000).collect(),
    });
    image.finding(&FindingImage {
        kind: Kind::DelWhileRunning,
        consequence: Consequence::DataFreed,
        api: Api::Posix,
        verdicts: vec![(Verdict::Tail, 3), (Verdict::Error, 40)],
        unresolved: 0,
        stacks: vec![(StackRole::Del, del), (StackRole::Handler, handler), (StackRole::Free, del)],
    });
    image
}
