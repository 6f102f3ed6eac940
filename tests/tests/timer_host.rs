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
        // A flag in the storage that the handler wipes is gone: that design's limit.
        if variant == "WIPES_ITSELF" && policy == "running" {
            watched.report.assert_no_error();
        } else {
            watched.report.assert_clean();
        }
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

#[test]
fn a_handler_that_assigns_its_own_timer_is_waited_for() {
    run("WIPES_ITSELF", &[]);
}

#[test]
fn a_timer_assigned_anew_is_a_new_timer() {
    run("ASSIGNED_ANEW", &[]);
}

#[test]
fn a_fork_child_may_use_what_its_parent_had_armed() {
    run("INHERITED", &[]);
}

#[test]
fn who_waits_for_handlers_delays_no_timer() {
    run("SYNC_IN_VIRTUAL_TIME", &[]);
    run("SYNC_IN_VIRTUAL_TIME", &[("DEADWALK_OPTIONS", "cpus=2")]);
}

#[test]
fn our_threads_keep_no_process_alive() {
    run("MAIN_ENDS", &[]);
    let program = Program::kernel_with_flags("timer_host", &["-DMAIN_ENDS"]);
    Run::of(&program).arg("armed").plain().assert_status(0);
}
