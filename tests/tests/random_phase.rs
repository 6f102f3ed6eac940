//! Deletes at a random phase: the report's number lies between the bounds that
//! the program's own oracle gives.

use deadwalk_tests::{Program, Run, alone, repeats};

const TIMERS: u64 = 10_000;

#[test]
fn landings_lie_between_the_oracles_bounds() {
    let _alone = alone();
    let program = Program::new("random_phase");
    for seed in 1..=repeats(3, 20) {
        let run = Run::of(&program).arg(TIMERS.to_string()).arg(seed.to_string());
        let watched = run.watched();
        assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
        let said = &watched.outcome.stdout;
        let (lower, upper) = (number(said, "lower="), number(said, "upper="));
        assert!(0 < lower && upper < TIMERS, "the oracle says something: {said}");
        let report = &watched.report;
        let landed = report.counter("del.while_running");
        assert!((lower..=upper).contains(&landed), "seed {seed}: {landed} landed, {said}");
        assert_eq!(report.counter("del.calls"), number(said, "deletes="), "seed {seed}");
        report.assert_no_error();
    }
}

fn number(text: &str, key: &str) -> u64 {
    let value = text.split_whitespace().find_map(|word| word.strip_prefix(key));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{key} in {text}"))
}
