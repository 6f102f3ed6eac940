//! `provoke`: rare races are made to happen, the delays repeat, and programs
//! that are right stay clean.

use deadwalk_tests::Severity::{Error, Warning};
use deadwalk_tests::{Program, Report, Run, alone, repeats};

const APIS: [&str; 2] = ["posix", "timer_list"];

/// The first delays of this seed, of up to a second, are more than 0.9 s at the
/// entry of a handler, of either API.
const LONG: &str = "1000000,44";

fn random_deletes(api: &str, rounds: u32, mode: &str) -> Run {
    let program = Program::kernel_with_flags("provoke", &["-DHZ=1000"]);
    let rounds = rounds.to_string();
    Run::of(&program).arg(api).arg(rounds).arg("1").args(mode).env("DEADWALK_OPTIONS", "hz=1000")
}

fn report_of(run: &Run) -> Report {
    let watched = run.watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    watched.report
}

/// The part of the deletes that landed.
fn rate(report: &Report) -> f64 {
    report.counter("del.while_running") as f64 / report.counter("del.calls") as f64
}

#[test]
fn deletes_that_hardly_ever_land_do() {
    let _alone = alone();
    let rounds = repeats(400, 2000);
    for api in APIS {
        let run = random_deletes(api, rounds, "");
        let natural = report_of(&run);
        assert_eq!(natural.counter("del.calls"), u64::from(rounds));
        assert_eq!(natural.counter("timers.provoked"), 0);
        assert!(rate(&natural) < 0.05, "{api}: {natural}");
        // On a busy machine timers are late, and deletes come before they expire.
        let run = run.option("--provoke").option("2000");
        let mut tries = (0..3).map(|_| report_of(&run));
        let provoked = tries.find(|report| rate(report) >= 0.5);
        let provoked = provoked.unwrap_or_else(|| panic!("{api}: less than half, three times"));
        // It is told that they were helped, and that no harm was done.
        provoked.assert_kind("del-while-running", Warning);
        provoked.assert_no_error();
    }
}

/// Each handler is held up, and each delete that does not land.
#[test]
fn delays_are_counted() {
    let _alone = alone();
    let run = random_deletes("timer_list", 200, "").option("--provoke").option("500,7");
    let report = report_of(&run);
    let alone_deletes = report.counter("del.calls") - report.counter("del.while_running");
    let handlers = report.counter("timers.handlers_run");
    assert_eq!(report.counter("timers.provoked"), handlers + alone_deletes, "{report}");
    let options = &report.processes()[0]["options"];
    assert_eq!((&options["provoke"], &options["provoke_seed"]), (&500.into(), &7.into()));

    let text = run.under_deadwalk().assert_status(0);
    text.assert_says("on purpose, of up to 500 us, with seed 7.");
}

/// Who gives no seed is told which one it was.
#[test]
fn a_seed_is_made_up_and_told() {
    let run = random_deletes("posix", 5, "").option("--provoke").option("10");
    let seed = |report: Report| report.processes()[0]["options"]["provoke_seed"].as_u64();
    let (first, second) = (seed(report_of(&run)), seed(report_of(&run)));
    assert!(first.is_some() && first != second, "{first:?} {second:?}");
    let off = report_of(&random_deletes("posix", 5, ""));
    assert!(off.processes()[0]["options"]["provoke_seed"].is_null());
}

/// The free that follows such a delete is certain harm, however short the handler.
#[test]
fn frees_under_handlers_that_have_not_begun_are_errors() {
    let _alone = alone();
    for (api, kind) in [("posix", "data-free-while-running"), ("timer_list", "free-while-running")]
    {
        let run = random_deletes(api, 100, "free").option("--provoke").option("2000");
        let report = report_of(&run);
        let freed = report.assert_kind(kind, Error);
        assert!(freed.count() >= 20 && !freed.is_tail(), "{api}: {report}");
        freed.assert_stack("free", "main");
        let function = if api == "posix" { "on_posix" } else { "on_list" };
        freed.assert_stack("handler", function);
        let delete = report.assert_kind("del-while-running", Error);
        delete.assert_stack("del", if api == "posix" { "posix_round" } else { "list_round" });
    }
}

#[test]
fn correct_programs_stay_clean() {
    let _alone = alone();
    let clean = |run: Run| report_of(&run.option("--provoke").option("2000")).assert_clean();
    let rounds = repeats(200, 2000).to_string();
    for pinned in ["", "pinned"] {
        clean(Run::of(&Program::new("tail")).arg("legal").arg(&rounds).args(pinned));
    }
    for name in [
        "posix/p1_free_running",
        "posix/p2_close_running",
        "posix/p5_free_pending",
        "posix/p6_self_free",
    ] {
        clean(Run::of(&Program::variant(name, "FIXED")));
    }
    for lookalike in ["LOOKALIKE=1", "LOOKALIKE=2", "LOOKALIKE=3"] {
        clean(Run::of(&Program::variant("posix/p1_free_running", lookalike)));
    }
    clean(Run::of(&Program::variant("posix/p16_stale_handle", "FIXED")));
    for api in APIS {
        clean(random_deletes(api, repeats(100, 1000), "free").option("--del").option("sync"));
    }
}

fn showit(name: &str, program: &Program) {
    let run = Run::of(program).arg("100").option("--del").option("sync");
    let report = report_of(&run.option("--provoke").option("2000"));
    assert_eq!(report.counter("del.while_running"), 0, "{name}");
    report.assert_clean();
}

#[test]
fn waiting_deletes_go_on_waiting() {
    let _alone = alone();
    showit("posix", &Program::example("showit_posix"));
    showit("timer_list", &Program::kernel_example("showit"));
}

fn held(api: &str, what: &str, options: &str) -> Run {
    let run = Run::of(&Program::kernel("provoke_held")).arg(api).arg(what);
    run.env("DEADWALK_OPTIONS", options).option("--provoke").option(LONG)
}

/// A delay is no deadlock, even one of many times `deadlock_ms`.
#[test]
fn delays_are_not_held_against_a_wait() {
    for api in APIS {
        let watched = held(api, "delete", "del=sync:deadlock_ms=20").watched();
        assert_eq!(watched.outcome.stdout, "ran\nafter the delete: 1\n", "{api}");
        assert_eq!(watched.report.counter("del.sync_waits"), 1, "{api}");
        watched.report.assert_clean();
    }
}

/// A delete that landed returns at once: the handler has all its run before it.
#[test]
fn a_delete_that_landed_is_not_held_up() {
    for api in APIS {
        let watched = held(api, "delete", "").watched();
        assert_eq!(watched.outcome.stdout, "after the delete: 0\nran\n", "{api}");
        assert_eq!(watched.report.counter("timers.provoked"), 1, "{api}");
        let landed = watched.report.assert_kind("del-while-running", Warning);
        assert!(!landed.is_tail(), "{api}");
    }
}

/// The process ends when it would: nobody waits for who is held up.
#[test]
fn the_end_is_not_held_up() {
    for api in APIS {
        let watched = held(api, "end", "").watched();
        assert_eq!((watched.outcome.status, watched.outcome.stdout.as_str()), (0, ""), "{api}");
    }
}

/// A bare preload takes the same by its variable.
#[test]
fn bad_values_are_named() {
    let run = Run::of(&Program::new("tail")).arg("legal").arg("1");
    let said = run.env("DEADWALK_OPTIONS", "provoke=5,:provoke_seed=x").under_deadwalk();
    let said = said.assert_status(0).assert_says("bad value for provoke: 5,");
    said.assert_says("bad value for provoke_seed: x");
}
