//! timer_list timers in hosts that fork, exit, take signals and end threads.

use deadwalk_tests::{Program, Run};

/// Runs a variant of `timer_host.c` bare and under every policy: status 0, and
/// nothing found that is worse than an info.
fn run(variant: &str, args: &[(&str, &str)]) {
    let program = Program::kernel_with_flags("timer_host", &[&format!("-D{variant}")]);
    let mut run = Run::of(&program);
    for (name, value) in args {
        run = run.env(name, value);
    }
    run.plain().assert_status(0);
    for policy in ["async", "sync", "running"] {
        let watched = run.clone().option("--del").option(policy).watched();
        assert_eq!(watched.outcome.status, 0, "{variant} {policy}: {:#?}", watched.outcome);
        watched.report.assert_clean();
        assert_eq!(watched.report.total("timers")["invariant_ok"], true, "{variant} {policy}");
    }
}

#[test]
fn a_handler_that_ends_its_thread() {
    run("PTHREAD_EXIT", &[]);
    run("PTHREAD_EXIT", &[("DEADWALK_OPTIONS", "cpus=2")]);
}

#[test]
fn a_fork_child_has_timers_of_its_own() {
    run("FORK", &[]);
}

#[test]
fn a_handler_that_forks() {
    run("FORK_IN_HANDLER", &[]);
}

#[test]
fn a_handler_that_exits() {
    run("EXIT_IN_HANDLER", &[]);
}

#[test]
fn timer_calls_in_signal_handlers_wait_for_nobody() {
    run("SIGNALS", &[]);
}

#[test]
fn virtual_time_runs_handlers_in_order() {
    run("VIRTUAL", &[]);
    run("VIRTUAL", &[("DEADWALK_OPTIONS", "cpus=3:hz=1000")]);
}
