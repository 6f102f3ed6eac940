//! Memory misuse: found, named, and survived. Every program ends with its own
//! status, bug or no bug.

use deadwalk_tests::Severity::Error;
use deadwalk_tests::{Program, Report, Run};

/// What every memory program returns.
const STATUS: i32 = 7;

#[track_caller]
fn report_of(name: &str, variant: &str) -> Report {
    let watched = Run::of(&Program::variant(name, variant)).watched();
    assert_eq!(watched.outcome.status, STATUS, "{name} {variant}: {:#?}", watched.outcome);
    watched.report
}

#[track_caller]
fn found_once(name: &str, variant: &str, kind: &str) -> Report {
    let report = report_of(name, variant);
    assert_eq!(report.assert_kind(kind, Error).count(), 1, "{report}");
    report.assert_only(&[kind]);
    report
}

#[track_caller]
fn clean(name: &str) {
    for variant in ["FIXED", "LOOKALIKE"] {
        let report = report_of(name, variant);
        report.assert_clean();
        assert_eq!(report.counter("heap.retired_slots"), 0, "{report}");
    }
}

#[test]
fn double_free() {
    let report = found_once("mem_double_free", "BAD", "double-free");
    let finding = report.assert_seen("double-free");
    finding.assert_stack("alloc", "main");
    finding.assert_stack("free", "main");
    clean("mem_double_free");
}

#[test]
fn invalid_free() {
    found_once("mem_invalid_free", "BAD=1", "invalid-free");
    found_once("mem_invalid_free", "BAD=2", "invalid-free");
    clean("mem_invalid_free");
}

#[test]
fn write_after_free_found_at_reuse() {
    let report = found_once("mem_uaf_write", "BAD=1", "use-after-free-write");
    let finding = report.assert_seen("use-after-free-write");
    assert_eq!(finding.text("subject"), "heap");
    assert_eq!(finding.text("detected"), "late");
    finding.assert_stack("alloc", "main");
    finding.assert_stack("free", "main");
    assert_eq!(report.counter("heap.retired_slots"), 1, "that slot is never used again");
    clean("mem_uaf_write");
}

#[test]
fn write_after_free_found_at_exit() {
    found_once("mem_uaf_write", "BAD=2", "use-after-free-write");
}

#[test]
fn overflow() {
    found_once("mem_overflow", "BAD=1", "heap-buffer-overflow").assert_seen("heap-buffer-overflow");
    clean("mem_overflow");
}

/// A byte before the block lies in the slot before it or in nobody's.
#[test]
fn underflow() {
    let report = report_of("mem_overflow", "BAD=2");
    report.assert_only(&["heap-buffer-underflow", "heap-buffer-overflow", "use-after-free-write"]);
}
