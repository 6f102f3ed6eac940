//! `del=sync`: a delete and a handler that wait for each other are found at once,
//! with where both wait, and the program goes on.

use deadwalk_tests::Severity::Error;
use deadwalk_tests::{Program, Run};

/// So long that only a proof ends the wait.
const PROOF_ONLY: &str = "del=sync:deadlock_ms=3600000";

fn run(name: &str, variant: &str) -> Run {
    Run::of(&Program::variant(name, variant)).env("DEADWALK_OPTIONS", PROOF_ONLY)
}

/// A's handler deletes B while B's deletes A.
#[test]
fn two_handlers_that_delete_each_other_are_proven() {
    let watched = run("posix/p9_cross", "BAD").watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    let report = &watched.report;
    let deadlock = report.assert_kind("del-deadlock", Error);
    for stack in ["del", "access", "handler"] {
        deadlock.assert_stack(stack, "handler");
    }
}

/// The handler wants a mutex that the deleter holds.
#[test]
fn a_lock_that_the_handler_wants_is_proven() {
    let watched = run("posix/p8_lock", "BAD=1").watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    let deadlock = watched.report.assert_kind("del-deadlock", Error);
    deadlock.assert_stack("del", "main");
    assert!(!deadlock.stack("access").is_empty(), "{}", watched.report);
}

#[test]
fn waits_that_end_are_none() {
    for (name, variant) in [
        ("posix/p8_lock", "FIXED=1"),
        ("posix/p8_lock", "LOOKALIKE=1"),
        ("posix/p8_lock", "LOOKALIKE=2"),
        ("posix/p9_cross", "FIXED"),
        ("posix/p9_cross", "LOOKALIKE"),
    ] {
        let watched = run(name, variant).watched();
        assert_eq!(watched.outcome.status, 0, "{name} {variant}: {:#?}", watched.outcome);
        watched.report.assert_none("del-deadlock");
        watched.report.assert_clean();
    }
}
