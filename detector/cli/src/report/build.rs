//! Builds the report from merged records.

use deadwalk_detector::counters::Counter;
use deadwalk_detector::record::reader;
use serde_json::{Map, Value, json};

use super::accesses::Sites;
use super::frames::Frames;
use super::model::{DelSite, Finding, Process, ProcessDel, Report, SCHEMA};
use super::{crash, findings, heap, sites, totals};
use crate::collect::{self, Ended, Merged, ProcessTotal};

/// The report on `merged`; resolves every address that it prints.
pub fn build(merged: &Merged) -> Report {
    let mut frames = Frames::new(&merged.pool);
    let mut del_sites: Vec<DelSite> =
        merged.sites.iter().map(|site| sites::del_site(site, &mut frames)).collect();
    del_sites.sort_by_key(|s| std::cmp::Reverse((s.while_running, s.sync_waits, s.calls)));
    let accesses = Sites::new(&merged.findings, &frames);
    let mut all: Vec<Finding> =
        merged.findings.iter().flat_map(|f| findings::split(f, &accesses, &mut frames)).collect();
    all.sort_by_key(|f| (std::cmp::Reverse((f.level, f.count)), f.first_ns));
    let processes = merged.processes.iter().map(|p| process(p, &mut frames)).collect();
    Report {
        schema: SCHEMA,
        processes,
        totals: totals::totals(&merged.totals, heap::classes(&merged.heap)),
        del_sites,
        findings: all,
        heap_sites: heap::sites(&merged.heap, &mut frames),
        problems: merged.problems.clone(),
        symbol_problems: frames.into_problems(),
    }
}

fn process(total: &ProcessTotal, frames: &mut Frames<'_>) -> Process {
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
        options: options(process),
        dropped: totals::dropped(&total.counters),
        del: ProcessDel {
            calls: total.counter(Counter::DelCalls),
            while_running: total.counter(Counter::DelWhileRunning),
            sync_waits: total.counter(Counter::DelSyncWaits),
        },
        guard_means: process.guard_means.name(),
        crash: crash::crash(total, frames),
    }
}

/// Every option with the value that was in force.
fn options(process: &reader::Process) -> Map<String, Value> {
    let options = collect::options(process);
    let value = json!({
        "del": options.del.name(),
        "output": options.output,
        "quarantine": options.quarantine_bytes,
        "sweep_ms": options.sweep_ms,
        "new_delete": options.new_delete,
        "leaks": if options.leaks { "sites" } else { "off" },
        "abort_on_error": options.abort_on_error,
        "deadlock_ms": options.deadlock_ms,
        "deadlock_loops": options.deadlock_loops,
        "hz": options.hz,
        "cpus": options.cpus,
        "heal": options.heal,
        "hook_free": options.hook_free,
        "legacy_timer_exit": options.legacy_timer_exit,
        "guard": options.guard.name(),
        "guard_sites": options.guard_sites,
        "guard_sample": options.guard_sample,
        "guard_align": if options.guard_at_end { "end" } else { "start" },
        "guard_live": options.guard_live,
        "guard_freed": options.guard_freed,
        "trap_limit": options.trap_limit,
        "unload": if options.keep_unloaded { "keep" } else { "let" },
        "tail_us": options.tail_us,
        "provoke": options.provoke_us,
        "provoke_seed": options.provoke_seed,
        "argv": options.argv,
        "bytes": options.bytes,
        "log": options.log.name(),
    });
    if let Value::Object(map) = value { map } else { Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deadwalk_detector::options::TABLE;

    #[test]
    fn every_option_is_told() {
        let record = reader::Record::parse(&crate::test_image::showit(1).bytes).expect("a record");
        let options = options(&record.process);
        let mut missing = TABLE.iter().filter(|row| !options.contains_key(row.key));
        assert_eq!(missing.next().map(|row| row.key), None);
        assert_eq!(options.len(), TABLE.len());
    }
}
