//! The misuse matrix: every case is found, named, placed and survived; its clean
//! twin is left in peace.

use deadwalk_tests::matrix::{Asked, Case, Class, LARGE_ODD, MARK, STATUS, Site, Twin, cases};
use deadwalk_tests::{Finding, Report, error, warning};

/// Checks every case that `chosen` has; all that is wrong is said at once.
#[track_caller]
fn check_all(chosen: impl Fn(&Case) -> bool) {
    let chosen: Vec<Case> = cases().into_iter().filter(|case| chosen(case)).collect();
    assert!(!chosen.is_empty(), "no case is chosen");
    let wrong: Vec<String> = chosen.iter().flat_map(check).collect();
    assert!(wrong.is_empty(), "{} cases\n{}", chosen.len(), wrong.join("\n"));
}

fn check(case: &Case) -> Vec<String> {
    let mut wrong = vec![];
    for twin in [Twin::Bad, Twin::Clean] {
        let watched = case.run(twin).watched();
        let mut say = |what: String| {
            wrong.push(format!("{} {}: {what}", case.source, case.words(twin)));
        };
        if watched.outcome.status != STATUS {
            say(format!("status {}: {}", watched.outcome.status, watched.outcome.stderr));
        }
        match twin {
            Twin::Bad => check_finding(case, &watched.report, &mut say),
            Twin::Clean => check_silence(&watched.report, &mut say),
        }
    }
    wrong
}

fn check_silence(report: &Report, say: &mut impl FnMut(String)) {
    if !report.findings().is_empty() {
        say(format!("found {:?}", report.tally()));
    }
    match report.counter("heap.retired_slots") {
        0 => {}
        retired => say(format!("{retired} slots retired")),
    }
}

/// Exactly one finding, of the right kind, with the right places.
fn check_finding(case: &Case, report: &Report, say: &mut impl FnMut(String)) {
    let found = report.findings();
    if found.is_empty() && case.asked != Asked::Named {
        return;
    }
    let [finding] = found[..] else { return say(format!("found {:?}", report.tally())) };
    let told = (finding.kind(), finding.severity(), finding.count());
    if case.asked == Asked::Silent || told != (case.class.kind(), case.class.severity(), 1) {
        return say(format!("found {told:?}"));
    }
    check_places(case, finding, say);
    check_bytes(case, finding, say);
}

fn check_places(case: &Case, finding: Finding<'_>, say: &mut impl FnMut(String)) {
    if let Some(offset) = case.offset {
        let told = (finding.access("size").as_i64(), finding.access("offset").as_i64());
        if told != (Some(case.size as i64), Some(offset as i64)) {
            say(format!("size and offset {told:?}, not {:?}", (case.size, offset)));
        }
    }
    let late = matches!(case.found, "reuse" | "exit" | "sweep");
    // The second of two racing frees is found at once or a little later.
    if case.name != "double_from_two_threads"
        && finding.text("detected") != if late { "late" } else { "at-once" }
    {
        say(format!("detected {:?}", finding.text("detected")));
    }
    for (stack, site) in [("alloc", case.alloc), ("free", case.free)] {
        if let Some(site) = site
            && let Err(told) = is_site(case, finding, stack, site)
        {
            say(format!("{stack} at {told:?}, not in {}", site.function));
        }
    }
    if let Some(function) = case.access {
        let stack = finding.stack("access");
        if !stack.iter().any(|frame| frame.function() == Some(function)) {
            say(format!("access by {stack:?}, not by {function}"));
        }
    }
}

type Place = (Option<String>, Option<String>, Option<u64>);

/// Whether the innermost frame is that call; else the place it has.
fn is_site(case: &Case, finding: Finding<'_>, stack: &str, site: Site) -> Result<(), Place> {
    let (file, line) = case.line_of(site);
    let wanted = (Some(site.function.to_string()), Some(file), Some(line));
    let own = |text: Option<&str>| text.map(str::to_string);
    let told = finding
        .stack(stack)
        .first()
        .map(|frame| (own(frame.function()), own(frame.file_name()), frame.line()));
    if told.as_ref() == Some(&wanted) { Ok(()) } else { Err(told.unwrap_or_default()) }
}

/// The bytes around the first damaged one: those that the program wrote are its
/// mark now and were not, the others are as they were.
fn check_bytes(case: &Case, finding: Finding<'_>, say: &mut impl FnMut(String)) {
    let has_damage = !matches!(case.found, "access") && case.name != "write_zero";
    if !has_damage
        || !matches!(case.class, Class::WriteAfterFree | Class::Overflow | Class::Underflow)
    {
        return;
    }
    let (before, after) = (bytes(finding, "before"), bytes(finding, "after"));
    let first = address(finding) % 16;
    let written = first..first + case.len;
    let right = |at: usize| match written.contains(&at) {
        true => after[at] == MARK && before[at] != MARK,
        false => after[at] == before[at],
    };
    if before.len() != 16 || after.len() != 16 || !(0..16).all(right) {
        say(format!("bytes {before:02x?}, now {after:02x?}; {} written at {first}", case.len));
    }
}

fn address(finding: Finding<'_>) -> usize {
    let text = finding.access("addr").as_str().unwrap_or("0x0");
    usize::from_str_radix(text.trim_start_matches("0x"), 16).expect("an address")
}

