//! Handlers of the program, with ours in front of each: the program sees no
//! difference.

use deadwalk_tests::{Program, Run};

#[test]
fn actions_and_faults_are_as_without() {
    let run = Run::of(&Program::new("signal_actions"));
    let plain = run.plain().assert_status(0);
    assert!(plain.stdout.contains("faults 1000"), "{plain:#?}");
    let watched = run.watched();
    watched.assert_same(&plain);
    watched.report.assert_clean();
}
