//! Timers whose handlers are signal handlers: what is found, and what is not.

use deadwalk_tests::Severity::{Error, Info, Warning};
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
        assert_eq!(delete.text("consequence"), "touched", "{report}");
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

/// A delete that waits does so for signal handlers of other threads, and for none of
/// its own.
#[test]
fn a_waiting_delete() {
    for notify in NOTIFY {
        let run = |variant| {
            let program = Program::with_flags("signal_free_running", &[variant, notify]);
            Run::of(&program).option("--del").option("sync").watched()
        };
        let waits = run("-DWAITS");
        assert_eq!(waits.outcome.stdout, "ended 1\n");
        waits.report.assert_clean();
        assert_eq!(waits.report.counter("del.sync_waits"), 1);
        let own = run("-DLOOKALIKE=2");
        own.report.assert_clean();
        assert_eq!(own.report.counter("del.sync_waits"), 0);
    }
}

/// However a handler ends, its run ends with it: later deletes land on nobody.
#[test]
fn every_end_of_a_handler_ends_its_run() {
    let run = Run::of(&Program::new("signal_ends"));
    let plain = run.plain().assert_status(0);
    for _ in 0..repeats(1, 5) {
        let watched = run.watched();
        watched.assert_same(&plain);
        watched.report.assert_clean();
        assert_eq!(watched.report.counter("del.while_running"), 0, "{}", watched.report);
        assert_eq!(watched.report.counter("timers.handlers_run"), 12, "two ways nest");
    }
}

/// The clocks of setitimer, and what sets them.
#[track_caller]
fn each_clock(variant: &str, check: impl Fn(&Report, &str)) {
    for op in ["setitimer", "alarm", "ualarm"] {
        let flag = format!("-D{}", op.to_uppercase());
        let run = Run::of(&Program::with_flags("itimer_running", &[&flag, variant]));
        for _ in 0..repeats(1, 3) {
            let watched = run.watched();
            assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
            check(&watched.report, op);
        }
    }
}

#[test]
fn a_clock_stopped_under_its_handler() {
    each_clock("-DBAD", |report, op| {
        let landing = report.assert_kind("del-while-running", Warning);
        assert_eq!(landing.text("api"), "setitimer");
        landing.assert_stack("handler", "handler");
        assert_eq!(report.only_site(op)["while_running"], 1, "{report}");
        assert_eq!(report.counter("timers.inited"), 1);
    });
}

#[test]
fn a_clock_stopped_legally() {
    each_clock("-DFIXED", |report, _| report.assert_clean());
    each_clock("-DLOOKALIKE=1", |report, _| {
        report.assert_clean();
        assert_eq!((report.counter("del.self"), report.counter("del.while_running")), (1, 0));
    });
    each_clock("-DLOOKALIKE=2", |report, _| {
        report.assert_clean();
        report.assert_kind("expiry-after-del", Info);
    });
    each_clock("-DLOOKALIKE=4", |report, _| {
        report.assert_clean();
        report.assert_kind("del-while-running", Info);
    });
    each_clock("-DLOOKALIKE=3", |report, _| {
        report.assert_clean();
        assert_eq!(report.counter("timers.handlers_run"), 0, "no clock's expiry");
        assert_eq!(report.counter("del.while_running"), 0);
    });
}

/// A program and a library that use the process's one clock.
#[track_caller]
fn each_user(user: &str, library: &str, check: impl Fn(&Report)) {
    let library = Program::library("clock_library", &[library]);
    let run = Run::of(&Program::with_flags("clock_user", &[user])).arg(&library.path);
    for _ in 0..repeats(1, 3) {
        let watched = run.watched();
        assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
        check(&watched.report);
    }
}

#[test]
fn a_clock_taken_and_kept() {
    each_user("-DBAD=1", "-DKEEPS", |report| {
        let taken = report.assert_kind("itimer-clobbered", Warning);
        taken.assert_stack("handler", "first");
        taken.assert_stack("arm", "start");
        taken.assert_stack("access", "library_timeout");
        assert_eq!(taken.count(), 1);
        report.assert_only(&["itimer-clobbered"]);
    });
    each_user("-DBAD=2", "-DKEEPS", |report| {
        let taken = report.assert_kind("itimer-clobbered", Warning);
        taken.assert_stack("arm", "main");
    });
}

#[test]
fn a_clock_taken_legally() {
    for (user, library) in [
        ("-DLOOKALIKE=1", "-DGIVESBACK"),
        ("-DLOOKALIKE=2", "-DLATE"),
        ("-DLOOKALIKE=3", "-DKEEPS"),
        ("-DLOOKALIKE=4", "-DKEEPS"),
    ] {
        each_user(user, library, |report| {
            report.assert_clean();
            report.assert_kind("itimer-clobbered", Info);
        });
    }
    for user in ["-DLOOKALIKE=5", "-DLOOKALIKE=6"] {
        each_user(user, "-DKEEPS", |report| report.assert_none("itimer-clobbered"));
    }
}

/// sigwait and its kin use an expiry up, and tell what they told without us.
#[test]
fn expiries_that_are_waited_for() {
    let run = Run::of(&Program::new("signal_waits"));
    let plain = run.plain().assert_status(0);
    let watched = run.watched();
    watched.assert_same(&plain);
    watched.report.assert_clean();
    assert_eq!(watched.report.counter("timers.consumed"), 4, "one each, and one of alarm");
    assert_eq!(watched.report.counter("timers.handlers_run"), 0);
    assert_eq!(watched.report.counter("timers.pending_at_end"), 0);
}

/// Of a handler's stack little is used, and none of it for the record's path.
#[test]
fn handlers_on_small_alternate_stacks() {
    let watched = Run::of(&Program::new("signal_small_stack")).watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    watched.report.assert_clean();
    assert_eq!(watched.report.counter("timers.handlers_run"), 2);
    assert_eq!(watched.report.counter("del.self"), 2);
}

#[test]
fn a_finding_in_a_handler_starts_no_thread() {
    let watched = Run::of(&Program::new("signal_no_thread")).watched();
    let said = "1 in the handler, 1 behind it, 2 after timer_create";
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    assert!(watched.outcome.stdout.contains(said), "{:#?}", watched.outcome);
    watched.report.assert_kind("expiry-after-del", Info);
}

/// A jump may leave the start or the end of another timer's handler.
#[test]
fn jumps_from_anywhere() {
    let watched = Run::of(&Program::new("signal_jumps")).watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    watched.report.assert_clean();
    assert!(watched.report.counter("timers.expired") >= 50_000);
}

/// What vfork children do with theirs is neither told nor counted.
#[test]
fn timers_of_vfork_children() {
    let run = Run::of(&Program::new("vfork_timers"));
    let watched = run.watched();
    watched.assert_same(&run.plain().assert_status(0));
    watched.report.assert_clean();
    let counts = ["inited", "armed", "handlers_run", "pending_at_end"]
        .map(|count| watched.report.counter(&format!("timers.{count}")));
    assert_eq!(counts, [2, 3, 0, 1], "{}", watched.report);
    assert_eq!(watched.report.counter("del.calls"), 1, "{}", watched.report);
    assert!(watched.report.of_kind("stale-handle").is_empty(), "{}", watched.report);
}
