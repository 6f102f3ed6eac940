//! Timers whose handlers are signal handlers: what is found, and what is not.

use deadwalk_tests::Severity::{Error, Info};
use deadwalk_tests::{Program, Report, Run, repeats};

/// The ways in which a POSIX timer sends a signal.
const NOTIFY: [&str; 2] = ["-DNOTIFY=SIGEV_SIGNAL", "-DNOTIFY=SIGEV_THREAD_ID"];

/// Runs one variant of a program several times, for both ways.
#[track_caller]
fn each_run(name: &str, variant: &str, check: impl Fn(&Report)) {
    for notify in NOTIFY {
        let variant = format!("-D{variant}");
        let run = Run::of(&Program::with_flags(name, &[&variant, notify]));
        for _ in 0..repeats(1, 5) {
            let watched = run.watched();
            assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
            check(&watched.report);
        }
    }
}

#[test]
fn a_free_under_the_running_handler() {
    each_run("signal_free_running", "BAD", |report| {
        let free = report.assert_kind("data-free-while-running", Error);
        free.assert_stack("free", "main");
        free.assert_stack("alloc", "main");
        free.assert_stack("handler", "handler");
        let delete = report.assert_kind("del-while-running", Error);
        assert_eq!(delete.text("consequence"), "data-freed", "{report}");
        delete.assert_stack("del", "main");
        delete.assert_stack("handler", "handler");
        assert_eq!(report.counter("del.while_running"), 1);
        assert_eq!(report.counter("timers.handlers_run"), 1);
    });
}

#[test]
fn what_only_looks_like_it() {
    each_run("signal_free_running", "FIXED", |report| report.assert_clean());
    each_run("signal_free_running", "LOOKALIKE=1", |report| {
        report.assert_clean();
        report.assert_kind("del-while-running", Info);
    });
    each_run("signal_free_running", "LOOKALIKE=2", |report| {
        report.assert_clean();
        assert_eq!((report.counter("del.self"), report.counter("del.while_running")), (1, 0));
    });
    each_run("signal_free_running", "LOOKALIKE=3", |report| {
        report.assert_clean();
        assert_eq!(report.counter("timers.handlers_run"), 1);
    });
}
