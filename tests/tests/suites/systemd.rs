//! systemd's own unit tests (Debian's systemd-tests): event loops, timers,
//! sockets, processes. The exit status says ok, skipped or failed.

use crate::{Results, assert_same_results};
use deadwalk_tests::{Outcome, Run, is_root, skip};
use std::path::PathBuf;
use std::time::Duration;

const FOLDER: &str = "/usr/lib/systemd/tests";

/// Some wait long.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
#[ignore = "nightly: three minutes"]
fn nightly_systemd() {
    let programs = programs();
    if programs.is_empty() {
        return skip(&format!("{FOLDER} has no tests: systemd-tests is not installed"));
    }
    let (mut plain, mut watched) = (Results::new(), Results::new());
    let mut found = vec![];
    for program in programs {
        let name = program.file_name().expect("a file").to_string_lossy().into_owned();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = apart(program).folder(folder.path()).within(LIMIT);
        plain.insert(name.clone(), status(&run.plain()));
        let under = run.watched();
        watched.insert(name.clone(), status(&under.outcome));
        if under.report.is_loud() {
            found.push(format!("{name}: {}", under.report));
        }
    }
    assert_same_results(&plain, &watched);
    assert!(found.is_empty(), "no warning and no error: {}", found.join("\n"));
}

/// As root they write to /run, and some find there what an earlier one left:
/// each run has a fresh one, with what the service manager makes at boot.
fn apart(program: PathBuf) -> Run {
    const FRESH_RUN: &str = "mount -t tmpfs run /run && mkdir -p /run/systemd/inaccessible/dir \
                             && : > /run/systemd/inaccessible/reg && exec \"$0\"";
    if is_root() {
        let words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", FRESH_RUN];
        Run::command(words).arg(program)
    } else {
        Run::command([program])
    }
}

fn status(outcome: &Outcome) -> String {
    format!("status {}", outcome.status)
}

fn programs() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|p| p.is_file()).collect();
    files.retain(|path| path.extension().is_none());
    files.retain(|path| {
        path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"test-"))
    });
    files.sort();
    files
}
