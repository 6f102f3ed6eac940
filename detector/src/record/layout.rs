//! The record file's layout, version 7: what the writer maps and the reader
//! parses. Everything is little-endian and of fixed size.
//!
//! ```text
//!  0           HeadSegment   header, process texts, counters      (every process)
//!  HEAD_BYTES  BodySegment   modules, names, delete sites, stacks, (from the first
//!                            findings                               timer or finding)
//! ```
//!
//! # Ground rules
//!
//! * Every cell is an atomic: the file is a shared mapping, written by all
//!   threads and by signal handlers, and must make sense if the process is
//!   killed between any two stores.
//! * Table entries have a `state`: [`EMPTY`] -> [`CLAIMED`] (one writer won the
//!   compare-and-swap and fills the fields) -> [`READY`] (published with
//!   Release; the fields that identify it never change again, counts do).
//! * The mapping lies in a buggy program's reach. Nothing read back from it is
//!   used as an index or a length without a bound; the reader trusts nothing.
//! * A layout change needs a new [`VERSION`]; the sizes are asserted below.

use core::sync::atomic::{AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use super::crash::CrashEntry;
use crate::histogram::BUCKETS;

/// First bytes of every record.
pub const MAGIC: [u8; 8] = *b"DEADWALK";
/// The version of this layout; the reader refuses others.
pub const VERSION: u32 = 7;
/// File suffix of a record.
pub const SUFFIX: &str = "dwrec";

/// An entry nobody has used.
pub const EMPTY: u32 = 0;
/// An entry whose writer is filling it.
pub const CLAIMED: u32 = 1;
/// An entry that may be read.
pub const READY: u32 = 2;

/// `HeadSegment::end_state`: no end was recorded (running, killed, or replaced by exec).
pub const END_NONE: u32 = 0;
/// `HeadSegment::end_state`: exited; `end_code` is the status.
pub const END_EXIT: u32 = 1;
/// `HeadSegment::end_state`: killed; `end_code` is the signal. Written by `deadwalk run`.
pub const END_SIGNAL: u32 = 2;

/// Bytes kept of the executable's path.
pub const EXE_BYTES: usize = 1024;
/// Bytes kept of the command line, arguments separated by NUL.
pub const ARGV_BYTES: usize = 4096;
/// Bytes kept of the option string.
pub const OPTIONS_BYTES: usize = 1024;
/// Room for counters; the unused rest is for later versions of the program.
pub const COUNTER_CELLS: usize = 128;
/// A counter is the sum of two cells, so far apart: the first is added to atomically,
/// the second only by who holds the lock of the timer_list engine.
pub const LOCKED_CELLS: usize = 64;

/// Size classes of the heap that a record has room for.
pub const HEAP_CLASSES: usize = 128;
/// Numbers kept of a class: slot size in bytes, allocations, frees, live blocks.
pub const CLASS_CELLS: usize = 4;

/// Modules (executables and shared objects, also unloaded ones).
pub const MODULES: usize = 256;
/// Bytes for the modules' paths.
pub const NAME_BYTES: usize = 64 * 1024;
/// Delete call sites.
pub const SITES: usize = 256;
/// Distinct stacks.
pub const STACKS: usize = 2048;
/// Frames kept of a stack, innermost first.
pub const STACK_DEPTH: usize = 24;
/// Distinct findings.
pub const FINDINGS: usize = 512;
/// Distinct handlers remembered per delete site.
pub const SITE_HANDLERS: usize = 4;
/// Allocation sites of blocks that were live at the end.
pub const HEAP_SITES: usize = 1024;
/// Threads remembered per finding.
pub const FINDING_THREADS: usize = 4;
/// Build-id bytes kept.
pub const BUILD_ID_BYTES: usize = 32;

/// A code address as stored: module index + 1 in the upper 16 bits and the
/// offset from the module's load bias in the lower 48. Upper bits zero: the raw
/// address, its module unknown. 0: no address. Return addresses are stored
/// minus one, so that the offset lies inside the calling instruction.
pub type Frame = u64;

/// Packs a frame of module `index` (see [`Frame`]).
pub const fn pack_frame(index: usize, offset: u64) -> Frame {
    ((index as u64 + 1) << 48) | (offset & 0xffff_ffff_ffff)
}

/// The module index (if known) and the offset or raw address of a frame.
pub const fn unpack_frame(frame: Frame) -> (Option<usize>, u64) {
    let offset = frame & 0xffff_ffff_ffff;
    match frame >> 48 {
        0 => (None, offset),
        m => (Some(m as usize - 1), offset),
    }
}

/// The part that every record has.
#[repr(C)]
pub struct HeadSegment {
    /// [`MAGIC`].
    pub magic: [AtomicU8; 8],
    /// [`VERSION`].
    pub version: AtomicU32,
    /// `size_of::<HeadSegment>()`, a cross-check.
    pub head_bytes: AtomicU32,
    /// `size_of::<BodySegment>()`, a cross-check.
    pub body_bytes: AtomicU32,
    /// 1 once the body segment follows.
    pub has_body: AtomicU32,
    /// Process id.
    pub pid: AtomicU32,
    /// Parent's process id at start.
    pub parent_pid: AtomicU32,
    /// Field 22 of /proc/self/stat: with `pid` it names the process across exec.
    pub process_start_ticks: AtomicU64,
    /// Start of recording, wall clock, ns since 1970.
    pub start_unix_ns: AtomicU64,
    /// Start of recording, CLOCK_MONOTONIC, ns. All other times are relative to it.
    pub start_mono_ns: AtomicU64,
    /// One of the `END_*` values.
    pub end_state: AtomicU32,
    /// Exit status or signal.
    pub end_code: AtomicU32,
    /// Time of the end, ns since `start_mono_ns`.
    pub end_ns: AtomicU64,
    /// Name bytes used in the body.
    pub names_used: AtomicU32,
    /// Bytes used of `argv`.
    pub argv_used: AtomicU32,
    /// 1 if this process was started by a fork of a recorded one (no exec).
    pub forked: AtomicU32,
    /// The delete policy in force, a [`crate::options::DelPolicy`] + 1; 0 unknown.
    pub policy: AtomicU32,
    /// How access to pages is taken away, a [`super::guard_means::GuardMeans`].
    pub guard_means: AtomicU32,
    /// Reserved.
    pub reserved: [AtomicU32; 11],
    /// What ended the process, if it crashed.
    pub crash: CrashEntry,
    /// Executable, NUL-terminated unless full.
    pub exe: [AtomicU8; EXE_BYTES],
    /// Option string in force, NUL-terminated unless full.
    pub options: [AtomicU8; OPTIONS_BYTES],
    /// Command line.
    pub argv: [AtomicU8; ARGV_BYTES],
    /// Counters by [`crate::counters::Counter`], twice: see [`LOCKED_CELLS`].
    pub counters: [AtomicU64; COUNTER_CELLS],
    /// The heap by size class: see [`CLASS_CELLS`].
    pub classes: [[AtomicU64; CLASS_CELLS]; HEAP_CLASSES],
}

/// A module.
#[repr(C)]
pub struct ModuleEntry {
    /// [`EMPTY`], [`CLAIMED`] or [`READY`].
    pub state: AtomicU32,
    /// Position of the path among the names.
    pub path_at: AtomicU32,
    /// Length of the path.
    pub path_len: AtomicU16,
    /// Length of the build id, 0 if there is none.
    pub build_id_len: AtomicU16,
    /// Unused.
    pub pad: AtomicU32,
    /// Load bias: address minus the address in the ELF file.
    pub bias: AtomicU64,
    /// First mapped address.
    pub start: AtomicU64,
    /// End of the mapping.
    pub end: AtomicU64,
    /// GNU build id.
    pub build_id: [AtomicU8; BUILD_ID_BYTES],
}

/// A call site of a delete, with its statistics.
#[repr(C)]
pub struct SiteEntry {
    /// [`EMPTY`], [`CLAIMED`] or [`READY`].
    pub state: AtomicU32,
    /// An [`crate::Op`].
    pub op: AtomicU8,
    /// An [`crate::Api`].
    pub api: AtomicU8,
    /// How many further handlers found no place below.
    pub handlers_dropped: AtomicU16,
    /// Raw return address and op: what the writer looks up.
    pub key: AtomicU64,
    /// The site.
    pub frame: AtomicU64,
    /// Deletes and disarms that took effect.
    pub calls: AtomicU64,
    /// ... of an armed timer.
    pub returned_pending: AtomicU64,
    /// ... that returned while the handler ran elsewhere.
    pub while_running: AtomicU64,
    /// ... of these, where the handler was in its tail.
    pub in_tail: AtomicU64,
    /// ... from the timer's own handler.
    pub self_deletes: AtomicU64,
    /// Waiting deletes that found the handler running.
    pub sync_waits: AtomicU64,
    /// Their waiting time, ns.
    pub sync_wait_total_ns: AtomicU64,
    /// The longest of them, ns.
    pub sync_wait_max_ns: AtomicU64,
    /// Detaches that waiting deletes made after they had begun to wait.
    pub re_deletes: AtomicU64,
    /// Deletes that found the timer armed again by its running handler.
    pub readds_by_handler: AtomicU64,
    /// ... by somebody else.
    pub readds_by_other: AtomicU64,
    /// Handlers of the deleted timers, as frames (function entry, not minus one).
    pub handlers: [AtomicU64; SITE_HANDLERS],
    /// Landings by worst consequence, indexed by [`crate::Consequence`].
    pub consequences: [AtomicU32; 8],
    /// Windows measured.
    pub window_count: AtomicU64,
    /// The shortest window, ns (`u64::MAX` if none).
    pub window_min_ns: AtomicU64,
    /// The longest window, ns.
    pub window_max_ns: AtomicU64,
    /// Windows by bucket of [`crate::histogram`].
    pub window_buckets: [AtomicU32; BUCKETS],
}

/// A stack.
#[repr(C)]
pub struct StackEntry {
    /// [`EMPTY`], [`CLAIMED`] or [`READY`].
    pub state: AtomicU32,
    /// Frames used.
    pub depth: AtomicU32,
    /// Hash of the raw addresses: what the writer looks up.
    pub key: AtomicU64,
    /// Frames, innermost first.
    pub frames: [AtomicU64; STACK_DEPTH],
}

/// Which stack of a finding (`FindingEntry::stacks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum StackRole {
    /// Who deleted or disarmed.
    Del = 0,
    /// The handler function.
    Handler = 1,
    /// Who armed the timer.
    Arm = 2,
    /// Who allocated the block.
    Alloc = 3,
    /// Who freed it (first).
    Free = 4,
    /// The offending call or access.
    Access = 5,
}

