//! What became of each process.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use deadwalk_detector::counters::{COUNTER_COUNT, Counter};
use deadwalk_detector::options::Options;
use deadwalk_detector::record::reader::{End, Process, Record};

use super::pool::{Places, StackId};

/// How a process ended, seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exit(u32),
    /// This signal killed it.
    Signal(u32),
    /// It runs.
    Running,
    /// It executed another program, which has a record of its own.
    ReplacedByExec,
    /// It is gone, and its end was not recorded.
    Unknown,
}

/// One record's process.
pub struct ProcessTotal {
    /// What the record says.
    pub process: Process,
    /// Its counters, by [`Counter`].
    pub counters: [u64; COUNTER_COUNT],
    /// How it ended; right after [`settle`].
    pub ended: Ended,
    /// How long it was recorded; a lower bound if its end is unknown.
    pub duration_ns: u64,
    /// The stack of its crash.
    pub crash_stack: Option<StackId>,
}

impl ProcessTotal {
    /// The process of `record`.
    pub fn new(record: &Record, places: &Places) -> ProcessTotal {
        let last = record.findings.iter().map(|f| f.last_ns).max().unwrap_or(0);
        let process = record.process.clone();
        let (ended, duration_ns) = match (process.end, &process.crash) {
            (End::Exit(code), _) => (Ended::Exit(code), process.end_ns),
            (End::Signal(signal), _) => (Ended::Signal(signal), process.end_ns),
            (End::None, Some(crash)) => (Ended::Signal(crash.signal), crash.at_ns.max(last)),
            (End::None, None) => (Ended::Unknown, last),
        };
        let stack = process.crash.as_ref().and_then(|crash| crash.stack);
        let crash_stack = stack.and_then(|stack| places.stacks.get(stack).copied());
        ProcessTotal { process, counters: record.counters, ended, duration_ns, crash_stack }
    }

    /// A counter's value.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[counter as usize]
    }
}

/// The options that were in force. The program may have changed its delete
/// policy itself: then the record says so, and that goes over the option.
pub fn options(process: &Process) -> Options<'_> {
    let mut options = Options::default();
    options.apply(&process.options, |_| {});
    options.del = process.policy.unwrap_or(options.del);
    options
}

/// Sorts the processes by their start and finds out about those whose end was
/// not recorded: replaced by exec if a later record has the same pid and start
/// of process, else running or gone.
pub fn settle(processes: &mut [ProcessTotal]) {
    processes.sort_by_key(|p| (p.process.start_unix_ns, p.process.pid));
    let mut next_start: HashMap<(u32, u64), u64> = HashMap::new();
    for entry in processes.iter_mut().rev() {
        let process = &entry.process;
        let key = (process.pid, process.start_ticks);
        let successor = next_start.insert(key, process.start_mono_ns);
        if entry.ended != Ended::Unknown {
            continue;
        }
        if let Some(start) = successor.filter(|&s| s > process.start_mono_ns) {
            entry.ended = Ended::ReplacedByExec;
            entry.duration_ns = start - process.start_mono_ns;
        } else if start_ticks(process.pid) == Some(process.start_ticks) {
            entry.ended = Ended::Running;
            entry.duration_ns = now_unix_ns().saturating_sub(process.start_unix_ns);
        }
    }
}

fn now_unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
}

/// When the living process `pid` started, in clock ticks since boot; `None` if
/// there is none or it is a zombie.
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything: fields count from behind it,
    // the state is field 3 and the start time field 22.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
