//! Parses a record file's bytes into owned values.
//!
//! # Ground rules
//!
//! * The bytes are hostile: a crash cut them, a stray store of the recorded
//!   program hit them, or somebody made them up. Every index and length is
//!   bounded, an enum number that is not known skips its entry, and nothing
//!   here panics.
//! * Memory is bounded by the file's size: a table entry makes at most a small
//!   multiple of its own bytes.
//! * What cannot be read is counted and said in [`Record::problems`]; the rest
//!   is returned. Only bytes that are no record at all are an error.
//! * The layout stands in [`super::layout`] alone; positions are taken from its
//!   types with `offset_of!`.

mod bytes;
mod entries;
#[cfg(test)]
mod image;
#[cfg(test)]
mod tests;

use core::fmt;
use core::mem::offset_of;

use super::layout::{self, BodySegment, HeadSegment};
use crate::counters::{COUNTER_COUNT, Counter};
#[cfg(test)]
use crate::histogram;
use crate::{Api, Consequence, Kind, Op, Subject};
use bytes::Bytes;

/// Why bytes are not a record that this program can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// They do not start with [`layout::MAGIC`].
    Foreign,
    /// They end inside the fixed part of the header, after so many bytes.
    TooShort(usize),
    /// They were written in a layout of this version, which is not
    /// [`layout::VERSION`].
    OtherVersion(u32),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Foreign => write!(f, "not a deadwalk record"),
            ReadError::TooShort(len) => write!(f, "cut off inside the header ({len} bytes)"),
            ReadError::OtherVersion(version) if *version > layout::VERSION => write!(
                f,
                "written by a newer deadwalk (record version {version}, this one reads {})",
                layout::VERSION
            ),
            ReadError::OtherVersion(version) => {
                write!(f, "record version {version}, this deadwalk reads {}", layout::VERSION)
            }
        }
    }
}

impl std::error::Error for ReadError {}

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
    /// Landings by worst consequence, indexed by [`Consequence`].
    pub consequences: [u64; Consequence::ALL.len()],
    /// The shortest window, ns; `u64::MAX` if none was measured.
    pub window_min_ns: u64,
    /// The longest window, ns.
    pub window_max_ns: u64,
    /// Windows by bucket of [`crate::histogram`]: bucket and count, non-empty ones.
    pub windows: Vec<(usize, u64)>,
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
    /// Bytes expected and found at the damage.
    pub bytes: Option<([u8; 16], [u8; 16])>,
}

/// Everything that a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who wrote it.
    pub process: Process,
    /// Counters, indexed by [`Counter`].
    pub counters: [u64; COUNTER_COUNT],
    /// Modules that frames refer to.
    pub modules: Vec<Module>,
    /// Stacks that findings refer to, innermost frame first.
    pub stacks: Vec<Vec<Frame>>,
    /// Delete sites.
    pub sites: Vec<Site>,
    /// Findings.
    pub findings: Vec<Finding>,
    /// What could not be read, a line each.
    pub problems: Vec<String>,
}

/// Where `end_state` lies in the file, for `deadwalk run`, which knows of a
/// deadly signal what the process itself could not write.
pub const END_STATE_AT: usize = offset_of!(HeadSegment, end_state);
/// Where `end_code` lies.
pub const END_CODE_AT: usize = offset_of!(HeadSegment, end_code);
/// Where `end_ns` lies.
pub const END_NS_AT: usize = offset_of!(HeadSegment, end_ns);

/// Where a full record's tables end.
const BODY_END: usize = layout::HEAD_BYTES + size_of::<BodySegment>();

/// The header up to here must be there; texts and counters may be cut off.
const FIXED_BYTES: usize = offset_of!(HeadSegment, exe);

