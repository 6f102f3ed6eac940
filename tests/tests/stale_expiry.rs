//! glibc BZ 32833: an expiry of a deleted timer runs another one's handler. It is
//! told, and not blamed on the program.

use deadwalk_tests::Severity::{Error, Info};
use deadwalk_tests::{Program, Report, Run, Watched};

const ROUNDS: &str = "20000";

/// With libc's own timers.
fn looped(program: &Program) -> Run {
    Run::of(program).arg("loop").arg(ROUNDS)
}

/// With the stand-in for them behind deadwalk's functions, which says when a timer
/// expires.
fn driven(mode: &str) -> Run {
    let stand_in = Program::library("stale_stand_in", &[]);
    Run::of(&Program::new("stale_expiry")).arg(mode).env("LD_PRELOAD", &stand_in.path)
}

#[track_caller]
fn watched(run: &Run, ran: u64) -> Watched {
    let watched = run.watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    assert_eq!(watched.outcome.stdout, format!("handler ran: {ran}\n"));
    watched
}

fn stale(report: &Report) -> u64 {
    report.count("stale-expiry", Info)
}

#[test]
fn an_expiry_of_a_timer_that_cannot_be_due_is_told() {
    for mode in ["never", "early", "hasty"] {
        let report = watched(&driven(mode), 1).report;
        let found = report.assert_kind("stale-expiry", Info);
        found.assert_stack("handler", "second");
        assert!(found.is_libc_bug(), "{mode}: {report}");
        assert_eq!(found.count(), 1, "{mode}: {report}");
        assert_eq!(report.counter("timers.handlers_run"), 1, "{mode}: it is called all the same");
        report.assert_clean();
        report.assert_only(&["stale-expiry"]);
    }
}

#[test]
fn an_expiry_that_may_be_the_timer_s_own_is_not() {
    for mode in ["due", "absolute", "fresh"] {
        let report = watched(&driven(mode), 1).report;
        report.assert_none("stale-expiry");
        report.assert_clean();
    }
}

/// Deleted, and its data freed, under a handler that should not have run.
#[test]
fn what_is_done_to_such_a_handler_is_no_fault() {
    let report = watched(&driven("harmed"), 1).report;
    report.assert_only(&["stale-expiry"]);
    assert_eq!(report.counter("del.while_running"), 0, "{report}");
}

#[test]
fn nor_is_what_it_does() {
    let report = watched(&driven("harms"), 1).report;
    report.assert_kind("double-free", Info);
    assert_eq!(report.count("double-free", Error), 0, "{report}");
    report.assert_clean();
}

/// libc's own blocks rest in the quarantine, so no new timer gets a deleted one's.
#[test]
fn by_default_it_does_not_happen() {
    let report = watched(&looped(&Program::new("stale_expiry")), 0).report;
    report.assert_none("stale-expiry");
    report.assert_no_error();
}

/// As often as the program counts itself, however often that is: with a heap that
/// hands a block out again at once, and with ours without quarantine.
#[test]
fn every_stray_run_is_told() {
    let quick = looped(&Program::with_flags("stale_expiry", &["-DLIFO_HEAP"]));
    let ours = looped(&Program::new("stale_expiry"));
    for run in [&quick, &quick, &quick, &ours.env("DEADWALK_OPTIONS", "quarantine=0")] {
        let Watched { outcome, report } = run.watched();
        assert_eq!(outcome.stdout, format!("handler ran: {}\n", stale(&report)), "{report}");
        report.assert_no_error();
        assert_eq!(report.processes()[0]["dropped"]["timers"], 0);
    }
}