impl StackRole {
    /// All roles with their names in the JSON report, in the order of the text report.
    pub const ALL: [(StackRole, &'static str); 6] = [
        (StackRole::Del, "del"),
        (StackRole::Handler, "handler"),
        (StackRole::Arm, "arm"),
        (StackRole::Alloc, "alloc"),
        (StackRole::Free, "free"),
        (StackRole::Access, "access"),
    ];
}

/// `FindingEntry::flags`: found later than it happened (at reuse, in a sweep, at exit).
pub const FLAG_LATE: u32 = 1;
/// `FindingEntry::flags`: `damage_*`, `expected` and `found` are valid.
pub const FLAG_BYTES: u32 = 2;
/// `FindingEntry::flags`: the delete's name says that it does not wait.
pub const FLAG_DECLARED_ASYNC: u32 = 4;
/// `FindingEntry::flags`: the deleter waits by calls or a loop of its own, not in a delete.
pub const FLAG_OWN_WAIT: u32 = 8;

/// A finding: one kind, one consequence, one set of sites.
#[repr(C)]
pub struct FindingEntry {
    /// [`EMPTY`], [`CLAIMED`] or [`READY`].
    pub state: AtomicU32,
    /// A [`crate::Kind`].
    pub kind: AtomicU8,
    /// A [`crate::Consequence`].
    pub consequence: AtomicU8,
    /// An [`crate::Api`].
    pub api: AtomicU8,
    /// A [`crate::Subject`].
    pub subject: AtomicU8,
    /// `FLAG_*`.
    pub flags: AtomicU32,
    /// Occurrences whose verdict is not given yet.
    pub unresolved: AtomicU32,
    /// Occurrences by verdict: info in the tail, info, warning, error.
    pub verdicts: [AtomicU32; 4],
    /// Hash of kind, consequence and sites: what the writer looks up.
    pub key: AtomicU64,
    /// First occurrence, ns since the record's start.
    pub first_ns: AtomicU64,
    /// Last occurrence, ns since the record's start.
    pub last_ns: AtomicU64,
    /// Stack index + 1 by [`StackRole`], 0 if there is none. Of the first occurrence.
    pub stacks: [AtomicU32; 6],
    /// Thread ids seen, 0 if unused.
    pub threads: [AtomicU32; FINDING_THREADS],
    /// The address concerned: the block given, or the first damaged byte.
    pub addr: AtomicU64,
    /// Start of the heap block concerned, 0 if there is none.
    pub base: AtomicU64,
    /// Its requested size.
    pub size: AtomicU64,
    /// Offset of `addr` (or of the damage) in the block.
    pub offset: AtomicI64,
    /// Time between the free and the event, ns, where known.
    pub age_ns: AtomicU64,
    /// Bytes that should have been at the damage.
    pub expected: [AtomicU8; 16],
    /// Bytes found there.
    pub found: [AtomicU8; 16],
}

/// How long after the free the accesses of a finding were. Its entry has the finding's
/// place, and no state: it is all zero until there is an access.
#[repr(C)]
pub struct AgesEntry {
    /// The shortest age, ns, from 1.
    pub min_ns: AtomicU64,
    /// The longest, ns.
    pub max_ns: AtomicU64,
    /// Ages by bucket of [`crate::histogram`].
    pub buckets: [AtomicU32; BUCKETS],
}

/// Blocks that one site had allocated and that were live at the end. Written by
/// one thread, once (`leaks=sites`).
#[repr(C)]
pub struct HeapSiteEntry {
    /// [`EMPTY`], [`CLAIMED`] or [`READY`].
    pub state: AtomicU32,
    /// Unused.
    pub pad: AtomicU32,
    /// The site; 0 stands for all that found no place.
    pub frame: AtomicU64,
    /// How many.
    pub blocks: AtomicU64,
    /// Bytes asked for.
    pub bytes: AtomicU64,
}

/// Index into `FindingEntry::verdicts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Verdict {
    /// Legal: it happened in the handler's tail.
    Tail = 0,
    /// Legal.
    Info = 1,
    /// No harm this time.
    Warning = 2,
    /// Harm.
    Error = 3,
}

