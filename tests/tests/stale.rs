//! Handlers that use their data after it was freed: every access is told, one by one,
//! and the program goes on with what it would have seen.

use std::collections::BTreeMap;

use deadwalk_tests::Severity::Error;
use deadwalk_tests::{Finding, Program, Report, Run, repeats};

const READ: &str = "use-after-free-read";
const WRITE: &str = "use-after-free-write";

/// A run that ends as the program wants, and what it says.
#[track_caller]
fn stale(args: &str) -> (Report, String) {
    let watched = Run::of(&Program::new("stale")).args(args).watched();
    assert_eq!(watched.outcome.status, 3, "{:#?}", watched.outcome);
    (watched.report, watched.outcome.stdout)
}

fn total(findings: &[Finding<'_>]) -> u64 {
    findings.iter().map(Finding::count).sum()
}

/// How many accesses there were by line.
fn by_line(findings: &[Finding<'_>]) -> BTreeMap<u64, u64> {
    let mut lines = BTreeMap::new();
    for finding in findings {
        let frame = &finding.stack("access")[0];
        assert_eq!(frame.file_name(), Some("stale.c"), "{finding:?}");
        *lines.entry(frame.line().expect("a line")).or_default() += finding.count();
    }
    lines
}

#[test]
fn a_thousand_reads_by_ten_kinds_of_instruction() {
    a_thousand_reads("reads");
}

/// Small, large, shut in large pieces, and with a mapping of its own.
#[test]
fn the_size_of_the_block_does_not_matter() {
    for size in [3_000, 20_000, 200_000, 8 << 20, 70 << 20] {
        a_thousand_reads(&format!("reads {size}"));
    }
}

fn a_thousand_reads(args: &str) {
    let (report, says) = stale(args);
    assert_eq!(says, "wrong 0\n", "{report}");
    let reads = report.of_kind(READ);
    assert_eq!(total(&reads), 1000, "{report}");
    let lines = by_line(&reads);
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert!(lines.values().all(|&count| count == 100), "{lines:?}");
    for read in &reads {
        assert_eq!(read.severity(), Error);
        assert_eq!(read.text("subject"), "timer-data");
        read.assert_stack("access", "reading");
        read.assert_stack("alloc", "new_data");
        read.assert_stack("free", "under_a_handler");
        let accesses = read.accesses();
        assert_eq!((&accesses["reads"], &accesses["writes"]), (&100.into(), &0.into()));
        assert_eq!(accesses["age_ns"]["count"], 100, "{report}");
    }
    report.assert_none(WRITE);
}

#[test]
fn what_is_written_is_told_and_read_again() {
    let (report, says) = stale("writes");
    assert_eq!(says, "wrong 0\n", "{report}");
    // A store and an addition; four reads, and the addition's is one with it.
    assert_eq!(total(&report.of_kind(WRITE)), 2, "{report}");
    assert_eq!(total(&report.of_kind(READ)), 3, "{report}");
}

#[test]
fn system_calls_get_what_a_plain_program_would_have_given() {
    let (report, says) = stale("calls");
    assert_eq!(says, "wrong 0\n", "{report}");
    assert_eq!(total(&report.of_kind(WRITE)), 3, "{report}");
    // Three that were sent, and three looks at what was received.
    assert_eq!(total(&report.of_kind(READ)), 6, "{report}");
    for finding in report.of_kind(READ).iter().chain(&report.of_kind(WRITE)) {
        finding.assert_stack("access", "calling");
    }
}

/// A line of libc's is none that could be mended.
#[test]
fn accesses_by_library_functions_are_told_by_their_callers() {
    let (report, says) = stale("callers");
    assert_eq!(says, "wrong 0\n", "{report}");
    let mut callers = BTreeMap::new();
    for read in report.of_kind(READ) {
        let stack = read.stack("access");
        let own =
            stack.iter().position(|frame| frame.file_name() == Some("stale.c")).expect("a caller");
        assert!(own > 0 && stack[own + 1].function() == Some("comparing"), "{report}");
        *callers.entry(stack[own].function().unwrap_or_default().to_owned()).or_insert(0) +=
            read.count();
    }
    // A comparison may take more than one load.
    let [once, twice] = ["compare_once", "compare_twice"].map(|name| callers[name]);
    assert!(callers.len() == 2 && once > 0 && twice == 2 * once, "{callers:?} {report}");
    let landing = report.assert_kind("del-while-running", Error);
    landing.assert_stack("access", "comparing");
}

#[test]
fn a_landing_under_which_freed_data_is_used_is_touched() {
    let (report, _) = stale("reads");
    let landing = report.assert_kind("del-while-running", Error);
    assert_eq!(landing.text("consequence"), "touched", "{report}");
    landing.assert_stack("del", "under_a_handler");
    landing.assert_stack("free", "under_a_handler");
    landing.assert_stack("access", "read_in_ten_ways");
}

#[test]
fn two_threads_lose_nothing() {
    let (report, says) = stale("threads");
    assert_eq!(says, "wrong 0\n", "{report}");
    assert_eq!(total(&report.of_kind(READ)), 40_000, "{report}");
}

/// What the program itself counted.
fn counted(says: &str) -> u64 {
    let count = |line: &str| line.strip_prefix("stale ")?.parse().ok();
    says.lines().find_map(count).expect("a count")
}

#[test]
fn a_signal_that_comes_under_an_access_may_access_too() {
    for mode in ["interrupted", "interrupted own"] {
        let (report, says) = stale(mode);
        assert!(says.ends_with("wrong 0\n"), "{says} {report}");
        assert_eq!(total(&report.of_kind(READ)), counted(&says), "{report}");
    }
}

#[test]
fn every_handler_that_reads_freed_data_is_told() {
    let (report, says) = stale(&format!("rounds {}", repeats(500, 2000)));
    let seen = counted(&says);
    assert!(seen > 0, "{says}");
    assert_eq!(total(&report.of_kind(READ)), seen, "{report}");
}

#[test]
fn who_waits_for_the_handler_is_left_alone() {
    let (report, says) = stale(&format!("fixed {}", repeats(200, 1000)));
    assert_eq!(says, "stale 0\nwrong 0\n");
    report.assert_clean();
}

/// 4,096 pages have a shadow; what is written to others opens them.
#[test]
fn writes_to_more_blocks_than_have_shadows_are_kept() {
    let (report, says) = stale("many 5000");
    assert_eq!(says, "wrong 0\n", "{report}");
    // Each is told; what was opened is read untold.
    assert_eq!(total(&report.of_kind(WRITE)), 5000, "{report}");
    assert!(total(&report.of_kind(READ)) >= 4000, "{report}");
}

#[test]
fn beyond_the_limit_the_block_is_opened() {
    let run = Run::of(&Program::new("stale")).arg("reads");
    let watched = run.env("DEADWALK_OPTIONS", "trap_limit=40").watched();
    let says = (watched.outcome.status, &*watched.outcome.stdout);
    assert_eq!(says, (3, "wrong 0\n"), "{}", watched.report);
    let lines = by_line(&watched.report.of_kind(READ));
    // Ten instructions take turns: the first comes to its limit first, and opens it.
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert!(lines.values().all(|&count| count == 40 || count == 41), "{lines:?}");

    let run = Run::of(&Program::new("stale")).arg("writes");
    let watched = run.env("DEADWALK_OPTIONS", "trap_limit=1").watched();
    assert_eq!((watched.outcome.status, &*watched.outcome.stdout), (3, "wrong 0\n"));
}

/// The program measures each age itself, from outside.
#[test]
fn ages_of_accesses_are_what_the_program_measures() {
    let (report, says) = stale("aged");
    let bounds: Vec<[u64; 2]> = says
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(low, high)| Some([low.parse().ok()?, high.parse().ok()?]))
        .collect();
    assert_eq!(bounds.len(), 5, "{says}");
    let reads = report.of_kind(READ);
    assert_eq!((reads.len(), total(&reads)), (1, 5), "{report}");
    let accesses = reads[0].accesses();
    let number = |field: &str| accesses[field].as_u64().expect(field);
    assert_eq!((number("reads"), number("writes")), (5, 0), "{report}");
    let between = number("last_ns") - number("first_ns");
    assert!(between >= bounds[4][0].saturating_sub(bounds[0][1]), "{report}");
    let age = |field: &str| accesses["age_ns"][field].as_u64().expect(field);
    assert_eq!(age("count"), 5, "{report}");
    let [first, last] = [bounds[0], bounds[4]];
    assert!((first[0]..=first[1]).contains(&age("min")), "{says} {report}");
    assert!((last[0]..=last[1]).contains(&age("max")), "{says} {report}");
    // Known to an eighth.
    let median = bounds[2][0] / 8 * 7..=bounds[2][1] / 7 * 8;
    assert!(median.contains(&age("p50")), "{says} {report}");
    let buckets = accesses["age_ns"]["buckets"].as_array().expect("buckets");
    assert_eq!(buckets.iter().filter_map(|b| b[2].as_u64()).sum::<u64>(), 5, "{report}");
}

#[test]
fn without_guards_nothing_is_told_of_reads() {
    let run = Run::of(&Program::new("stale")).arg("reads").env("DEADWALK_OPTIONS", "guard=off");
    let watched = run.watched();
    assert_eq!(watched.outcome.status, 3);
    watched.report.assert_none(READ);
}