impl Record {
    /// Parses the bytes of a record file.
    ///
    /// A truncated or damaged record gives what can still be read and says in
    /// `problems` what could not.
    ///
    /// # Errors
    ///
    /// If the bytes are no record, or one of another version, or end inside the
    /// header.
    pub fn parse(bytes: &[u8]) -> Result<Record, ReadError> {
        let file = Bytes(bytes);
        let magic = file.up_to(0, layout::MAGIC.len());
        if !layout::MAGIC.starts_with(magic) || magic.is_empty() {
            return Err(ReadError::Foreign);
        }
        let short = ReadError::TooShort(bytes.len());
        let version = file.u32(offset_of!(HeadSegment, version)).ok_or(short)?;
        if version != layout::VERSION {
            return Err(ReadError::OtherVersion(version));
        }
        if bytes.len() < FIXED_BYTES {
            return Err(short);
        }
        let mut record = Record {
            process: process(file),
            counters: counters(file),
            modules: Vec::new(),
            stacks: Vec::new(),
            sites: Vec::new(),
            findings: Vec::new(),
            problems: Vec::new(),
        };
        record.check_head(file);
        // A file long enough for the tables has them, whatever became of the flag.
        let has_body = file.u32(offset_of!(HeadSegment, has_body)) == Some(1);
        if has_body || bytes.len() >= BODY_END {
            entries::read_body(file, &mut record);
        }
        Ok(record)
    }

    /// A counter's value.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }

    fn check_head(&mut self, file: Bytes<'_>) {
        let sizes = [
            ("header", offset_of!(HeadSegment, head_bytes), size_of::<HeadSegment>()),
            ("body", offset_of!(HeadSegment, body_bytes), size_of::<BodySegment>()),
        ];
        for (name, at, expected) in sizes {
            if file.u32(at) != Some(expected as u32) {
                self.problems.push(format!("damaged: the {name}'s size is wrong"));
            }
        }
        if file.0.len() < size_of::<HeadSegment>() {
            self.problems.push(format!("cut off after {} bytes, in the header", file.0.len()));
        }
        if file.u32(END_STATE_AT).is_some_and(|s| s > layout::END_SIGNAL) {
            self.problems.push("damaged: the process's end is not readable".into());
        }
        if file.u32(offset_of!(HeadSegment, has_body)).is_some_and(|b| b > 1) {
            self.problems.push("damaged: it is unclear whether tables follow".into());
        }
    }
}

fn process(file: Bytes<'_>) -> Process {
    let u32 = |at| file.u32(at).unwrap_or(0);
    let u64 = |at| file.u64(at).unwrap_or(0);
    let end = match u32(END_STATE_AT) {
        layout::END_EXIT => End::Exit(u32(END_CODE_AT)),
        layout::END_SIGNAL => End::Signal(u32(END_CODE_AT)),
        _ => End::None,
    };
    Process {
        pid: u32(offset_of!(HeadSegment, pid)),
        parent_pid: u32(offset_of!(HeadSegment, parent_pid)),
        start_ticks: u64(offset_of!(HeadSegment, process_start_ticks)),
        start_unix_ns: u64(offset_of!(HeadSegment, start_unix_ns)),
        start_mono_ns: u64(offset_of!(HeadSegment, start_mono_ns)),
        end,
        end_ns: if end == End::None { 0 } else { u64(END_NS_AT) },
        forked: u32(offset_of!(HeadSegment, forked)) == 1,
        exe: file.text(offset_of!(HeadSegment, exe), layout::EXE_BYTES),
        argv: argv(file),
        options: file.text(offset_of!(HeadSegment, options), layout::OPTIONS_BYTES),
    }
}

fn argv(file: Bytes<'_>) -> Vec<String> {
    let used = file.u32(offset_of!(HeadSegment, argv_used)).unwrap_or(0) as usize;
    let raw = file.up_to(offset_of!(HeadSegment, argv), used.min(layout::ARGV_BYTES));
    let raw = raw.strip_suffix(&[0]).unwrap_or(raw);
    if raw.is_empty() {
        return Vec::new();
    }
    raw.split(|&b| b == 0).map(|a| String::from_utf8_lossy(a).into_owned()).collect()
}

fn counters(file: Bytes<'_>) -> [u64; COUNTER_COUNT] {
    let at = offset_of!(HeadSegment, counters);
    core::array::from_fn(|i| file.u64(at + i * 8).unwrap_or(0))
}

const _: () = assert!(COUNTER_COUNT <= layout::COUNTER_CELLS);
