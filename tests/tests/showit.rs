//! The mail's demonstration: `examples/c/showit_posix.c`.

use deadwalk_tests::{Frame, Program, Run, Severity, alone};

const ROUNDS: u64 = 100;

fn showit() -> (Program, Run) {
    let program = Program::example("showit_posix");
    let run = Run::of(&program).arg(ROUNDS.to_string());
    (program, run)
}

fn says(hits: u64) -> String {
    format!("showit_posix: handler still running after timer_delete: {hits} of {ROUNDS}\n")
}

#[test]
fn every_delete_lands() {
    let _alone = alone();
    let (program, run) = showit();
    let watched = run.watched();
    assert_eq!(watched.outcome.stdout, says(ROUNDS));
    assert_eq!(watched.outcome.status, 0);
    let report = &watched.report;
    assert_eq!(report.counter("del.calls"), ROUNDS);
    assert_eq!(report.counter("del.while_running"), ROUNDS);
    assert_eq!(report.counter("del.sync_waits"), 0);
    assert_eq!(report.counter("timers.handlers_run"), ROUNDS);
    report.assert_no_error();
    report.assert_seen("del-while-running");
    assert_eq!(report.count("del-while-running", Severity::Warning), ROUNDS);

    let site = report.only_site("timer_delete");
    let frame = Frame::of(&site["site"]);
    assert_eq!(frame.file_name(), Some("showit_posix.c"));
    assert_eq!(frame.line(), Some(program.line_of("/* the race */")));
    assert_eq!(Frame::of(&site["handlers"][0]).function(), Some("handler"));
    assert_eq!(site["while_running"], ROUNDS);
    assert_eq!(site["consequences"]["none"], ROUNDS);
    assert_eq!(site["rate"], 1.0);
}

/// The handler sleeps 10 ms; the delete comes right after its start. The median
/// allows for a loaded machine.
#[test]
fn windows_are_the_handlers_sleep() {
    let _alone = alone();
    let watched = showit().1.watched();
    let window = &watched.report.only_site("timer_delete")["window_ns"];
    assert_eq!(window["count"], ROUNDS);
    let p50 = window["p50"].as_u64().expect("p50");
    assert!((5_000_000..=15_000_000).contains(&p50), "{window:#}");
    assert!(window["min"].as_u64() <= Some(p50) && window["max"].as_u64() >= Some(p50));
}

#[test]
fn waiting_deletes_heal_it() {
    let _alone = alone();
    let watched = showit().1.option("--del").option("sync").watched();
    assert_eq!(watched.outcome.stdout, says(0));
    assert_eq!(watched.outcome.status, 0);
    let report = &watched.report;
    assert_eq!(report.counter("del.calls"), ROUNDS);
    assert_eq!(report.counter("del.while_running"), 0);
    assert_eq!(report.counter("del.sync_waits"), ROUNDS);
    report.assert_clean();
    report.assert_none("del-while-running");
}

/// The first screen of the text report answers the mail's question.
#[test]
fn text_report_answers_the_mail() {
    let _alone = alone();
    let outcome = showit().1.under_deadwalk().assert_status(0);
    assert_eq!(outcome.stdout, says(ROUNDS));
    let outcome = outcome.assert_says("100 of 100 delete calls");
    let outcome = outcome.assert_says("showit_posix.c:");
    assert!(!outcome.stderr.contains('\x1b'), "colours go to a terminal only");
}
