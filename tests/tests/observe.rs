//! What the heap lets people see: totals by size class, and the blocks that are
//! live at the end, by the call that allocated them.

use deadwalk_tests::Severity::Error;
use deadwalk_tests::{Program, Report, Run};
use serde_json::Value;

/// What the programs return.
const STATUS: i32 = 7;

#[track_caller]
fn watched(run: Run) -> Report {
    let watched = run.watched();
    assert_eq!(watched.outcome.status, STATUS, "{:#?}", watched.outcome);
    watched.report
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} is no number in {value:#}"))
}

fn classes(report: &Report) -> &[Value] {
    report.total("heap")["classes"].as_array().expect("a list")
}

#[test]
fn live_blocks_are_listed_by_the_call_that_allocated_them() {
    let run =
        Run::of(&Program::new("observe")).arg("listing").env("DEADWALK_OPTIONS", "leaks=sites");
    let report = watched(run);
    report.assert_clean();
    let sites = report.heap_sites();
    let of = |function: &str| {
        let mut found = sites.iter().filter(|site| site["site"]["function"] == function);
        let site = found.next().unwrap_or_else(|| panic!("{function} is listed: {report}"));
        assert!(found.next().is_none(), "{function} is listed once: {report}");
        assert!(site["site"]["file"].as_str().is_some_and(|file| file.ends_with("observe.c")));
        assert!(number(&site["site"], "line") > 0);
        (number(site, "blocks"), number(site, "bytes"))
    };
    assert_eq!(of("keep_small"), (700, 70_000));
    assert_eq!(of("keep_large"), (20, 1_000_000));
    assert_eq!(of("keep_huge"), (1, 100 << 20));
    assert!(!sites.iter().any(|site| site["site"]["function"] == "give_back"), "{report}");
    let bytes: Vec<u64> = sites.iter().map(|site| number(site, "bytes")).collect();
    assert!(bytes.is_sorted_by(|a, b| a >= b), "{bytes:?}");
    // The totals know of the same blocks.
    let listed: u64 = sites.iter().map(|site| number(site, "blocks")).sum();
    let live: u64 = classes(&report).iter().map(|class| number(class, "live")).sum();
    assert_eq!(listed, live, "{report}");
}

#[test]
fn the_text_report_lists_them_too() {
    let run =
        Run::of(&Program::new("observe")).arg("listing").env("DEADWALK_OPTIONS", "leaks=sites");
    let outcome = run.under_deadwalk().assert_status(STATUS);
    let text = &outcome.stderr;
    let line = |part: &str| {
        let found = text.lines().find(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("{part:?} is not in:\n{text}"))
    };
    assert!(line("live at exit: ").contains(" blocks, "));
    assert!(line("in keep_small").contains("observe.c:"), "{text}");
    assert!(line("in keep_small").trim_start().starts_with("700     70,000 "), "{text}");
}

#[test]
fn without_the_option_nothing_is_listed() {
    let run = Run::of(&Program::new("observe")).arg("listing");
    let report = watched(run.clone());
    assert_eq!(report.heap_sites(), &[] as &[Value]);
    assert!(!run.under_deadwalk().stderr.contains("live at exit"));
}

/// In one process, with threads, and with a child that inherits what is live.
#[test]
fn classes_add_up_to_the_totals() {
    let report = watched(Run::of(&Program::new("observe")));
    report.assert_clean();
    assert_eq!(report.processes().len(), 2, "{report}");
    let sum = |name: &str| classes(&report).iter().map(|class| number(class, name)).sum::<u64>();
    assert_eq!(sum("allocs"), report.counter("heap.allocs"), "{report}");
    assert_eq!(sum("frees"), report.counter("heap.frees"), "{report}");
    // The child's share of what is live was allocated by its parent.
    let live = sum("live");
    assert!(live > sum("allocs") - sum("frees"), "{report}");
    let mapped = classes(&report).iter().find(|class| class["slot_bytes"] == 0);
    let mapped = mapped.unwrap_or_else(|| panic!("directly mapped blocks are there: {report}"));
    // 30 rounds on five threads of control, of which a third is not freed; the
    // child has its own and those of the threads before it.
    assert_eq!((number(mapped, "allocs"), number(mapped, "frees")), (150, 100), "{report}");
    assert_eq!(number(mapped, "live"), (40 + 40), "{report}");
}

/// Sweeps every millisecond.
fn swept(mode: &str) -> Report {
    let program = Program::with_headers("observe_sweep", &[]);
    watched(Run::of(&program).arg(mode).env("DEADWALK_OPTIONS", "sweep_ms=1"))
}

#[track_caller]
fn assert_found(report: &Report, processes: u64) {
    let overflow = report.assert_kind("heap-buffer-overflow", Error);
    assert_eq!(overflow.text("detected"), "late");
    overflow.assert_stack("alloc", "damage");
    assert_eq!(report.count("heap-buffer-overflow", Error), processes, "{report}");
    let stale = report.assert_kind("use-after-free-write", Error);
    stale.assert_stack("alloc", "freed_block");
    stale.assert_stack("free", "freed_block");
    assert_eq!(report.count("use-after-free-write", Error), 2 * processes, "{report}");
    report.assert_only(&["heap-buffer-overflow", "use-after-free-write"]);
}

#[test]
fn a_sweep_finds_damage_while_the_program_runs() {
    assert_found(&swept("plain"), 1);
}

#[test]
fn a_sweep_finds_damage_beside_busy_threads_and_accuses_none_of_them() {
    assert_found(&swept("threads"), 1);
}

#[test]
fn a_fork_child_is_swept_too() {
    assert_found(&swept("fork"), 2);
}

#[test]
fn blocks_in_use_to_their_last_byte_are_clean() {
    let report = swept("clean");
    report.assert_none("heap-buffer-overflow");
    report.assert_only(&["use-after-free-write"]);
}

/// Programs behave as ever with a thread of ours beside them.
#[test]
fn a_sweep_changes_nothing_for_the_program() {
    for command in [
        &["sh", "-c", "for i in 1 2 3; do (echo $i | tr 1-3 a-c); done; exit 4"] as &[&str],
        &["sh", "-c", "seq 20000 | sort -rn | head -3; kill -9 $$"],
    ] {
        let run = Run::command(command).env("DEADWALK_OPTIONS", "sweep_ms=1");
        let watched = run.watched();
        watched.assert_same(&run.plain());
        watched.report.assert_clean();
    }
    let report = watched(Run::of(&Program::new("observe")).env("DEADWALK_OPTIONS", "sweep_ms=1"));
    report.assert_clean();
}
