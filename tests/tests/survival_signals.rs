//! Handlers that allocate in the middle of malloc. POSIX forbids it and libc may
//! hang on it, so there is no plain run to compare with: the program checks its
//! blocks and comes to its end.

use deadwalk_tests::{Outcome, Program, Run, Watched, repeats};

#[track_caller]
fn survive(mode: &str) -> Watched {
    let milliseconds = repeats(500, 3000).to_string();
    let watched = Run::of(&Program::new("survive_signals")).arg(mode).arg(milliseconds).watched();
    let jumps = u32::from(mode == "jump");
    let stdout = format!("signals handled: 1, jumps: {jumps}\n");
    let Outcome { status, stdout: told, .. } = &watched.outcome;
    assert_eq!((*status, told), (0, &stdout), "{mode}: {:#?}", watched.outcome);
    watched.report.assert_only(&["signal-unsafe-call"]);
    watched
}

/// Such a call was told, and happened: served without the thread's own blocks.
#[track_caller]
fn assert_interrupted(watched: &Watched) {
    watched.report.assert_seen("signal-unsafe-call");
    assert!(watched.report.counter("heap.signal_calls") > 0, "{}", watched.report);
}

#[test]
fn alarms_every_70_us() {
    assert_interrupted(&survive("timer"));
}

#[test]
fn profiling_by_cpu_time() {
    assert_interrupted(&survive("profile"));
}

#[test]
fn storms_of_signals_from_thread_to_thread() {
    assert_interrupted(&survive("storm"));
}

/// The child of such a handler goes on in the middle of malloc, as its parent does.
#[test]
fn handlers_that_fork() {
    assert_interrupted(&survive("fork"));
}

/// What malloc was doing is never finished; its caller's blocks are lost, and
/// nobody else's.
#[test]
fn jumps_out_of_malloc() {
    assert_interrupted(&survive("jump"));
}

/// As above, and for certain at each instruction of a short way.
#[test]
fn jumps_out_of_each_instruction() {
    let watched = Run::of(&Program::new("survive_steps")).watched();
    let Outcome { status, stdout, .. } = &watched.outcome;
    assert_eq!((*status, stdout.as_str()), (0, "left: 1\n"), "{:#?}", watched.outcome);
    watched.report.assert_only(&[]);
}

/// Signals that find a process in the middle of the heap and end it there, fork
/// it, or allocate: it comes to its end, as without.
#[track_caller]
fn ends(mode: &str) {
    let rounds = repeats(40, 1000).to_string();
    let run = Run::of(&Program::new("survive_signal_ends")).arg(mode).arg(&rounds);
    let watched = run.watched();
    let Outcome { status, stdout, .. } = &watched.outcome;
    let expected = format!("{mode}: {rounds} of {rounds}\n");
    assert_eq!((*status, stdout), (0, &expected), "{mode}: {:#?}", watched.outcome);
    watched.report.assert_only(&["signal-unsafe-call"]);
}

#[test]
fn exit_in_a_handler() {
    ends("exit");
}

#[test]
fn quick_exit_in_a_handler() {
    ends("_exit");
}

/// The interrupted call goes on in parent and child, each with the cache it had.
#[test]
fn fork_in_a_handler() {
    ends("fork");
}

#[test]
fn handlers_while_totals_are_taken() {
    ends("totals");
}

#[test]
fn handlers_while_threads_end() {
    ends("threads");
}

#[test]
fn handlers_at_exit() {
    ends("at_exit");
}
