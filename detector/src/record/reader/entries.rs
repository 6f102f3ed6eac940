//! The tables of the body: modules, stacks, delete sites, findings.

use core::mem::offset_of;

use super::bytes::Bytes;
use super::{Ages, Finding, Frame, HeapSite, Module, Record, Site, head};
use crate::histogram::BUCKETS;
use crate::record::layout::{
    self, AgesEntry, BodySegment, FindingEntry, HEAD_BYTES, HeapSiteEntry, ModuleEntry, SiteEntry,
    StackEntry,
};
use crate::{Api, Consequence, Kind, Op, Subject};

/// What became of a table's entries.
#[derive(Default)]
struct Tally {
    unfinished: usize,
    damaged: usize,
    missing: usize,
}

/// Linux's PATH_MAX: a longer path is no path (and many long ones that overlap
/// would take more memory than the file).
const PATH_BYTES_MAX: usize = 4096;

/// The raw address zero minus one, as a frame stores it.
const BOTTOM: layout::Frame = 0xffff_ffff_ffff;

/// Place of an entry in its table -> place of the value made from it.
type Places = Vec<Option<usize>>;

/// Reads the tables of `file` into `record`.
pub(super) fn read_body(file: Bytes<'_>, record: &mut Record) {
    let names = file.up_to(HEAD_BYTES + offset_of!(BodySegment, names), layout::NAME_BYTES);
    let problems = &mut record.problems;

    let table = Table::<ModuleEntry>::new(offset_of!(BodySegment, modules), layout::MODULES);
    let (modules, module_places) = table.read(file, "modules", problems, |e| module(e, names));
    let frames = Frames { places: &module_places };

    let table = Table::<StackEntry>::new(offset_of!(BodySegment, stacks), layout::STACKS);
    let (stacks, stack_places) = table.read(file, "stacks", problems, |e| stack(e, frames));

    let table = Table::<SiteEntry>::new(offset_of!(BodySegment, sites), layout::SITES);
    let (sites, _) = table.read(file, "delete sites", problems, |e| site(e, frames));

    let table = Table::<FindingEntry>::new(offset_of!(BodySegment, findings), layout::FINDINGS);
    let (mut findings, finding_places) =
        table.read(file, "findings", problems, |e| finding(e, &stack_places));
    for (number, place) in finding_places.into_iter().enumerate() {
        if let Some(place) = place {
            findings[place].ages = ages(file, number).unwrap_or_default();
        }
    }

    let table =
        Table::<HeapSiteEntry>::new(offset_of!(BodySegment, heap_sites), layout::HEAP_SITES);
    let (heap_sites, _) = table.read(file, "live blocks", problems, |e| heap_site(e, frames));

    if let Some(crash) = &mut record.process.crash {
        let index = (head::crash_stack(file) as usize).checked_sub(1);
        crash.stack = index.and_then(|index| *stack_places.get(index)?);
    }
    record.modules = modules;
    record.stacks = stacks;
    record.sites = sites;
    record.findings = findings;
    record.heap_sites = heap_sites;
}

/// A table of entries `E`, each of which starts with its state.
struct Table<E> {
    at: usize,
    len: usize,
    entry: core::marker::PhantomData<E>,
}

impl<E> Table<E> {
    /// The table at `at` in the body, of `len` entries.
    fn new(at: usize, len: usize) -> Table<E> {
        Table { at: HEAD_BYTES + at, len, entry: core::marker::PhantomData }
    }

