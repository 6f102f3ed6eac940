//! What a record's entries say, as owned values.

#[cfg(doc)]
use super::{Record, layout};
use crate::options::DelPolicy;
use crate::record::crash::CrashAccess;
use crate::record::guard_means::GuardMeans;
use crate::{Api, Consequence, Kind, Op, Subject};

/// How the process ended, as far as its record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing was recorded: it runs, was killed, or was replaced by exec.
    None,
    /// It exited with this status.
    Exit(u32),
    /// This signal killed it.
    Signal(u32),
}

/// The process that wrote the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// The parent's at the start.
    pub parent_pid: u32,
    /// Start of the process in clock ticks since boot; stays over an exec.
    pub start_ticks: u64,
    /// Start of recording, wall clock, ns since 1970.
    pub start_unix_ns: u64,
    /// Start of recording, CLOCK_MONOTONIC, ns.
    pub start_mono_ns: u64,
    /// How it ended.
    pub end: End,
    /// When it ended, ns since the start; 0 if `end` is [`End::None`].
    pub end_ns: u64,
    /// It began as a fork of a recorded process.
    pub forked: bool,
    /// Path of the executable.
    pub exe: String,
    /// Command line, empty if it was not kept.
    pub argv: Vec<String>,
    /// Option string in force.
    pub options: String,
    /// The delete policy in force, which the program may have set itself; `None`
    /// if the record does not say.
    pub policy: Option<DelPolicy>,
    /// How access to pages was taken away.
    pub guard_means: GuardMeans,
    /// What ended it, if it crashed.
    pub crash: Option<Crash>,
}

/// What a process was doing when a signal ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// The signal.
    pub signal: u32,
    /// `si_code`: 0 and below if a process sent it.
    pub code: i32,
    /// The address, if there is one.
    pub addr: Option<u64>,
    /// What was done to it.
    pub access: CrashAccess,
    /// The pointer behind it, if it consists of poison.
    pub poison: Option<u64>,
    /// The instruction's address.
    pub ip: u64,
    /// The thread.
    pub tid: u32,
    /// When, ns since the record's start.
    pub at_ns: u64,
    /// Index into [`Record::stacks`].
    pub stack: Option<usize>,
}

/// The heap's numbers of one size class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapClass {
    /// Its slots' size; 0 for blocks that are mapped directly.
    pub slot_bytes: u64,
    /// Allocations.
    pub allocs: u64,
    /// Frees.
    pub frees: u64,
    /// Blocks live at the end.
    pub live: u64,
}

/// What one site had allocated and was live at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeapSite {
    /// The site; `None` for all that found no place or are unknown.
    pub frame: Option<Frame>,
    /// How many blocks.
    pub blocks: u64,
    /// Bytes asked for.
    pub bytes: u64,
}

/// An executable or shared object of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its path.
    pub path: String,
    /// GNU build id, empty if it has none.
    pub build_id: Vec<u8>,
    /// Load bias: address minus the address in the ELF file.
    pub bias: u64,
}

/// A code address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Index into [`Record::modules`]; `None` if the address lies in none.
    pub module: Option<usize>,
    /// Address in the ELF file, or the raw address without a module.
    pub offset: u64,
}

/// The statistics of one delete call site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// API family.
    pub api: Api,
    /// The call.
    pub op: Op,
    /// Where it is made.
    pub frame: Frame,
    /// Handlers of the timers deleted here.
    pub handlers: Vec<Frame>,
    /// How many more there were.
    pub handlers_dropped: u64,
    /// Deletes and disarms that took effect.
    pub calls: u64,
    /// ... of an armed timer.
    pub returned_pending: u64,
    /// ... that returned while the handler ran on another thread.
    pub while_running: u64,
    /// ... of these, in the handler's tail.
    pub in_tail: u64,
    /// ... from the timer's own handler.
    pub self_deletes: u64,
    /// Waiting deletes that found the handler running.
    pub sync_waits: u64,
    /// Their waiting time, ns.
    pub sync_wait_total_ns: u64,
    /// The longest of it, ns.
    pub sync_wait_max_ns: u64,
    /// Detaches that waiting deletes made after they had begun to wait.
    pub re_deletes: u64,
    /// Deletes that found the timer armed again by its running handler.
    pub readds_by_handler: u64,
    /// ... by somebody else.
    pub readds_by_other: u64,
    /// Landings by worst consequence, indexed by [`Consequence`].
    pub consequences: [u64; Consequence::ALL.len()],
    /// The shortest window, ns; `u64::MAX` if none was measured.
    pub window_min_ns: u64,
    /// The longest window, ns.
    pub window_max_ns: u64,
    /// Windows by bucket of [`crate::histogram`]: bucket and count, non-empty ones.
    pub windows: Vec<(usize, u64)>,
}

/// How long after the free accesses were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ages {
    /// The shortest, ns; 0 if none is known.
    pub min_ns: u64,
    /// The longest, ns.
    pub max_ns: u64,
    /// Ages by bucket of [`crate::histogram`]: bucket and count, non-empty ones.
    pub buckets: Vec<(usize, u64)>,
}

/// One kind of finding at one set of sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it says.
    pub kind: Kind,
    /// The worst that followed.
    pub consequence: Consequence,
    /// API family.
    pub api: Api,
    /// What an access hit.
    pub subject: Subject,
    /// Found later than it happened.
    pub late: bool,
    /// The delete's name says that it does not wait.
    pub declared_async: bool,
    /// The deleter waits by calls or a loop of its own, not in a delete.
    pub own_wait: bool,
    /// Occurrences without a verdict.
    pub unresolved: u64,
    /// Occurrences by [`layout::Verdict`].
    pub verdicts: [u64; 4],
    /// First occurrence, ns since the start.
    pub first_ns: u64,
    /// Last occurrence, ns since the start.
    pub last_ns: u64,
    /// Index into [`Record::stacks`] by [`layout::StackRole`].
    pub stacks: [Option<usize>; 6],
    /// Threads seen.
    pub threads: Vec<u32>,
    /// The address concerned.
    pub addr: u64,
    /// Start of the block concerned, 0 if there is none.
    pub base: u64,
    /// The block's requested size.
    pub size: u64,
    /// Where in the block.
    pub offset: i64,
    /// Time since the free, ns, 0 if not known.
    pub age_ns: u64,
    /// The same of all its accesses.
    pub ages: Ages,
    /// Bytes expected and found at the damage.
    pub bytes: Option<([u8; 16], [u8; 16])>,
}