/// The part that follows once there is a timer or a finding.
#[repr(C)]
pub struct BodySegment {
    /// Modules.
    pub modules: [ModuleEntry; MODULES],
    /// Their paths.
    pub names: [AtomicU8; NAME_BYTES],
    /// Delete sites.
    pub sites: [SiteEntry; SITES],
    /// Stacks.
    pub stacks: [StackEntry; STACKS],
    /// Findings.
    pub findings: [FindingEntry; FINDINGS],
    /// Ages of the findings' accesses.
    pub ages: [AgesEntry; FINDINGS],
    /// Live blocks at the end, by site.
    pub heap_sites: [HeapSiteEntry; HEAP_SITES],
}

const fn page_up(bytes: usize) -> usize {
    (bytes + 4095) & !4095
}

/// Where the body starts; what a record without body occupies.
pub const HEAD_BYTES: usize = page_up(size_of::<HeadSegment>());
/// A full record's size.
pub const FULL_BYTES: usize = HEAD_BYTES + page_up(size_of::<BodySegment>());

const _: () = {
    assert!(size_of::<HeadSegment>() == 11464);
    assert!(size_of::<ModuleEntry>() == 72);
    assert!(size_of::<SiteEntry>() == 1224);
    assert!(size_of::<StackEntry>() == 208);
    assert!(size_of::<FindingEntry>() == 168);
    assert!(size_of::<AgesEntry>() == 1040);
    assert!(size_of::<HeapSiteEntry>() == 32);
    assert!(HEAD_BYTES <= 64 * 1024);
    assert!(crate::counters::COUNTER_COUNT <= LOCKED_CELLS && 2 * LOCKED_CELLS <= COUNTER_CELLS);
};
