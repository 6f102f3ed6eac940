//! What was counted survives the program's end, however it ends.

use deadwalk_tests::{Live, Program, Report, Run, Target};
use std::path::Path;
use std::process::Command;

const DELETES: u64 = 57;

/// Starts `command`, which makes its deletes, and returns it with the program's pid.
fn start(command: Command) -> (Live, libc::pid_t) {
    let mut live = Live::start(command);
    let line = live.line();
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["pid", pid, "deletes", deletes] = words[..] else { panic!("it said {line:?}") };
    assert_eq!(deletes, DELETES.to_string());
    (live, pid.parse().expect("a pid"))
}

fn kill(pid: libc::pid_t) {
    // SAFETY: kill has no memory contract; the pid is that of a program of ours
    // which pauses until it is killed.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

#[track_caller]
fn assert_all_counted(records: &Path) -> Report {
    let command = Target::get().command();
    let words = [command.as_os_str(), "report".as_ref(), "--format".as_ref(), "json".as_ref()];
    let outcome = Run::command(words).arg(records).plain().assert_status(0);
    let report = Report::parse(&outcome.stdout).expect("a report");
    assert_eq!(report.counter("del.calls"), DELETES, "{report}");
    assert_eq!(report.counter("del.while_running"), DELETES, "{report}");
    report
}

#[test]
fn kill_9_under_run_loses_nothing() {
    let records = tempfile::tempdir().expect("a temporary folder");
    let run = Run::of(&Program::new("killed")).arg(DELETES.to_string());
    let command = run.option("-q").option("-o").option(records.path()).to_command();
    let (live, pid) = start(command);
    kill(pid);
    assert_eq!(live.wait(), 128 + libc::SIGKILL);
    let report = assert_all_counted(records.path());
    assert_eq!(report.processes()[0]["ended"], "signal", "{report}");
}

/// The report of a live program: every count up to now.
#[test]
fn a_running_program_can_be_read() {
    let records = tempfile::tempdir().expect("a temporary folder");
    let run = Run::of(&Program::new("killed")).arg(DELETES.to_string());
    let command = run.option("-q").option("-o").option(records.path()).to_command();
    let (live, pid) = start(command);
    let report = assert_all_counted(records.path());
    assert_eq!(report.processes()[0]["ended"], "running", "{report}");
    kill(pid);
    assert_eq!(live.wait(), 128 + libc::SIGKILL);
}

#[test]
fn kill_9_of_a_bare_preload_loses_nothing() {
    let records = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(&Program::new("killed").path);
    command
        .arg(DELETES.to_string())
        .env("LD_PRELOAD", Target::get().library())
        .env("DEADWALK_OPTIONS", format!("output={}", records.path().display()));
    let (live, pid) = start(command);
    kill(pid);
    assert_eq!(live.wait(), 128 + libc::SIGKILL);
    assert_all_counted(records.path());
}

/// Ends by itself in each of the ways that skip or reach the exit handlers.
#[test]
fn every_end_is_recorded() {
    for (end, status) in [("_exit", 9), ("abort", 128 + 6), ("crash", 128 + 11)] {
        let run = Run::of(&Program::new("killed")).arg(DELETES.to_string()).arg(end);
        let watched = run.watched();
        assert_eq!(watched.outcome.status, status, "{end}");
        let report = &watched.report;
        assert_eq!(report.counter("del.calls"), DELETES, "{end}");
        let how = if end == "_exit" { "exit" } else { "signal" };
        let process = &report.processes()[0];
        assert_eq!(process["ended"], how, "{end}: {report}");
        let code = if end == "_exit" { status } else { status - 128 };
        assert_eq!(process["code"], code, "{end}: {report}");
    }
}
