//! The patterns of timer misuse that SIGEV_THREAD can express: each bad program
//! is reported with the kinds named, its fixed twin and its look-alikes are clean.

use deadwalk_tests::Severity::{Error, Info, Warning};
use deadwalk_tests::{Program, Report, Run, repeats, skip};

const SKIPPED: i32 = 77;

/// Runs one variant several times and hands each report to `check`.
#[track_caller]
fn each_run(name: &str, variant: &str, check: impl Fn(&Report)) {
    let run = Run::of(&Program::variant(name, variant));
    for _ in 0..repeats(1, 5) {
        let watched = run.watched();
        if watched.outcome.status == SKIPPED {
            return skip("real-time priorities are not allowed here");
        }
        assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
        check(&watched.report);
    }
}

#[track_caller]
fn clean(name: &str, variants: &[&str]) {
    for variant in variants {
        each_run(name, variant, |report| report.assert_clean());
    }
}

#[test]
fn p1_free_under_the_running_handler() {
    each_run("posix/p1_free_running", "BAD", |report| {
        let free = report.assert_kind("data-free-while-running", Error);
        free.assert_stack("free", "main");
        free.assert_stack("alloc", "main");
        free.assert_stack("handler", "handler");
        let delete = report.assert_kind("del-while-running", Error);
        assert!(["data-freed", "touched"].contains(&delete.text("consequence")), "{report}");
        delete.assert_stack("del", "main");
        assert_eq!(report.counter("del.while_running"), 1);
    });
}

#[test]
fn p1_fixed_and_lookalikes() {
    clean("posix/p1_free_running", &["FIXED", "LOOKALIKE=1", "LOOKALIKE=2", "LOOKALIKE=3"]);
}

/// Deleting under a running handler and waiting is legal, and still counted.
#[test]
fn p1_landings_of_lookalikes_are_counted() {
    for variant in ["LOOKALIKE=2", "LOOKALIKE=3"] {
        each_run("posix/p1_free_running", variant, |report| {
            assert_eq!(report.counter("del.while_running"), 1);
            report.assert_kind("del-while-running", Info);
        });
    }
}

#[test]
fn p1_queued_handler_starts_after_the_free() {
    each_run("posix/p1_queued", "BAD", |report| {
        let late = report.assert_seen("expiry-after-del");
        assert!(late.severity() >= Warning, "{report}");
        let freed = report.assert_seen("enter-with-freed-data");
        assert!(freed.severity() >= Warning, "{report}");
        assert_eq!(report.counter("del.while_running"), 0, "it had not started");
        assert_eq!(report.counter("timers.handlers_run"), 2, "the warm-up's and the late one");
    });
    clean("posix/p1_queued", &["FIXED", "LOOKALIKE"]);
}

#[test]
fn p2_close_is_counted_as_a_landing() {
    each_run("posix/p2_close_running", "BAD", |report| {
        assert_eq!(report.counter("del.while_running"), 1);
        report.assert_seen("del-while-running");
        report.assert_only(&["del-while-running"]);
    });
    clean("posix/p2_close_running", &["FIXED", "LOOKALIKE"]);
}

#[test]
fn p3_handler_arms_a_timer_that_was_disarmed() {
    for (variant, severity) in [("BAD=1", Error), ("BAD=2", Warning), ("BAD=3", Warning)] {
        each_run("p3_rearm", variant, |report| {
            let rearm = report.assert_kind("rearm-after-del", severity);
            rearm.assert_stack("arm", "rearm");
            rearm.assert_stack("handler", "handler");
            rearm.assert_stack("del", "disarm");
            assert_eq!(rearm.count(), 1, "{report}");
            let landed = report.assert_kind("del-while-running", Error);
            assert_eq!(landed.text("consequence"), "rearmed", "{report}");
            assert_eq!(landed.count(), 1, "{report}");
        });
    }
    each_run("p3_rearm", "BAD=1", |report| {
        report.assert_seen("data-free-while-pending").assert_stack("free", "main");
    });
    each_run("p3_rearm", "BAD=2", |report| {
        assert_eq!(report.only_site("timer_settime")["consequences"]["rearmed"], 1, "{report}");
    });
}

