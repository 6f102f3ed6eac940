//! System calls with memory of freed blocks, outside of handlers too: they are made with
//! what a plain program would have had there, and told. What is nobody's stays the
//! kernel's to refuse.

use deadwalk_tests::{Program, Report, Run};

const READ: &str = "use-after-free-read";
const WRITE: &str = "use-after-free-write";

/// A run in which the program saw what it expected.
#[track_caller]
fn calls(mode: &str) -> Report {
    let watched = Run::of(&Program::new("stale_calls")).arg(mode).watched();
    assert_eq!(watched.outcome.status, 3, "{:#?}", watched.outcome);
    assert_eq!(watched.outcome.stdout, "wrong 0\n", "{}", watched.report);
    watched.report
}

/// How often each offset of the block was accessed.
fn offsets(report: &Report, kind: &str) -> Vec<(i64, u64)> {
    let findings = report.of_kind(kind);
    let offset = |f: &deadwalk_tests::Finding<'_>| f.access("offset").as_i64().expect("an offset");
    let mut offsets: Vec<_> = findings.iter().map(|f| (offset(f), f.count())).collect();
    offsets.sort_unstable();
    offsets
}

#[test]
fn each_call_with_one_buffer() {
    let report = calls("buffers");
    assert_eq!(offsets(&report, WRITE), [(32, 1), (40, 1), (48, 1), (56, 1)], "{report}");
    // Four calls, and one in a loop that sends what was received.
    assert_eq!(offsets(&report, READ), [(0, 1), (8, 1), (16, 1), (24, 1), (32, 3)], "{report}");
    for finding in report.of_kind(READ).iter().chain(&report.of_kind(WRITE)) {
        finding.assert_stack("access", "buffers");
        finding.assert_stack("alloc", "new_data");
        finding.assert_stack("free", "freed_data");
    }
}

#[test]
fn each_call_with_a_vector() {
    let report = calls("vectors");
    // The freed half of four calls; the vector, which is filled and then read.
    assert_eq!(offsets(&report, READ), [(0, 1), (0, 1), (64, 1)], "{report}");
    assert_eq!(offsets(&report, WRITE), [(0, 1), (0, 1), (64, 1), (72, 1)], "{report}");
}

#[test]
fn messages_and_their_headers() {
    let report = calls("messages");
    let reads = [(0, 1), (0, 1), (64, 1), (64, 1), (112, 1)];
    assert_eq!(offsets(&report, READ), reads, "{report}");
    let writes = offsets(&report, WRITE);
    assert_eq!(writes.iter().filter(|&&(offset, _)| offset == 0).count(), 2, "{report}");
    // The kernel says how much came along, and flags.
    assert!(writes.contains(&(104, 2)), "{report}");
    // The same call reads the header before.
    let findings = report.of_kind(WRITE);
    let of_header = findings.iter().find(|f| f.access("offset") == 104).expect("the finding");
    let accesses = of_header.accesses();
    assert_eq!((&accesses["reads"], &accesses["writes"]), (&1.into(), &2.into()), "{report}");
}

/// How many accesses calls made in each of these functions: reads, writes.
fn accesses_in(report: &Report, functions: &[&str]) -> Vec<(u64, u64)> {
    let count = |kind: &str, function: &str| {
        let findings = report.of_kind(kind);
        let is_here = |f: &&deadwalk_tests::Finding<'_>| {
            f.stack("access").first().and_then(|frame| frame.function()) == Some(function)
        };
        findings.iter().filter(is_here).map(|f| f.count()).sum()
    };
    functions.iter().map(|function| (count(READ, function), count(WRITE, function))).collect()
}

#[test]
fn each_call_with_a_structure_or_a_name() {
    let report = calls("structures");
    // Of calls, and of the program, which looks at what was stored.
    let wanted = [(8 + 2, 7), (7 + 7, 9), (5 + 1, 4), (12 + 2, 6)];
    let functions = ["times", "descriptors", "sockets", "names"];
    assert_eq!(accesses_in(&report, &functions), wanted, "{report}");
}

#[test]
fn datagrams_and_their_addresses() {
    let report = calls("addresses");
    // Of four calls with addresses, a buffer beside one and without one, and a length
    // alone; the program looks at a port and a length, and stores one.
    assert_eq!(accesses_in(&report, &["addresses"]), [(5 + 2, 7 + 1)], "{report}");
}

#[test]
fn lengths_that_end_nowhere() {
    let report = calls("endless");
    assert_eq!(offsets(&report, WRITE), [(0, 1), (8, 1), (16, 1)], "{report}");
    assert!(report.of_kind(READ).is_empty(), "{report}");
}

#[test]
fn what_a_file_takes_as_a_whole_is_given_as_a_whole() {
    let report = calls("whole");
    // Of the calls, beside the program's own.
    let [reads, writes] = [READ, WRITE].map(|kind| offsets(&report, kind));
    assert!(reads.contains(&(4096 - 4, 1)), "{report}");
    assert!(writes.contains(&(4096 - 6, 1)), "{report}");
}

#[test]
fn what_has_no_alias_is_told_and_its_refusal_said_once() {
    let run = Run::of(&Program::new("stale_calls")).arg("refused");
    let watched = run.watched();
    assert_eq!(watched.outcome.stdout, "wrong 0\n", "{}", watched.report);
    let said = watched.outcome.stderr.matches("poll was given freed memory").count();
    assert_eq!(said, 1, "{:#?}", watched.outcome);
    assert_eq!(offsets(&watched.report, READ), [(4096 - 100, 2)], "{}", watched.report);
}

#[test]
fn a_cancelled_call_ends_its_thread() {
    let report = calls("cancelled");
    assert_eq!(offsets(&report, WRITE), [(0, 1)], "{report}");
}

#[test]
fn a_call_may_be_left_by_a_jump() {
    let report = calls("jumped");
    // The second by the program, for what a call is to read.
    assert_eq!(offsets(&report, WRITE), [(0, 1), (64, 1)], "{report}");
    // What is read is told of calls, too, that do not come back.
    assert_eq!(offsets(&report, READ), [(64, 1)], "{report}");
}

#[test]
fn what_is_nobodys_is_refused_as_before() {
    calls("wild").assert_clean();
}

#[test]
fn live_blocks_between_freed_ones_are_nothing() {
    calls("live").assert_clean();
}
