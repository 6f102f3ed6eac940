//! Children each get a record; the report sums and lists them.

use deadwalk_tests::{Program, Report, Run};

#[track_caller]
fn children(mode: &str) -> Report {
    let watched = Run::of(&Program::new("children")).arg(mode).watched();
    assert_eq!(watched.outcome.status, 0, "{mode}: {:#?}", watched.outcome);
    watched.report.assert_no_error();
    watched.report
}

#[test]
fn parent_and_forked_child_both_count() {
    let report = children("fork");
    assert_eq!(report.counter("del.calls"), 2, "{report}");
    assert_eq!(report.counter("del.while_running"), 2, "{report}");
    assert_eq!(report.processes().len(), 2, "{report}");
    let (first, second) = (&report.processes()[0], &report.processes()[1]);
    let parent = if first["parent_pid"] == second["pid"] { second } else { first };
    let child = if std::ptr::eq(parent, first) { second } else { first };
    assert_eq!(child["parent_pid"], parent["pid"], "{report}");
    assert_eq!(child["ended"], "exit");
}

#[test]
fn counts_of_before_and_after_an_exec() {
    let report = children("exec");
    assert_eq!(report.counter("del.while_running"), 2, "{report}");
}

#[test]
fn grandchildren_are_seen() {
    let report = children("grandchild");
    assert_eq!(report.counter("del.while_running"), 1, "{report}");
    assert_eq!(report.processes().len(), 3, "{report}");
}

/// A shell script: a pipe, subshells, programs that use no timer.
#[test]
fn shell_scripts_run_as_ever() {
    let script = "for i in 1 2 3; do (echo $i | tr 1-3 a-c); done; sh -c 'exit 4'; echo $?; exit 6";
    let run = Run::command(["sh", "-c", script]);
    let watched = run.watched();
    watched.assert_same(&run.plain());
    assert_eq!(watched.outcome.status, 6);
    watched.report.assert_clean();
}
