//! C++ programs: their operators are ours, and behave as the standard library's.

use deadwalk_tests::Severity::Warning;
use deadwalk_tests::{Program, Report, Run, Watched, find_tool};

const MISMATCH: &str = "alloc-dealloc-mismatch";

fn has_cpp() -> bool {
    find_tool("c++").is_some()
}

#[track_caller]
fn checked(program: &Program) -> Watched {
    Run::of(program).env("DEADWALK_OPTIONS", "new_delete=on").watched()
}

#[track_caller]
fn mismatch_report(variant: &str) -> Report {
    let watched = checked(&Program::cxx_with_flags("cpp_mismatch", &[&format!("-D{variant}")]));
    assert_eq!(watched.outcome.status, 7, "{variant}: {:#?}", watched.outcome);
    watched.report
}

/// Every pair of families, sizes, and every size of block, each once and with
/// both sites; the block is freed all the same.
#[test]
fn mismatches_are_named() {
    if !has_cpp() {
        return;
    }
    let words = [
        "a block of 4 bytes came from new and went to free",
        "a block of 100 bytes came from new[] and went to free",
        "a block of 4 bytes came from malloc and went to delete",
        "a block of 100 bytes came from malloc and went to delete[]",
        "a block of 4 bytes came from new and went to delete[]",
        "a block of 32 bytes came from new[] and went to delete",
        "a block of 100 bytes came from new[] and went to free",
        "a block of 40 bytes was given back by delete of 48",
        "a block of 64 bytes was given back by delete of 16",
        "a block of 1048576 bytes came from new[] and went to free",
        "a block of 104857600 bytes came from new[] and went to free",
        "a block of 64 bytes came from new and went to free",
        "a block of 30 bytes was given back by free of 31",
    ];
    for (number, message) in (1..).zip(words) {
        let report = mismatch_report(&format!("BAD={number}"));
        let finding = report.assert_kind(MISMATCH, Warning);
        assert_eq!(finding.count(), 1, "BAD={number}: {report}");
        assert_eq!(finding.text("message"), message, "BAD={number}: {report}");
        finding.assert_stack("alloc", "main");
        finding.assert_stack("access", "main");
        report.assert_only(&[MISMATCH]);
        assert_eq!(report.counter("heap.retired_slots"), 0, "BAD={number}: {report}");
    }
}

#[test]
fn what_goes_back_right_is_clean() {
    if !has_cpp() {
        return;
    }
    for variant in ["FIXED", "LOOKALIKE"] {
        mismatch_report(variant).assert_clean();
    }
}

/// Without the option nothing is said of families.
#[test]
fn families_are_no_matter_by_default() {
    if !has_cpp() {
        return;
    }
    for number in 1..=13 {
        let program = Program::cxx_with_flags("cpp_mismatch", &[&format!("-DBAD={number}")]);
        let watched = Run::of(&program).watched();
        assert_eq!(watched.outcome.status, 7, "BAD={number}: {:#?}", watched.outcome);
        watched.report.assert_clean();
    }
}
