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
mod head;
#[cfg(test)]
mod tests;
mod values;

use core::fmt;
use core::mem::offset_of;

use super::layout::{self, BodySegment, HeadSegment};
use crate::counters::{COUNTER_COUNT, Counter};
use bytes::Bytes;
pub use values::{Ages, Crash, End, Finding, Frame, HeapClass, HeapSite, Module, Process, Site};

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

/// Everything that a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who wrote it.
    pub process: Process,
    /// Counters, indexed by [`Counter`].
    pub counters: [u64; COUNTER_COUNT],
    /// The heap's size classes that were used.
    pub classes: Vec<HeapClass>,
    /// Modules that frames refer to.
    pub modules: Vec<Module>,
    /// Stacks that findings refer to, innermost frame first.
    pub stacks: Vec<Vec<Frame>>,
    /// Delete sites.
    pub sites: Vec<Site>,
    /// Findings.
    pub findings: Vec<Finding>,
    /// Blocks that were live at the end, by site.
    pub heap_sites: Vec<HeapSite>,
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
    /// Are these bytes of a record that its process had no time to begin? It made the
    /// file, and was killed in that instant, or is at it.
    pub fn is_not_begun(bytes: &[u8]) -> bool {
        bytes.iter().take(layout::MAGIC.len()).all(|&byte| byte == 0)
    }

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
            process: head::process(file),
            counters: head::counters(file),
            classes: head::classes(file),
            modules: Vec::new(),
            stacks: Vec::new(),
            sites: Vec::new(),
            findings: Vec::new(),
            heap_sites: Vec::new(),
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

    /// A counter's value. Of the heap's states none is below zero, which the sum of
    /// their changes may be: a jump out of the heap loses some.
    pub fn counter(&self, counter: Counter) -> u64 {
        let value = self.counters[counter as usize];
        let is_state = matches!(counter, Counter::HeapLiveBytes | Counter::HeapQuarantinedBytes);
        if is_state && (value as i64) < 0 { 0 } else { value }
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

const _: () = assert!(COUNTER_COUNT <= layout::COUNTER_CELLS);
