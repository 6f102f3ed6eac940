//! Legal programs at the edges of what a process may do.

use deadwalk_tests::{Program, Run, Watched};

#[track_caller]
fn attack(mode: &str) -> Watched {
    let watched = Run::of(&Program::new("attack")).arg(mode).watched();
    assert_eq!(watched.outcome.status, 5, "{mode}: {:#?}", watched.outcome);
    watched.report.assert_clean();
    watched
}

/// More timers than there are slots: none is taken for a deleted one whose
/// handle libc gave out again.
#[test]
fn many_timers_in_a_row() {
    assert_eq!(attack("cycles").report.counter("del.calls"), 100_001);
}

/// A filter that kills for a system call the program itself does not make.
#[test]
fn a_sandbox_does_not_kill() {
    let run = Run::of(&Program::new("attack")).arg("sandbox");
    if run.plain().status == 77 {
        return deadwalk_tests::skip("no seccomp here");
    }
    assert_eq!(attack("sandbox").report.counter("del.while_running"), 1);
}

#[test]
fn forks_in_the_middle_of_allocations() {
    attack("forks");
}

/// No descriptor left: counting goes on, and the loss is told in one line.
#[test]
fn no_descriptors() {
    let watched = attack("no_descriptors");
    assert_eq!(watched.report.counter("del.while_running"), 1);
    watched.outcome.assert_one_line("too many open files");
}
