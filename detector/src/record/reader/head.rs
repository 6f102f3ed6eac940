//! The part that every record has: the process and its counters.

use core::mem::offset_of;

use super::bytes::Bytes;
use super::{Crash, END_CODE_AT, END_NS_AT, END_STATE_AT, End, HeapClass, Process};
use crate::counters::COUNTER_COUNT;
use crate::options::DelPolicy;
use crate::record::crash::{CrashAccess, CrashEntry};
use crate::record::guard_means::GuardMeans;
use crate::record::layout::{self, HeadSegment};

/// The process that wrote the file; what is missing is zero or empty.
pub(super) fn process(file: Bytes<'_>) -> Process {
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
        // Stored plus one: zero, or what a stray store left, is not known.
        policy: u32(offset_of!(HeadSegment, policy)).checked_sub(1).and_then(DelPolicy::from_u32),
        guard_means: GuardMeans::from_u32(u32(offset_of!(HeadSegment, guard_means))),
        crash: crash(file),
    }
}

/// The crash, without its stack: that is in the body.
fn crash(file: Bytes<'_>) -> Option<Crash> {
    let at = offset_of!(HeadSegment, crash);
    let u32 = |field| file.u32(at + field);
    let u64 = |field| file.u64(at + field);
    if u32(offset_of!(CrashEntry, state))? != layout::READY {
        return None;
    }
    let has_addr = u32(offset_of!(CrashEntry, has_addr))? == 1;
    let addr = u64(offset_of!(CrashEntry, addr))?;
    Some(Crash {
        signal: u32(offset_of!(CrashEntry, signal))?,
        code: u32(offset_of!(CrashEntry, code))? as i32,
        addr: has_addr.then_some(addr),
        access: CrashAccess::from_u32(u32(offset_of!(CrashEntry, access))?),
        poison: u64(offset_of!(CrashEntry, poison)).filter(|&poison| poison != 0),
        ip: u64(offset_of!(CrashEntry, ip))?,
        tid: u32(offset_of!(CrashEntry, tid))?,
        at_ns: u64(offset_of!(CrashEntry, at_ns))?,
        stack: None,
    })
}

/// Index + 1 of the crash's stack in its table; 0 for none.
pub(super) fn crash_stack(file: Bytes<'_>) -> u32 {
    file.u32(offset_of!(HeadSegment, crash) + offset_of!(CrashEntry, stack)).unwrap_or(0)
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

/// The counters; what is missing is zero.
pub(super) fn counters(file: Bytes<'_>) -> [u64; COUNTER_COUNT] {
    let at = offset_of!(HeadSegment, counters);
    let cell = |i: usize| file.u64(at + i * 8).unwrap_or(0);
    // A gauge may go up in one cell and down in the other.
    core::array::from_fn(|i| cell(i).wrapping_add(cell(i + layout::LOCKED_CELLS)))
}

/// The heap's classes that were used.
pub(super) fn classes(file: Bytes<'_>) -> Vec<HeapClass> {
    let at = offset_of!(HeadSegment, classes);
    let numbers = (0..layout::HEAP_CLASSES)
        .map_while(|i| file.u64s::<{ layout::CLASS_CELLS }>(at + i * layout::CLASS_CELLS * 8));
    numbers
        .filter(|[_, allocs, frees, live]| allocs | frees | live != 0)
        .map(|[slot_bytes, allocs, frees, live]| HeapClass {
            slot_bytes,
            allocs,
            frees,
            // Read while a thread was in the middle of a step, it may be off by
            // a few and so below zero.
            live: u64::try_from(live as i64).unwrap_or(0),
        })
        .collect()
}
