//! CPython's own tests, with every block from malloc: threads, signals, forks,
//! subprocesses, foreign functions and the collector.

use crate::{Results, assert_clean_and_ours, assert_same_results};
use deadwalk_tests::{Run, find_tool, skip};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const RUNNER: &str = include_str!("unittest_results.py");

/// The slowest module takes a minute on an idle machine.
const LIMIT: Duration = Duration::from_secs(400);

/// Runs one module of the suite both ways, at the same time: they wait much.
#[track_caller]
fn module(name: &str) {
    let Some(python) = find_tool("python3") else { return };
    if !has_module(&python, name) {
        return skip(&format!("python3 has no {name}: libpython3.11-testsuite is not installed"));
    }
    let ((plain, plain_results), (watched, results)) = std::thread::scope(|scope| {
        let plain = scope.spawn(|| in_folder(&python, name, Run::plain));
        let watched = in_folder(&python, name, Run::watched);
        (plain.join().expect("the plain run ends"), watched)
    });
    assert_same_results(&plain_results, &results);
    assert_eq!(watched.outcome.status, plain.status, "{}", watched.outcome.stderr);
    assert_clean_and_ours(&watched.report);
}

fn has_module(python: &Path, name: &str) -> bool {
    let script = format!("import test.{name}");
    let mut command = Command::new(python);
    command.arg("-c").arg(script).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The tests make files in the folder they run in: each run has one.
fn in_folder<T: Debug>(python: &Path, name: &str, how: impl Fn(&Run) -> T) -> (T, Results) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [script, file]: [PathBuf; 2] = ["runner.py", "results"].map(|f| folder.path().join(f));
    std::fs::write(&script, RUNNER).expect("our folder");
    let run = Run::command([python, &script]).arg(format!("test.{name}")).arg(&file);
    let run = run.env("PYTHONMALLOC", "malloc").folder(folder.path()).within(LIMIT);
    let ended = how(&run);
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{name} did not end well: {error}\n{ended:#?}"));
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    (ended, pairs.map(|(name, result)| (name.into(), result.into())).collect())
}

/// Modules of the package's that schedule most; all of it takes minutes.
mod asyncio {
    macro_rules! modules {
        ($($name:ident)*) => {
            $(#[test] fn $name() { super::module(concat!("test_asyncio.", stringify!($name))); })*
        };
    }

    modules! { test_base_events test_unix_events test_subprocess test_timeouts test_locks }
}

macro_rules! modules {
    ($($name:ident)*) => {
        $(#[test] fn $name() { module(stringify!($name)); })*
    };
}

modules! {
    test_signal test_threading test_thread test_gc test_json test_queue test_sched test_time
    test_weakref test_list test_dict test_fork1 test_subprocess test_mmap test_re test_pickle
    test_ctypes
}
