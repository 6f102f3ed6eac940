//! `del=sync`: the mail's fix, applied to an unmodified binary; and handlers
//! that end in unusual ways.

use deadwalk_tests::{Program, Run, skip};

fn sync_run(mode: &str) -> Run {
    Run::of(&Program::new("sync_delete")).arg(mode).option("--del").option("sync")
}

#[test]
fn plain_deletes_do_not_wait() {
    for mode in ["running", "disarm"] {
        let outcome = Run::of(&Program::new("sync_delete")).arg(mode).plain();
        assert_eq!(outcome.stdout, "still running: 1\n", "{mode}");
    }
}

#[test]
fn deletes_wait_for_the_running_handler() {
    for mode in ["running", "disarm"] {
        let watched = sync_run(mode).watched();
        assert_eq!(watched.outcome.stdout, "still running: 0\n", "{mode}");
        assert_eq!(watched.outcome.status, 0);
        let report = &watched.report;
        assert_eq!(report.counter("del.sync_waits"), 1, "{mode}: {report}");
        assert_eq!(report.counter("del.while_running"), 0, "{mode}: {report}");
        report.assert_clean();
        let op = if mode == "running" { "timer_delete" } else { "timer_settime" };
        let waited = &report.only_site(op)["sync_wait_ns"]["max"];
        assert!(waited.as_u64() > Some(0), "{mode}: {report}");
    }
}

#[test]
fn handlers_own_delete_does_not_wait() {
    let watched = sync_run("self").watched();
    assert_eq!(watched.outcome.status, 0);
    assert_eq!(watched.report.counter("del.self"), 1);
    assert_eq!(watched.report.counter("del.sync_waits"), 0);
    watched.report.assert_clean();
}

/// The same by the variable that a bare preload uses.
#[test]
fn options_variable_sets_it_too() {
    let run = Run::of(&Program::new("sync_delete")).arg("running");
    let watched = run.env("DEADWALK_OPTIONS", "del=sync").watched();
    assert_eq!(watched.outcome.stdout, "still running: 0\n");
    assert_eq!(watched.report.processes()[0]["options"]["del"], "sync");
}

/// An expiry that was queued when the delete returned does not start any more.
#[test]
fn late_expiries_are_suppressed() {
    let run = Run::of(&Program::variant("posix/p1_queued", "BAD"));
    let plain = run.plain();
    if plain.status == 77 {
        return skip("real-time priorities are not allowed here");
    }
    assert_eq!(plain.stdout, "handler runs: 1\n");
    let watched = run.option("--del").option("sync").watched();
    assert_eq!(watched.outcome.stdout, "handler runs: 0\n");
    watched.report.assert_clean();
}

/// `pthread_exit` and cancellation end a run as a return does: it is counted,
/// and a later delete lands on nobody.
#[test]
fn leaving_early_is_leaving() {
    const ROUNDS: u64 = 100;
    for del in ["async", "sync"] {
        for how in ["return", "exit", "cancel"] {
            let run = Run::of(&Program::new("leave_early")).arg(how).arg(ROUNDS.to_string());
            let watched = run.option("--del").option(del).watched();
            assert_eq!(watched.outcome.status, 0, "{how}: {:#?}", watched.outcome);
            let report = &watched.report;
            assert_eq!(report.counter("timers.handlers_run"), ROUNDS, "{how}");
            assert_eq!(report.counter("del.calls"), ROUNDS, "{how}");
            assert_eq!(report.counter("del.while_running"), 0, "{how}");
            assert_eq!(report.counter("del.sync_waits"), 0, "{how}");
            report.assert_clean();
        }
    }
}

#[test]
fn thousands_of_timers() {
    let watched = Run::of(&Program::new("many")).args("3000 1000").watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    let report = &watched.report;
    for (counter, expected) in [
        ("timers.inited", 4000),
        ("timers.armed", 4000),
        ("timers.handlers_run", 1000),
        ("timers.pending_at_end", 0),
        ("del.calls", 4000),
        ("del.returned_pending", 3000),
        ("del.while_running", 0),
    ] {
        assert_eq!(report.counter(counter), expected, "{counter}: {report}");
    }
    assert_eq!(report.processes()[0]["dropped"]["timers"], 0);
    report.assert_clean();
}