    /// The published entries through `parse`; `None` from it means damaged.
    fn read<T>(
        &self,
        file: Bytes<'_>,
        name: &str,
        problems: &mut Vec<String>,
        parse: impl Fn(Bytes<'_>) -> Option<T>,
    ) -> (Vec<T>, Places) {
        let (mut values, mut places, mut tally) =
            (Vec::new(), vec![None; self.len], Tally::default());
        for (i, place) in places.iter_mut().enumerate() {
            let Some(raw) = file.slice(self.at + i * size_of::<E>(), size_of::<E>()) else {
                tally.missing += 1;
                continue;
            };
            match Bytes(raw).u32(0) {
                Some(layout::EMPTY) => {}
                Some(layout::CLAIMED) => tally.unfinished += 1,
                Some(layout::READY) => match parse(Bytes(raw)) {
                    Some(value) => {
                        *place = Some(values.len());
                        values.push(value);
                    }
                    None => tally.damaged += 1,
                },
                _ => tally.damaged += 1,
            }
        }
        tally.tell(name, self.len, problems);
        (values, places)
    }
}

impl Tally {
    fn tell(&self, name: &str, len: usize, problems: &mut Vec<String>) {
        if self.unfinished > 0 {
            problems.push(format!("{name}: {} left half-written", self.unfinished));
        }
        if self.damaged > 0 {
            problems.push(format!("{name}: {} damaged", self.damaged));
        }
        if self.missing > 0 {
            problems.push(format!("cut off: {} of {len} entries for {name} missing", self.missing));
        }
    }
}

/// Turns stored frames into [`Frame`]s.
#[derive(Clone, Copy)]
struct Frames<'a> {
    places: &'a Places,
}

impl Frames<'_> {
    fn get(self, stored: layout::Frame) -> Option<Frame> {
        // No address, or what a return address of zero (a stack's bottom) became.
        if stored == 0 || stored == BOTTOM {
            return None;
        }
        let (index, offset) = layout::unpack_frame(stored);
        let module = index.and_then(|i| self.places.get(i).copied().flatten());
        Some(Frame { module, offset })
    }
}

fn module(e: Bytes<'_>, names: &[u8]) -> Option<Module> {
    let at = e.u32(offset_of!(ModuleEntry, path_at))? as usize;
    let len = e.u16(offset_of!(ModuleEntry, path_len))? as usize;
    let path = names.get(at..at.checked_add(len)?)?;
    let id_len = e.u16(offset_of!(ModuleEntry, build_id_len))? as usize;
    if len > PATH_BYTES_MAX || id_len > layout::BUILD_ID_BYTES {
        return None;
    }
    Some(Module {
        path: String::from_utf8_lossy(path).into_owned(),
        build_id: e.slice(offset_of!(ModuleEntry, build_id), id_len)?.to_vec(),
        bias: e.u64(offset_of!(ModuleEntry, bias))?,
    })
}

fn stack(e: Bytes<'_>, frames: Frames<'_>) -> Option<Vec<Frame>> {
    let depth = e.u32(offset_of!(StackEntry, depth))? as usize;
    let stored = e.u64s::<{ layout::STACK_DEPTH }>(offset_of!(StackEntry, frames))?;
    Some(stored.get(..depth)?.iter().filter_map(|&f| frames.get(f)).collect())
}

fn heap_site(e: Bytes<'_>, frames: Frames<'_>) -> Option<HeapSite> {
    Some(HeapSite {
        frame: frames.get(e.u64(offset_of!(HeapSiteEntry, frame))?),
        blocks: e.u64(offset_of!(HeapSiteEntry, blocks))?,
        bytes: e.u64(offset_of!(HeapSiteEntry, bytes))?,
    })
}

fn site(e: Bytes<'_>, frames: Frames<'_>) -> Option<Site> {
    let u64 = |at| e.u64(at);
    let counts = e.u32s::<8>(offset_of!(SiteEntry, consequences))?;
    let buckets = e.u32s::<BUCKETS>(offset_of!(SiteEntry, window_buckets))?;
    let handlers = e.u64s::<{ layout::SITE_HANDLERS }>(offset_of!(SiteEntry, handlers))?;
    Some(Site {
        api: Api::from_u8(e.u8(offset_of!(SiteEntry, api))?)?,
        op: Op::from_u8(e.u8(offset_of!(SiteEntry, op))?)?,
        frame: frames.get(u64(offset_of!(SiteEntry, frame))?)?,
        handlers: handlers.iter().filter_map(|&h| frames.get(h)).collect(),
        handlers_dropped: e.u16(offset_of!(SiteEntry, handlers_dropped))?.into(),
        calls: u64(offset_of!(SiteEntry, calls))?,
        returned_pending: u64(offset_of!(SiteEntry, returned_pending))?,
        while_running: u64(offset_of!(SiteEntry, while_running))?,
        in_tail: u64(offset_of!(SiteEntry, in_tail))?,
        self_deletes: u64(offset_of!(SiteEntry, self_deletes))?,
        sync_waits: u64(offset_of!(SiteEntry, sync_waits))?,
        sync_wait_total_ns: u64(offset_of!(SiteEntry, sync_wait_total_ns))?,
        sync_wait_max_ns: u64(offset_of!(SiteEntry, sync_wait_max_ns))?,
        re_deletes: u64(offset_of!(SiteEntry, re_deletes))?,
        readds_by_handler: u64(offset_of!(SiteEntry, readds_by_handler))?,
        readds_by_other: u64(offset_of!(SiteEntry, readds_by_other))?,
        consequences: core::array::from_fn(|i| counts.get(i).copied().unwrap_or(0).into()),
        window_min_ns: u64(offset_of!(SiteEntry, window_min_ns))?,
        window_max_ns: u64(offset_of!(SiteEntry, window_max_ns))?,
        windows: filled(buckets),
    })
}

