//! The report's data: schema `deadwalk.report/1`. Fields are only ever added.

use std::collections::BTreeMap;

use deadwalk_detector::{Consequence, Severity, histogram};
use serde::Serialize;
use serde_json::{Map, Value};

/// The schema's name.
pub const SCHEMA: &str = "deadwalk.report/1";

/// A whole report.
#[derive(Serialize)]
pub struct Report {
    pub schema: &'static str,
    pub processes: Vec<Process>,
    pub totals: Map<String, Value>,
    pub del_sites: Vec<DelSite>,
    pub findings: Vec<Finding>,
    /// Blocks that were live at the end, where `leaks=sites` was in force.
    pub heap_sites: Vec<HeapSite>,
    /// What could not be read, a line each.
    pub problems: Vec<String>,
    /// Why symbols are missing, a line each.
    pub symbol_problems: Vec<String>,
}

/// One recorded process.
#[derive(Serialize)]
pub struct Process {
    pub pid: u32,
    pub parent_pid: u32,
    pub exe: String,
    pub argv: Vec<String>,
    pub start_unix_ns: u64,
    pub duration_ns: u64,
    /// `exit`, `signal`, `running` or `unknown`.
    pub ended: &'static str,
    pub code: u32,
    pub replaced_by_exec: bool,
    /// It began as a fork of a recorded process.
    pub forked: bool,
    pub options: Map<String, Value>,
    pub dropped: Map<String, Value>,
    /// This process's share of `totals.del`.
    pub del: ProcessDel,
    /// How access to pages of the heap was taken away: `madvise`, `mprotect` or `none`.
    pub guard_means: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash: Option<Crash>,
}

/// What a process was doing when a signal ended it.
#[derive(Serialize)]
pub struct Crash {
    pub signal: u32,
    pub name: String,
    /// `si_code`: 0 and below if a process sent the signal.
    pub code: i32,
    /// The address that was accessed, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
    /// `read`, `write`, `execute` or `unknown`.
    pub access: &'static str,
    pub ip: String,
    pub thread: u32,
    pub time_ns: u64,
    /// What the address says about its origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    pub stack: Vec<Frame>,
}

/// What one process deleted.
#[derive(Serialize)]
pub struct ProcessDel {
    pub calls: u64,
    pub while_running: u64,
    pub sync_waits: u64,
}

/// A code address.
#[derive(Clone, Serialize)]
pub struct Frame {
    pub ip: String,
    pub module: String,
    pub offset: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The symbol before the address, if the function is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_symbol: Option<String>,
    /// Inlined into the next frame.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
}

impl Frame {
    /// No address.
    pub fn unknown() -> Frame {
        Frame {
            ip: "0x0".to_owned(),
            module: String::new(),
            offset: "0x0".to_owned(),
            function: None,
            file: None,
            line: None,
            nearest_symbol: None,
            inlined: false,
        }
    }
}

/// Blocks of one allocation site that were live at the end.
#[derive(Serialize)]
pub struct HeapSite {
    pub site: Frame,
    pub blocks: u64,
    pub bytes: u64,
    #[serde(skip)]
    pub is_known: bool,
}

/// The statistics of a delete call site.
#[derive(Serialize)]
pub struct DelSite {
    pub api: &'static str,
    pub op: &'static str,
    pub site: Frame,
    pub handlers: Vec<Frame>,
    pub handlers_dropped: u64,
    pub calls: u64,
    pub returned_pending: u64,
    pub while_running: u64,
    pub in_tail: u64,
    #[serde(rename = "self")]
    pub self_deletes: u64,
    pub sync_waits: u64,
    pub sync_wait_ns: SyncWait,
    pub re_deletes: u64,
    pub readds_by_handler: u64,
    pub readds_by_other: u64,
    pub rate: f64,
    pub rate_ci95: [f64; 2],
    pub window_ns: Window,
    pub consequences: BTreeMap<&'static str, u64>,
    #[serde(skip)]
    pub worst: Option<Consequence>,
}

