//! Threads on shared timers, through the library as programs use it: nothing
//! hangs, no handler overlaps itself, and the books balance.

use std::time::Instant;

use deadwalk_tests::{Program, Run, Severity};

const POLICIES: [&str; 3] = ["async", "sync", "running"];
const THREADS: u64 = 4;

fn ops() -> u64 {
    if std::env::var_os("DEADWALK_TEST_QUICK").is_some() { 50_000 } else { 1_000_000 }
}

/// What misuse the program commits: it asks whether a timer is pending and then
/// adds it, and its handlers arm their timers after a delete.
const MISUSE: [&str; 4] = ["double-add", "concurrent-arm", "rearm-after-del", "del-while-running"];

fn stress(policy: &str) {
    let run = Run::of(&Program::kernel("timer_stress")).arg(policy).arg(ops().to_string());
    let run = run.option("--del").option(policy).env("DEADWALK_OPTIONS", "cpus=2:hz=1000");
    let start = Instant::now();
    let watched = run.watched();
    let seconds = start.elapsed().as_secs_f64();
    println!("{policy}: {} calls in {seconds:.1} s", THREADS * ops());
    let (outcome, report) = (&watched.outcome, &watched.report);
    assert_eq!(outcome.status, 0, "{outcome:#?}");
    assert!(outcome.stdout.contains(" overlaps 0 "), "{outcome:#?}");
    let timers = report.total("timers");
    assert_eq!(timers["invariant_ok"], true, "{timers:#}");
    assert_eq!(report.counter("timers.pending_at_end"), 0, "{timers:#}");
    let handled = outcome.stdout.split_whitespace().nth(1).expect("handled N");
    assert_eq!(report.counter("timers.handlers_run").to_string(), handled);
    assert_eq!(report.counter("timers.refused_at_expiry"), 0, "{timers:#}");
    report.assert_only(&MISUSE);
    for finding in report.findings().iter().filter(|f| f.severity() == Severity::Error) {
        let landed = finding.kind() == "del-while-running" && policy == "async";
        assert!(landed || finding.kind() == "double-add", "{report}");
    }
    let waits = policy != "async";
    if waits {
        assert_eq!(report.counter("del.while_running"), 0, "{report}");
    }
}

/// One after the other: together they would measure each other.
#[test]
fn nothing_hangs_and_the_books_balance() {
    let start = Instant::now();
    POLICIES.into_iter().for_each(stress);
    assert!(start.elapsed().as_secs() < 120, "{:?} for all policies", start.elapsed());
}