fn bytes(finding: Finding<'_>, field: &str) -> Vec<u8> {
    let text = finding.access(field).as_str().unwrap_or("");
    let pairs = (0..text.len() / 2).map(|at| &text[at * 2..at * 2 + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

/// The Rust program's heap is the allocator itself, which says what it finds.
#[test]
fn another_layout_is_named() {
    for case in cases().into_iter().filter(|case| case.class == Class::Layout) {
        let told = format!("layout-mismatch of {} bytes\n", case.size);
        for (twin, told) in [(Twin::Bad, told.as_str()), (Twin::Clean, "")] {
            let outcome = case.run(twin).plain();
            assert_eq!((outcome.status, outcome.stderr.as_str()), (STATUS, told), "{case:?}");
        }
    }
}

#[test]
fn writes_after_free_are_found_at_reuse() {
    check_all(|case| case.class == Class::WriteAfterFree && case.found == "reuse");
}

#[test]
fn writes_after_free_are_found_at_exit() {
    check_all(|case| case.class == Class::WriteAfterFree && case.found == "exit");
}

#[test]
fn double_frees_are_named() {
    check_all(|case| case.class == Class::DoubleFree);
}

#[test]
fn invalid_frees_are_named() {
    check_all(|case| case.class == Class::InvalidFree);
}

#[test]
fn damage_around_a_block_is_found_at_free() {
    check_all(|case| is_bounds(case) && case.found == "free");
}

#[test]
fn damage_around_a_block_is_found_at_realloc() {
    check_all(|case| is_bounds(case) && case.found == "realloc");
}

#[test]
fn damage_around_a_block_is_found_at_exit() {
    check_all(|case| is_bounds(case) && case.found == "exit");
}

#[test]
fn writes_of_every_kind_are_found_by_the_sweep() {
    check_all(|case| case.found == "sweep");
}

#[test]
fn blocks_given_to_another_family_are_named() {
    check_all(|case| case.class == Class::Mismatch);
}

#[test]
fn large_blocks_are_guarded() {
    check_all(|case| case.found == "access" && case.asked == Asked::Named);
}

/// The cases of those names, of every size, with other words; not those that a trap stops
/// at the access, where nothing is left to come.
fn with(names: &[&str], other: impl Fn(Case) -> Case) -> Vec<Case> {
    let chosen = cases().into_iter().filter(|case| {
        names.contains(&case.name) && case.row != "write after free, told at the access"
    });
    let mut cases: Vec<Case> = chosen.filter(|case| case.size != LARGE_ODD).map(other).collect();
    cases.sort_by_key(|case| (case.name, case.size));
    cases.dedup_by_key(|case| (case.name, case.size));
    assert_eq!(cases.len(), names.len() * 3);
    cases
}

#[test]
fn a_misused_block_is_never_given_out_again() {
    for case in
        with(&["write", "double_at_once", "overflow"], |case| Case { found: "retired", ..case })
    {
        let watched = case.run(Twin::Bad).watched();
        assert_eq!(watched.outcome.status, STATUS, "{case:?}: 9 is a block given out again");
        watched.report.assert_exactly(&[error(case.class.kind())]);
        assert_eq!(watched.report.counter("heap.retired_slots"), 1, "{case:?}");
    }
}

/// The first misuse of an object is told, the others are counted.
#[test]
fn an_object_is_reported_once() {
    const TIMES: usize = 10;
    for case in
        with(&["double_at_once"], |case| Case { name: "double_repeated", len: TIMES, ..case })
    {
        let watched = case.run(Twin::Bad).watched();
        assert_eq!(watched.outcome.status, STATUS, "{case:?}");
        watched.report.assert_exactly(&[error("double-free")]);
        assert_eq!(watched.report.counter("heap.repeated_misuses"), TIMES as u64 - 1);
    }
}

/// The finding is in the report, and the program is not allowed to go on.
#[test]
fn an_error_aborts_if_asked_to() {
    let aborted = 128 + libc::SIGABRT;
    for (name, found) in
        [("write", "reuse"), ("double_at_once", "free"), ("interior", "free"), ("overflow", "free")]
    {
        for case in with(&[name], |case| Case { found, ..case }) {
            let run = case.run(Twin::Bad).env("DEADWALK_OPTIONS", "abort_on_error=on");
            let watched = run.watched();
            assert_eq!(watched.outcome.status, aborted, "{case:?}");
            watched.report.assert_exactly(&[error(case.class.kind())]);
        }
    }
}

/// A warning is none.
#[test]
fn a_warning_does_not_abort() {
    for case in with(&["new_free"], |case| case) {
        let options = "abort_on_error=on:new_delete=on";
        let watched = case.run(Twin::Bad).env("DEADWALK_OPTIONS", options).watched();
        assert_eq!(watched.outcome.status, STATUS, "{case:?}");
        watched.report.assert_exactly(&[warning("alloc-dealloc-mismatch")]);
    }
}

fn is_bounds(case: &Case) -> bool {
    matches!(case.class, Class::Overflow | Class::Underflow)
}

/// Reads are found where memory is guarded, and never misnamed.
#[test]
fn reads_after_free_are_never_misnamed() {
    check_all(|case| case.class == Class::ReadAfterFree && case.asked != Asked::Named);
}

#[test]
fn the_standards_errors_are_kept() {
    check_all(|case| case.class == Class::Refused);
}
