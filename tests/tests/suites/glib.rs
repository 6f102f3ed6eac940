//! GLib's installed tests: main loops, timeouts, threads and their pools, with
//! slices from malloc.

use crate::{Results, assert_clean_and_ours, assert_same_results};
use deadwalk_tests::{Run, skip};
use std::path::Path;

const FOLDER: &str = "/usr/libexec/installed-tests/glib";

#[track_caller]
fn program(name: &str) {
    let path = Path::new(FOLDER).join(name);
    if !path.is_file() {
        return skip(&format!("{} is not installed (libglib2.0-tests)", path.display()));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = Run::command([path]).env("G_SLICE", "always-malloc").folder(folder.path());
    let plain = run.plain();
    let watched = run.watched();
    assert_same_results(&tap(&plain.stdout), &tap(&watched.outcome.stdout));
    assert_eq!(watched.outcome.status, plain.status, "{:#?}", watched.outcome);
    assert_clean_and_ours(&watched.report);
}

/// The results in TAP output: `ok 3 /timeout/rounding`.
fn tap(output: &str) -> Results {
    let lines = output.lines().filter(|line| line.starts_with("ok") || line.starts_with("not ok"));
    let split = |line: &str| {
        let (result, name) = line.split_at(line.find("ok").unwrap_or(0) + "ok".len());
        (name.trim().to_string(), result.to_string())
    };
    lines.map(split).collect()
}

macro_rules! programs {
    ($($test:ident $name:literal)*) => {
        $(#[test] fn $test() { program($name); })*
    };
}

programs! {
    timeout "timeout"
    mainloop "mainloop"
    timer "timer"
    sources "sources"
    unix "unix"
    thread "thread"
    thread_pool "thread-pool"
    threadtests "threadtests"
    asyncqueue "asyncqueue"
    task "task"
    slice_concurrent "slice-concurrent"
}

#[test]
#[ignore = "nightly: a minute"]
fn nightly_thread_pool_slow() {
    program("thread-pool-slow");
}
