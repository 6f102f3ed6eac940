//! The verdict at `leave`: what happens in a handler's last instructions is
//! legal; what happens under a handler that goes on is not.

use deadwalk_tests::Severity::Error;
use deadwalk_tests::{Program, Report, Run, alone, repeats};

fn tail(shape: &str, rounds: u64, pinned: bool) -> Report {
    let _alone = alone();
    // Held to its processor time alone, which it spends on what was freed.
    let guard = if shape == "busy" { "guard=off" } else { "guard=timers" };
    let run = Run::of(&Program::new("tail")).env("DEADWALK_OPTIONS", guard);
    let run = run.arg(shape).arg(rounds.to_string());
    let watched = if pinned { run.arg("pinned").watched() } else { run.watched() };
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    assert_eq!(watched.report.counter("del.calls"), rounds);
    watched.report
}

fn rounds(full: u32) -> u64 {
    u64::from(repeats(full / 10, full))
}

#[test]
fn legal_rounds_are_clean() {
    for _ in 0..repeats(1, 3) {
        tail("legal", rounds(2000), false).assert_clean();
    }
}

#[test]
fn legal_rounds_on_one_cpu_are_clean() {
    for _ in 0..repeats(1, 3) {
        tail("legal", rounds(2000), true).assert_clean();
    }
}

/// The first `pthread_exit` of a process is the one that loads libc's unwinder.
#[test]
fn first_rounds_that_end_by_pthread_exit_are_clean() {
    for _ in 0..repeats(10, 50) {
        tail("exits", 1, false).assert_clean();
    }
}

#[test]
fn rounds_that_end_by_pthread_exit_are_clean() {
    tail("exits", rounds(2000), false).assert_clean();
}

#[test]
fn a_handler_that_gave_its_word_may_go_on() {
    tail("word", rounds(500), false).assert_clean();
}

/// Every round of a handler that sleeps through the free is an error.
#[track_caller]
fn every_round_is_an_error(shape: &str, rounds: u64, pinned: bool) {
    let report = tail(shape, rounds, pinned);
    assert_eq!(report.count("data-free-while-running", Error), rounds, "{report}");
    assert_eq!(report.count("del-while-running", Error), rounds, "{report}");
    assert_eq!(report.counter("del.while_running"), rounds);
    assert!(report.findings().iter().all(|finding| !finding.is_tail()), "{report}");
}

#[test]
fn sleeping_handlers_are_errors() {
    every_round_is_an_error("asleep", rounds(2000), false);
}

#[test]
fn sleeping_handlers_on_one_cpu_are_errors() {
    every_round_is_an_error("asleep", rounds(2000), true);
}

#[test]
fn busy_handlers_are_errors() {
    every_round_is_an_error("busy", rounds(200), false);
}

#[test]
fn busy_handlers_on_one_cpu_are_errors() {
    every_round_is_an_error("busy", rounds(200), true);
}