/// The buckets of a histogram that are not empty, with their counts.
fn filled(buckets: [u32; BUCKETS]) -> Vec<(usize, u64)> {
    (0..BUCKETS).zip(buckets).filter(|&(_, n)| n > 0).map(|(b, n)| (b, n.into())).collect()
}

/// What stands at the place of a finding among the ages.
fn ages(file: Bytes<'_>, number: usize) -> Option<Ages> {
    let at = HEAD_BYTES + offset_of!(BodySegment, ages) + number * size_of::<AgesEntry>();
    let e = Bytes(file.slice(at, size_of::<AgesEntry>())?);
    Some(Ages {
        min_ns: e.u64(offset_of!(AgesEntry, min_ns))?,
        max_ns: e.u64(offset_of!(AgesEntry, max_ns))?,
        buckets: filled(e.u32s::<BUCKETS>(offset_of!(AgesEntry, buckets))?),
    })
}

fn finding(e: Bytes<'_>, stacks: &Places) -> Option<Finding> {
    let flags = e.u32(offset_of!(FindingEntry, flags))?;
    let indexes = e.u32s::<6>(offset_of!(FindingEntry, stacks))?;
    let threads = e.u32s::<{ layout::FINDING_THREADS }>(offset_of!(FindingEntry, threads))?;
    let expected = e.bytes16(offset_of!(FindingEntry, expected))?;
    let found = e.bytes16(offset_of!(FindingEntry, found))?;
    Some(Finding {
        kind: Kind::from_u8(e.u8(offset_of!(FindingEntry, kind))?)?,
        consequence: Consequence::from_u8(e.u8(offset_of!(FindingEntry, consequence))?)?,
        api: Api::from_u8(e.u8(offset_of!(FindingEntry, api))?)?,
        subject: Subject::from_u8(e.u8(offset_of!(FindingEntry, subject))?)?,
        late: flags & layout::FLAG_LATE != 0,
        declared_async: flags & layout::FLAG_DECLARED_ASYNC != 0,
        own_wait: flags & layout::FLAG_OWN_WAIT != 0,
        unresolved: e.u32(offset_of!(FindingEntry, unresolved))?.into(),
        verdicts: e.u32s::<4>(offset_of!(FindingEntry, verdicts))?.map(u64::from),
        first_ns: e.u64(offset_of!(FindingEntry, first_ns))?,
        last_ns: e.u64(offset_of!(FindingEntry, last_ns))?,
        stacks: indexes.map(|i| stacks.get((i as usize).checked_sub(1)?).copied().flatten()),
        threads: threads.into_iter().filter(|&t| t != 0).collect(),
        addr: e.u64(offset_of!(FindingEntry, addr))?,
        base: e.u64(offset_of!(FindingEntry, base))?,
        size: e.u64(offset_of!(FindingEntry, size))?,
        offset: e.i64(offset_of!(FindingEntry, offset))?,
        age_ns: e.u64(offset_of!(FindingEntry, age_ns))?,
        ages: Ages::default(),
        bytes: (flags & layout::FLAG_BYTES != 0).then_some((expected, found)),
    })
}

const _: () = {
    assert!(Consequence::ALL.len() <= 8);
    assert!(offset_of!(ModuleEntry, state) == 0 && offset_of!(SiteEntry, state) == 0);
    assert!(offset_of!(StackEntry, state) == 0 && offset_of!(FindingEntry, state) == 0);
};