/// Time that waiting deletes waited.
#[derive(Serialize)]
pub struct SyncWait {
    pub total: u64,
    pub max: u64,
}

/// Durations: how long handlers went on after a delete took effect, or how long after
/// the free accesses were.
#[derive(Clone, Serialize)]
pub struct Window {
    pub count: u64,
    pub min: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub max: u64,
    /// Lowest value, lowest of the next bucket, count; non-empty ones.
    pub buckets: Vec<[u64; 3]>,
}

impl Window {
    /// Durations counted by bucket of [`histogram`], and the extreme ones.
    pub fn new(counts: &[u64], min: u64, max: u64) -> Window {
        let count = counts.iter().fold(0u64, |sum, &n| sum.saturating_add(n));
        let (min, max) = if count == 0 { (0, 0) } else { (min, max) };
        let at = |share| histogram::quantile(counts, share, min, max);
        let filled = counts.iter().enumerate().filter(|(_, n)| **n > 0);
        Window {
            count,
            min: min.min(max),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max,
            buckets: filled
                .map(|(bucket, &n)| {
                    let (low, high) = histogram::bounds(bucket);
                    [low, high, n]
                })
                .collect(),
        }
    }
}

/// What one place in the code did to freed blocks, in all findings.
#[derive(Clone, Serialize)]
pub struct Accesses {
    pub reads: u64,
    pub writes: u64,
    pub first_ns: u64,
    pub last_ns: u64,
    /// From the free to the access, where it is known.
    pub age_ns: Window,
}

/// A finding at one severity.
#[derive(Serialize)]
pub struct Finding {
    pub kind: &'static str,
    pub severity: &'static str,
    pub api: &'static str,
    pub policy: &'static str,
    pub consequence: &'static str,
    pub count: u64,
    /// Of `count`, how many had no verdict when the process ended.
    pub unresolved: u64,
    pub tail: bool,
    pub declared_async: bool,
    /// The deleter waits by calls or a loop of its own, not in a delete.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own_wait: bool,
    /// The C library's fault, not the program's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub libc_bug: bool,
    pub subject: &'static str,
    pub access: Map<String, Value>,
    /// What the place of a stale access did, in this finding and others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accesses: Option<Accesses>,
    pub first_ns: u64,
    pub last_ns: u64,
    pub pid: u32,
    pub threads: Vec<u32>,
    pub message: String,
    pub advice: &'static str,
    pub detected: &'static str,
    pub stacks: Stacks,
    #[serde(skip)]
    pub level: Severity,
}

/// The stacks of a finding's first occurrence, innermost frame first; empty
/// where there is none.
#[derive(Clone, Serialize)]
pub struct Stacks {
    pub del: Vec<Frame>,
    pub handler: Vec<Frame>,
    pub arm: Vec<Frame>,
    pub alloc: Vec<Frame>,
    pub free: Vec<Frame>,
    pub access: Vec<Frame>,
}

impl Report {
    /// How many occurrences there were at `severity`.
    pub fn occurrences(&self, severity: Severity) -> u64 {
        let counts = self.findings.iter().filter(|f| f.level == severity).map(|f| f.count);
        counts.fold(0, u64::saturating_add)
    }

    /// Whether anything at least as severe was found.
    pub fn has(&self, severity: Severity) -> bool {
        self.findings.iter().any(|f| f.level >= severity)
    }

    /// A counter by its path, `del.calls` for example; 0 if there is none.
    pub fn total(&self, path: &str) -> u64 {
        self.at(path).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Whether the books of all timer_lists balanced.
    pub fn invariant_ok(&self) -> bool {
        self.at("timers.invariant_ok").and_then(Value::as_bool).unwrap_or(true)
    }

    fn at(&self, path: &str) -> Option<&Value> {
        let mut names = path.split('.');
        let group = self.totals.get(names.next()?);
        names.fold(group, |value, name| value?.get(name))
    }
}
