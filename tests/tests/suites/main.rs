//! Other people's test suites and servers: under deadwalk every test has the
//! result it has without, every client is served, and there is not one warning
//! or error. Children are included: `deadwalk run` merges their records.
//!
//! What is not installed is skipped aloud; on Debian `apt-get install
//! libpython3.11-testsuite libglib2.0-tests postgresql nginx wrk memcached nodejs`.
//! Suites of minutes are ignored unless asked for, and `systemd-tests` is
//! installed for them alone: `tests/run -- --ignored nightly`.

mod cpython;
mod glib;
mod memcached;
mod nginx;
mod node;
mod postgres;
mod systemd;

use deadwalk_tests::{Report, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// The result of each test of a suite by the test's name.
type Results = BTreeMap<String, String>;

/// Asserts that each test ended under deadwalk as it did without.
#[track_caller]
fn assert_same_results(plain: &Results, watched: &Results) {
    let of = |results: &Results, name| results.get(name).cloned().unwrap_or("not run".into());
    let names: BTreeSet<_> = plain.keys().chain(watched.keys()).collect();
    let differences: Vec<_> = names
        .into_iter()
        .filter(|name| plain.get(*name) != watched.get(*name))
        .map(|name| format!("{name}: {}, plain: {}", of(watched, name), of(plain, name)))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(!plain.is_empty(), "the suite ran tests");
}

/// Asserts that nothing was found in a program whose heap was ours.
#[track_caller]
fn assert_clean_and_ours(report: &Report) {
    report.assert_clean();
    assert!(report.counter("heap.allocs") > 0, "the heap was ours: {report}");
}

/// Runs plain and watched: same status, same output, nothing found.
#[track_caller]
fn assert_unchanged(run: &Run) {
    let plain = run.plain().assert_status(0);
    let watched = run.watched();
    watched.assert_same(&plain);
    assert_clean_and_ours(&watched.report);
}

/// Waits until a server is there; whether it came within 20 seconds.
fn wait_for(mut is_there: impl FnMut() -> bool) -> bool {
    (0..2000).any(|_| {
        let there = is_there();
        if !there {
            std::thread::sleep(Duration::from_millis(10));
        }
        there
    })
}

/// Reads the report that a server under `--json` left.
#[track_caller]
fn read_report(json: &Path) -> Report {
    Report::read(json).unwrap_or_else(|error| panic!("{}: {error}", json.display()))
}