/// Fixed: not armed again. The look-alikes: stopped again before it could expire.
#[test]
fn p3_fixed_and_lookalikes() {
    clean("p3_rearm", &["FIXED", "LOOKALIKE=1", "LOOKALIKE=2", "LOOKALIKE=3", "LOOKALIKE=4"]);
    each_run("p3_rearm", "LOOKALIKE=1", |report| {
        report.assert_kind("rearm-after-del", Info);
        assert_eq!(report.assert_kind("del-while-running", Info).text("consequence"), "none");
    });
}

#[test]
fn p5_free_while_pending() {
    each_run("posix/p5_free_pending", "BAD=1", |report| {
        report.assert_kind("data-free-while-pending", Warning).assert_stack("free", "main");
        report.assert_kind("enter-with-freed-data", Warning);
        report.assert_no_error();
    });
}

#[test]
fn p5_handler_writes_to_freed_data() {
    each_run("posix/p5_free_pending", "BAD=2", |report| {
        report.assert_kind("data-free-while-pending", Warning);
        report.assert_seen("enter-with-freed-data");
        report.assert_kind("use-after-free-write", Error);
    });
}

#[test]
fn p5_fixed_and_lookalikes() {
    clean("posix/p5_free_pending", &["FIXED", "LOOKALIKE=1"]);
    for variant in ["LOOKALIKE=2", "LOOKALIKE=3", "LOOKALIKE=4"] {
        each_run("posix/p5_free_pending", variant, |report| {
            report.assert_clean();
            report.assert_kind("data-free-while-pending", Info);
        });
    }
}

#[test]
fn p6_handler_frees_its_own() {
    each_run("posix/p6_self_free", "LOOKALIKE=1", |report| {
        report.assert_clean();
        assert_eq!(report.counter("del.self"), 1);
        assert_eq!(report.counter("del.while_running"), 0, "a delete by itself lands on nobody");
    });
    clean("posix/p6_self_free", &["LOOKALIKE=2"]);
}

#[test]
fn p7_both_owners_free() {
    for variant in ["BAD=1", "BAD=2", "BAD=3"] {
        each_run("posix/p7_double_owner", variant, |report| {
            let double = report.assert_kind("double-free", Error);
            assert_eq!(double.count(), 1);
        });
    }
    each_run("posix/p7_double_owner", "BAD=1", |report| {
        report.assert_kind("data-free-while-running", Error);
    });
    clean("posix/p7_double_owner", &["FIXED", "LOOKALIKE"]);
}

/// `timer_settime` that disarms counts as a delete.
#[test]
fn p7_disarming_counts_as_a_delete() {
    each_run("posix/p7_double_owner", "BAD=1", |report| {
        let site = report.only_site("timer_settime");
        assert_eq!(site["calls"], 1);
        assert_eq!(site["while_running"], 1);
    });
}

#[test]
fn p15_handler_overlaps_itself() {
    for variant in ["BAD", "LOOKALIKE"] {
        each_run("posix/p15_overlap", variant, |report| {
            report.assert_kind("overlapping-handler", Info);
            report.assert_no_error();
        });
    }
    each_run("posix/p15_overlap", "FIXED", |report| {
        report.assert_clean();
        report.assert_none("overlapping-handler");
    });
}

#[test]
fn p16_stale_handle() {
    each_run("posix/p16_stale_handle", "BAD", |report| {
        let stale = report.assert_kind("stale-handle", Error);
        stale.assert_stack("del", "main");
        assert_eq!(report.counter("del.calls"), 1, "a stale call deletes nothing");
    });
    clean("posix/p16_stale_handle", &["FIXED", "LOOKALIKE=1", "LOOKALIKE=2"]);
}

/// A signal timer's stale id is refused by the kernel: at most info.
#[test]
fn p16_refused_stale_id_is_no_finding() {
    let watched = Run::of(&Program::new("signal_timers")).watched();
    watched.report.assert_clean();
}
