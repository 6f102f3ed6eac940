//! Timers that are descriptors: counted as the program itself counts, and told of only
//! where a number is used after its close.

use deadwalk_tests::{Program, Run};

#[test]
fn counts_are_the_program_s_own() {
    let run = Run::of(&Program::new("timerfd"));
    run.plain().assert_status(0);
    let watched = run.watched();
    assert_eq!((watched.outcome.status, &*watched.outcome.stderr), (0, ""));
    let report = &watched.report;
    report.assert_clean();
    let counted = ["timers.inited", "timers.armed", "del.calls", "timers.consumed"]
        .map(|path| report.counter(path));
    // How often a timer expires before it is read is the machine's business.
    let words: Vec<&str> = watched.outcome.stdout.split_whitespace().collect();
    let said: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(counted.to_vec(), said, "{report}");
    assert_eq!(report.counter("timers.pending_at_end"), 0, "{report}");
    assert_eq!(report.counter("timers.handlers_run"), 0, "{report}");
    let closes = report.del_sites().iter().filter(|site| site["op"] == "close");
    assert!(closes.clone().count() > 0 && closes.clone().all(|site| site["api"] == "timerfd"));
}
