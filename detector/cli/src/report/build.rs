//! Builds the report from merged records.

use deadwalk_detector::counters::Counter;
use deadwalk_detector::options::Options;
use deadwalk_detector::record::layout::Verdict;
use deadwalk_detector::{Consequence, Severity, histogram, statistics};
use serde_json::{Map, Value, json};

use super::frames::Frames;
use super::model::{
    DelSite, Finding, Process, ProcessDel, Report, SCHEMA, Stacks, SyncWait, Window,
};
use super::{message, totals};
use crate::collect::{Ended, FindingTotal, Merged, ProcessTotal, SiteTotal};

/// The report on `merged`; resolves every address that it prints.
pub fn build(merged: &Merged) -> Report {
    let mut frames = Frames::new(&merged.pool);
    let mut del_sites: Vec<DelSite> =
        merged.sites.iter().map(|site| del_site(site, &mut frames)).collect();
    del_sites.sort_by_key(|s| std::cmp::Reverse((s.while_running, s.sync_waits, s.calls)));
    let mut findings: Vec<Finding> =
        merged.findings.iter().flat_map(|f| split(f, &mut frames)).collect();
    findings.sort_by_key(|f| (std::cmp::Reverse((f.level, f.count)), f.first_ns));
    Report {
        schema: SCHEMA,
        processes: merged.processes.iter().map(process).collect(),
        totals: totals::totals(&merged.totals),
        del_sites,
        findings,
        problems: merged.problems.clone(),
        symbol_problems: frames.into_problems(),
    }
}

fn process(total: &ProcessTotal) -> Process {
    let (ended, code) = match total.ended {
        Ended::Exit(code) => ("exit", code),
        Ended::Signal(signal) => ("signal", signal),
        Ended::Running => ("running", 0),
        Ended::ReplacedByExec | Ended::Unknown => ("unknown", 0),
    };
    let process = &total.process;
    Process {
        pid: process.pid,
        parent_pid: process.parent_pid,
        exe: process.exe.clone(),
        argv: process.argv.clone(),
        start_unix_ns: process.start_unix_ns,
        duration_ns: total.duration_ns,
        ended,
        code,
        replaced_by_exec: total.ended == Ended::ReplacedByExec,
        forked: process.forked,
        options: options(&process.options),
        dropped: totals::dropped(&total.counters),
        del: ProcessDel {
            calls: total.counter(Counter::DelCalls),
            while_running: total.counter(Counter::DelWhileRunning),
            sync_waits: total.counter(Counter::DelSyncWaits),
        },
    }
}

/// Every option with the value that was in force.
fn options(text: &str) -> Map<String, Value> {
    let mut options = Options::default();
    options.apply(text, |_| {});
    let value = json!({
        "del": options.del.name(),
        "output": options.output,
        "quarantine": options.quarantine_bytes,
        "deadlock_ms": options.deadlock_ms,
        "tail_us": options.tail_us,
        "argv": options.argv,
        "bytes": options.bytes,
        "log": options.log.name(),
    });
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn del_site(site: &SiteTotal, frames: &mut Frames<'_>) -> DelSite {
    let (low, high) = statistics::wilson_95(site.while_running, site.calls);
    let counted = Consequence::ALL.iter().zip(site.consequences);
    DelSite {
        api: site.api.name(),
        op: site.op.name(),
        site: frames.call(site.address),
        handlers: site.handlers.iter().map(|&h| frames.function(h)).collect(),
        handlers_dropped: site.handlers_dropped,
        calls: site.calls,
        returned_pending: site.returned_pending,
        while_running: site.while_running,
        in_tail: site.in_tail,
        self_deletes: site.self_deletes,
        sync_waits: site.sync_waits,
        sync_wait_ns: SyncWait { total: site.sync_wait_total_ns, max: site.sync_wait_max_ns },
        rate: statistics::rate(site.while_running, site.calls),
        rate_ci95: [low, high],
        window_ns: window(site),
        consequences: counted.clone().map(|(c, n)| (c.name(), n)).collect(),
        worst: counted.filter(|(_, n)| *n > 0).map(|(c, _)| *c).max(),
    }
}

fn window(site: &SiteTotal) -> Window {
    let counts = &site.windows;
    let count = counts.iter().fold(0u64, |sum, &n| sum.saturating_add(n));
    let (min, max) = if count == 0 { (0, 0) } else { (site.window_min_ns, site.window_max_ns) };
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

/// One finding for each severity that its occurrences got.
fn split(total: &FindingTotal, frames: &mut Frames<'_>) -> Vec<Finding> {
    let key = &total.key;
    let pending = key.kind.unresolved_severity(key.consequence);
    let stack = |frames: &mut Frames<'_>, i: usize| {
        key.stacks[i].map(|id| frames.stack(id)).unwrap_or_default()
    };
    let stacks = Stacks {
        del: stack(frames, 0),
        handler: key.stacks[1].map(|id| frames.handler(id)).unwrap_or_default(),
        arm: stack(frames, 2),
        alloc: stack(frames, 3),
        free: stack(frames, 4),
        access: stack(frames, 5),
    };
    let levels = [
        (Verdict::Error, Severity::Error),
        (Verdict::Warning, Severity::Warning),
        (Verdict::Info, Severity::Info),
        (Verdict::Tail, Severity::Info),
    ];
    let mut findings = Vec::new();
    for (verdict, level) in levels {
        let tail = verdict == Verdict::Tail;
        let unresolved = if level == pending && !tail { total.unresolved } else { 0 };
        let count = total.verdicts[verdict as usize].saturating_add(unresolved);
        if count > 0 {
            findings.push(finding(total, &stacks, level, tail, count, unresolved));
        }
    }
    findings
}

fn finding(
    total: &FindingTotal,
    stacks: &Stacks,
    level: Severity,
    tail: bool,
    count: u64,
    unresolved: u64,
) -> Finding {
    let key = &total.key;
    let memory = message::is_memory(key.kind);
    Finding {
        kind: key.kind.name(),
        severity: level.name(),
        api: key.api.name(),
        policy: key.policy,
        consequence: key.consequence.name(),
        count,
        unresolved,
        tail,
        declared_async: false,
        subject: if memory { key.subject.name() } else { "" },
        access: access(total, stacks, memory),
        first_ns: total.first.first_ns,
        last_ns: total.last_ns,
        pid: total.pid,
        threads: total.threads.clone(),
        message: message::message(&total.first, stacks.handler.last(), tail),
        advice: key.kind.advice(),
        detected: if key.late { "late" } else { "at-once" },
        stacks: stacks.clone(),
        level,
    }
}

/// The block and the bytes that a finding is about, as far as they are known.
fn access(total: &FindingTotal, stacks: &Stacks, memory: bool) -> Map<String, Value> {
    let first = &total.first;
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    if let Some(frame) = stacks.access.first() {
        put("ip", frame.ip.clone().into());
    }
    if memory && let Some(&thread) = first.threads.first() {
        put("thread", thread.into());
    }
    if first.addr != 0 {
        put("addr", format!("{:#x}", first.addr).into());
    }
    if first.base != 0 {
        put("base", format!("{:#x}", first.base).into());
        put("size", first.size.into());
        put("offset", first.offset.into());
    }
    if first.age_ns != 0 {
        put("age_ns", first.age_ns.into());
    }
    if let Some((before, after)) = first.bytes {
        put("before", hex(&before).into());
        put("after", hex(&after).into());
    }
    map
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
