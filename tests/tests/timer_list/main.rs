//! The scenarios of timer_list under every policy: what the mail and Rusty
//! Russell's text describe, each with the findings named and no others.
//!
//! Each program judges what it saw itself and exits with 0 if that is as
//! expected, so a report is held against something other than deadwalk.

mod page;
mod table;

use deadwalk_tests::{Finding, Program, Report, Run, Target, Watched};
use std::process::Command;
use std::sync::OnceLock;
use table::{Cell, POLICIES, SCENARIOS, Scenario};

/// The program of a scenario, with its arguments.
fn run_of(scenario: &Scenario) -> Run {
    let (program, args) = scenario.command.split_once(' ').unwrap_or((scenario.command, ""));
    Run::of(&Program::kernel_example(program)).args(args)
}

/// A scenario under a policy; run once, though the page wants it too.
fn watched(scenario: usize, policy: usize) -> &'static Watched {
    static RUNS: [[OnceLock<Watched>; 3]; SCENARIOS.len()] =
        [const { [const { OnceLock::new() }; 3] }; SCENARIOS.len()];
    RUNS[scenario][policy].get_or_init(|| {
        let run = run_of(&SCENARIOS[scenario]).option("--del").option(POLICIES[policy]);
        match SCENARIOS[scenario].options {
            "" => run.watched(),
            options => run.env("DEADWALK_OPTIONS", options).watched(),
        }
    })
}

/// What of one run is not as the table has it.
fn differences(watched: &Watched, expected: &Cell, policy: &str) -> Vec<String> {
    let report = &watched.report;
    let mut differences = report.differences(expected.findings);
    for (path, count) in [
        ("del.while_running", expected.while_running),
        ("del.sync_waits", expected.sync_waits),
        ("del.re_deletes", expected.re_deletes),
    ] {
        let n = report.counter(path);
        if !count.allows(n) {
            differences.push(format!("{path}: {n}, expected {count}"));
        }
    }
    let readds = report.counter("del.readds_by_handler") + report.counter("del.readds_by_other");
    if readds < report.counter("del.re_deletes") {
        differences.push(format!("deleted again, but armed again only {readds} times"));
    }
    if watched.outcome.status != 0 {
        differences.push(format!("exit status {}", watched.outcome.status));
    }
    if !invariant_holds(report) {
        differences.push("the invariant of the timers' counters is broken".into());
    }
    for landing in report.of_kind("del-while-running") {
        if landing.text("api") != "timer_list" || landing.text("policy") != policy {
            differences.push("a landing of another api or policy".into());
        }
    }
    differences
}

/// Arms = expiries + refusals + detaches + still pending, as the report has it.
fn invariant_holds(report: &Report) -> bool {
    report.total("timers")["invariant_ok"] == true
}

/// Runs the scenarios of one program under every policy.
#[track_caller]
fn as_specified(command: &str) {
    let mut failures = String::new();
    let of_program = |s: &Scenario| s.command.split(' ').next() == Some(command);
    for (s, scenario) in SCENARIOS.iter().enumerate().filter(|(_, s)| of_program(s)) {
        for (p, policy) in POLICIES.iter().enumerate() {
            let watched = watched(s, p);
            for difference in differences(watched, &scenario.cells[p], policy) {
                failures += &format!("{}, {policy}: {difference}\n", scenario.name);
            }
            if !failures.is_empty() {
                failures += &watched.outcome.stdout;
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn d1_resource_released() {
    as_specified("d1_resource");
}

#[test]
fn d2_device_shut_down() {
    as_specified("d2_device");
}

#[test]
fn d3_what_is_foo() {
    as_specified("d3_foo");
}

#[test]
fn d4_text_unloaded() {
    as_specified("d4_unload");
}

#[test]
fn d5_zombie() {
    as_specified("d5_zombie");
}

#[test]
fn deadlock() {
    as_specified("deadlock");
}

#[test]
fn showit() {
    as_specified("showit");
}

#[test]
fn kfree() {
    as_specified("kfree");
}

#[test]
fn uninitialised() {
    as_specified("uninit");
}

#[test]
fn collection() {
    as_specified("collection");
}

#[test]
fn self_rearming() {
    as_specified("rearming");
}

/// The report of the scenario with that command line.
fn report_of(command: &str, policy: usize) -> &'static Report {
    let scenario = SCENARIOS.iter().position(|s| s.command == command);
    &watched(scenario.expect("a scenario of the table"), policy).report
}

fn landing(command: &str) -> Finding<'static> {
    report_of(command, 0).assert_seen("del-while-running")
}

#[test]
fn findings_name_the_places() {
    let landing = landing("d1_resource");
    landing.assert_stack("del", "main");
    landing.assert_stack("handler", "handler");
    landing.assert_stack("free", "main");
    let zombie = report_of("d5_zombie a", 0).assert_seen("api-use-after-free");
    zombie.assert_stack("free", "main");
    zombie.assert_stack("access", "handler");
    let deadlock = report_of("deadlock", 1).assert_seen("del-deadlock");
    deadlock.assert_stack("del", "main");
    deadlock.assert_stack("handler", "handler");
}

#[test]
fn the_asynchronous_name_is_said_to_be_meant() {
    assert!(landing("showit 100 del_timer_async").is_declared_async());
    assert!(!landing("showit 100").is_declared_async());
}

#[test]
fn freed_storage_is_detached() {
    for (policy, _) in POLICIES.iter().enumerate() {
        assert_eq!(report_of("kfree a", policy).counter("timers.auto_detached"), 1);
    }
    assert_eq!(report_of("d5_zombie b", 0).counter("timers.auto_detached"), 1);
}

/// "Retry for ever" is no finding, but whoever looks for the hang is told.
#[test]
fn retry_for_ever_has_a_hint() {
    let run = Run::of(&Program::kernel_example("collection")).arg("forever");
    run.under_deadwalk().assert_status(0).assert_says("neither pending nor running");
    assert_eq!(report_of("collection forever", 0).counter("del.calls"), 1000);
}

/// The same without the command: linked, and told by `DEADWALK_OPTIONS`.
#[test]
fn bare_runs_report_the_same() {
    for command in ["d1_resource", "d5_zombie a", "deadlock", "kfree d", "uninit mail"] {
        let scenario = SCENARIOS.iter().find(|s| s.command == command).expect("in the table");
        for (policy, cell) in POLICIES.iter().zip(&scenario.cells) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let options = format!("output='{}'", folder.path().display());
            let run = run_of(scenario).args("--policy").arg(policy);
            let outcome = run.env("DEADWALK_OPTIONS", options).plain().assert_status(0);
            let json = Command::new(Target::get().command())
                .args(["report", "--format", "json"])
                .arg(folder.path())
                .output()
                .expect("the command runs");
            let report = Report::parse(&String::from_utf8_lossy(&json.stdout));
            let watched = Watched { outcome, report: report.expect("a report") };
            assert_eq!(differences(&watched, cell, policy), [""; 0], "{command}, {policy}");
        }
    }
}

#[test]
fn bad_arguments_are_refused() {
    for args in ["--policy", "--policy later", "--nonsense", "x"] {
        let outcome = Run::of(&Program::kernel_example("d1_resource")).args(args).plain();
        outcome.assert_status(2).assert_one_line("usage: d1_resource");
    }
}
