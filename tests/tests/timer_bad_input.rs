//! Bad input to `timer_list` functions and options: a finding or one clear line,
//! never a crash, and the exit status is the program's own.

use deadwalk_tests::{Program, Report, Run, Severity};

const POLICIES: [&str; 3] = ["async", "sync", "running"];
/// Calls that look at their timer first, and all of them; each is a finding.
const LOOKS: u64 = 15;
const ALL: u64 = LOOKS + 3;

fn run_case(case: &str, policy: &str) -> Report {
    let run = Run::of(&Program::kernel("timer_bad")).arg(case).option("--del").option(policy);
    let watched = run.watched();
    let outcome = &watched.outcome;
    assert_eq!(outcome.status, 7, "{case}: {outcome:#?}");
    assert_eq!(outcome.stdout, format!("{case}: 0 wrong\n"), "{outcome:#?}");
    assert_eq!(watched.report.total("timers")["invariant_ok"], true, "{case}");
    watched.report
}

/// Every call is an error of that kind, and there is nothing else.
#[track_caller]
fn every_call_is(case: &str, kind: &str, calls: u64) {
    for policy in POLICIES {
        let report = run_case(case, policy);
        report.assert_only(&[kind]);
        assert_eq!(report.count(kind, Severity::Error), calls, "{case}, {policy}: {report}");
    }
}

#[test]
fn pointers_to_nothing() {
    every_call_is("null", "uninit-use", ALL);
    every_call_is("first_page", "uninit-use", 2 * ALL);
    every_call_is("misaligned", "uninit-use", 7 * ALL);
    every_call_is("unmapped", "uninit-use", ALL);
    every_call_is("no_access", "uninit-use", ALL);
    every_call_is("read_only", "uninit-use", ALL);
    every_call_is("half_there", "uninit-use", ALL);
    every_call_is("non_canonical", "uninit-use", 2 * ALL);
    every_call_is("kernel_half", "uninit-use", 2 * ALL);
    every_call_is("small_block", "uninit-use", ALL);
}

#[test]
fn memory_that_is_no_timer() {
    every_call_is("garbage", "uninit-use", 8 * LOOKS);
}

#[test]
fn a_timer_without_function() {
    every_call_is("no_function", "null-handler", 2);
}

#[test]
fn times_past_and_far() {
    for policy in POLICIES {
        run_case("times", policy).assert_clean();
    }
}

#[test]
fn questions_of_the_library() {
    run_case("questions", "async").assert_clean();
}

/// The variable is the program's environment: named, and passed over.
#[test]
fn bad_options_do_not_stop_the_program() {
    for (options, culprit) in [
        ("cpus=0", "cpus"),
        ("cpus=999", "cpus"),
        ("cpus=-1", "cpus"),
        ("hz=0", "hz"),
        ("hz=99999999999999999999", "hz"),
        ("hz=1000000", "hz"),
        ("del=bogus", "bogus"),
        ("deadlock_loops=abc", "deadlock_loops"),
        ("deadlock_ms=-5", "deadlock_ms"),
        ("hook_free=perhaps", "hook_free"),
        ("legacy_timer_exit=2", "legacy_timer_exit"),
    ] {
        let run = Run::of(&Program::kernel("timer_bad")).arg("options").option("-q");
        let outcome = run.env("DEADWALK_OPTIONS", options).under_deadwalk();
        let outcome = outcome.assert_status(7).assert_says(culprit);
        assert_eq!(outcome.stdout, "options: 0 wrong\n", "{options}");
        let lines = outcome.stderr.lines().filter(|line| line.contains(culprit)).count();
        assert_eq!(lines, 1, "one clear line: {outcome:#?}");
    }
}

/// The ends of what is allowed work.
#[test]
fn extreme_options_work() {
    for options in ["cpus=64", "hz=1", "hz=10000", "deadlock_loops=0", "deadlock_ms=0"] {
        let run = Run::of(&Program::kernel("timer_bad")).arg("options").option("-q");
        let outcome = run.env("DEADWALK_OPTIONS", options).under_deadwalk().assert_status(7);
        assert_eq!(outcome.stdout, "options: 0 wrong\n", "{options}");
    }
}
