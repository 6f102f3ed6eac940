//! `heal=on`: misuse of POSIX timers is told, counted and made harmless.

use deadwalk_tests::Severity::Error;
use deadwalk_tests::{Program, Report, Run, skip};

/// Blocks of the slabs, large ones, ones that are mapped by themselves.
const SIZES: [&str; 3] = ["64", "100000", "300000000"];

fn healed(run: Run) -> Run {
    run.env("DEADWALK_OPTIONS", "heal=on")
}

fn heal(mode: &str) -> Run {
    Run::of(&Program::new("heal")).arg(mode)
}

#[track_caller]
fn report(run: &Run, says: &str) -> Report {
    let watched = run.watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    assert_eq!(watched.outcome.stdout, format!("{says}\n"), "{}", watched.report);
    watched.report
}

/// How often it acted: on expiries, on calls, on frees.
fn acts(report: &Report) -> [u64; 3] {
    let acts = ["healed.expiries", "healed.stale_calls", "healed.deferred_frees"];
    let acts = acts.map(|path| report.counter(path));
    assert_eq!(report.counter("timers.healed"), acts.iter().sum::<u64>(), "{report}");
    acts
}

#[test]
fn a_running_handler_keeps_its_data() {
    for size in SIZES {
        let report = report(&healed(heal("data").arg(size)), "intact: 1");
        assert_eq!(acts(&report), [0, 0, 1], "{size}");
        // Still told: it is a bug, and the next one may not be healed.
        report.assert_kind("data-free-while-running", Error);
        report.assert_none("use-after-free-write");
        report.assert_none("double-free");
    }
}

#[test]
fn without_it_the_data_is_gone() {
    let report = report(&heal("data"), "intact: 0");
    assert_eq!(acts(&report), [0, 0, 0]);
    report.assert_kind("use-after-free-write", Error);
}

#[test]
fn data_that_realloc_moves_stays_for_the_handler() {
    for size in SIZES {
        let report = report(&healed(heal("moved").arg(size)), "intact: 1");
        assert_eq!(acts(&report), [0, 0, 1], "{size}");
        report.assert_none("use-after-free-write");
    }
}

#[test]
fn a_second_free_is_told_all_the_same() {
    for size in SIZES {
        let report = report(&healed(heal("twice").arg(size)), "intact: 1");
        assert_eq!(acts(&report), [0, 0, 1], "{size}");
        let double = report.assert_kind("double-free", Error);
        assert_eq!(double.count(), 1, "{report}");
        double.assert_stack("free", "main");
    }
}

/// What is put off is done: nothing is live at the end that plain programs do not keep.
#[test]
fn a_block_that_was_kept_is_given_back() {
    let live = |run: Run| {
        let report = report(&run.arg("100000"), "intact: 1");
        report.counter("heap.allocs") - report.counter("heap.frees")
    };
    assert_eq!(live(healed(heal("data"))), live(healed(heal("own"))));
}

#[test]
fn a_handler_s_own_free_is_done_at_once() {
    let report = report(&healed(heal("own")), "intact: 1");
    assert_eq!(acts(&report), [0, 0, 0]);
    report.assert_clean();
}

#[test]
fn calls_on_a_deleted_timer_are_refused() {
    let report = report(&healed(heal("handles")), "refused: 4");
    assert_eq!(acts(&report), [0, 4, 0]);
    report.assert_kind("stale-handle", Error);
}

#[test]
fn an_expiry_after_the_delete_is_not_called() {
    let run = Run::of(&Program::variant("posix/p1_queued", "BAD"));
    if run.plain().status == 77 {
        return skip("real-time priorities are not allowed here");
    }
    let report = report(&healed(run), "handler runs: 0");
    assert_eq!(acts(&report), [1, 0, 0]);
    assert_eq!(report.counter("timers.refused_at_expiry"), 0, "{report}");
    report.assert_none("expiry-after-del");
}

/// glibc BZ 32833: never armed, due in an hour, or not yet created.
#[test]
fn an_expiry_of_another_timer_is_not_called() {
    let stand_in = Program::library("stale_stand_in", &[]);
    for mode in ["never", "early", "hasty"] {
        let run = Run::of(&Program::new("stale_expiry")).arg(mode);
        let report = report(&healed(run.env("LD_PRELOAD", &stand_in.path)), "handler ran: 0");
        assert_eq!(acts(&report), [1, 0, 0], "{mode}");
        report.assert_seen("stale-expiry");
    }
}

/// As often as it happens: the program sees none, and each is told.
#[test]
fn nor_are_any_in_twenty_thousand_rounds() {
    let program = Program::with_flags("stale_expiry", &["-DLIFO_HEAP"]);
    let run = healed(Run::of(&program).args("loop 20000"));
    let report = report(&run, "handler ran: 0");
    let stale: u64 = report.of_kind("stale-expiry").iter().map(|f| f.count()).sum();
    assert!(acts(&report)[0] >= stale, "{report}");
}

#[test]
fn the_text_says_how_often_it_acted() {
    let outcome = healed(heal("data")).under_deadwalk();
    outcome.assert_says("heal=on acted 1 time: 1 free put off.");
}
