//! The subtle cases of timer_list under every policy: what each call returns is
//! asserted by `examples/c/timertest.c`, what deadwalk counts and finds here.

use deadwalk_tests::{Expected, Program, Report, Run, error, info, warning};

const POLICIES: [&str; 3] = ["async", "sync", "running"];

/// One case of timertest and what its report must have.
struct Case {
    name: &'static str,
    /// The findings by policy; no others.
    findings: [&'static [Expected]; 3],
    /// Counters by policy.
    counters: &'static [(&'static str, [u64; 3])],
}

const fn case(
    name: &'static str,
    findings: &'static [Expected],
    counters: &'static [(&'static str, [u64; 3])],
) -> Case {
    Case { name, findings: [findings; 3], counters }
}

/// A handler acts upon its own timer.
const HANDLER: &[Case] = &[
    case("one_shot", &[], &[("del.calls", [1; 3]), ("del.returned_pending", [0; 3])]),
    case("periodic", &[], &[("del.calls", [1; 3]), ("del.returned_pending", [1; 3])]),
    case(
        "delete_in_handler",
        &[],
        &[("del.calls", [1; 3]), ("del.self", [1; 3]), ("del.sync_waits", [0; 3])],
    ),
    case("delete_readd_in_handler", &[], &[("del.calls", [2; 3]), ("del.self", [2; 3])]),
    case(
        "readd_then_delete",
        &[],
        &[("del.returned_pending", [1; 3]), ("del.while_running", [0; 3])],
    ),
    case(
        "readd_delete_self",
        &[],
        &[("del.self", [1; 3]), ("del.sync_waits", [1; 3]), ("del.re_deletes", [0; 3])],
    ),
    Case {
        findings: [
            &[info("free-own-handler")],
            &[info("confused-readd-del-free"), info("free-own-handler")],
            &[error("free-own-handler"), error("running-flag-after-free")],
        ],
        ..case("readd_delete_free", &[], &[("del.sync_waits", [1; 3]), ("del.re_deletes", [0; 3])])
    },
    Case {
        findings: [
            &[info("free-own-handler")],
            &[info("free-own-handler")],
            &[error("free-own-handler")],
        ],
        ..case("free_in_handler", &[], &[("del.calls", [0; 3])])
    },
    case(
        "sync_from_handler",
        &[error("sync-del-from-handler").times(2)],
        &[("del.calls", [2; 3]), ("del.self", [2; 3]), ("del.sync_waits", [0; 3])],
    ),
    case("sync_timers_in_handler", &[error("sync-del-from-handler")], &[]),
    case("rearm_in_the_past", &[info("rearm-past")], &[]),
];

/// Other threads act upon a timer whose handler runs.
const THREADS: &[Case] = &[
    Case {
        findings: [&[warning("del-while-running")], &[], &[]],
        ..case(
            "readd_by_other",
            &[],
            &[
                ("del.returned_pending", [1; 3]),
                ("del.while_running", [1, 0, 0]),
                ("del.sync_waits", [0, 1, 1]),
                ("del.readds_by_other", [1; 3]),
            ],
        )
    },
    case(
        "readd_under_the_waiter",
        &[],
        &[("del.sync_waits", [1; 3]), ("del.re_deletes", [1; 3]), ("del.readds_by_other", [1; 3])],
    ),
    case("mod_while_running", &[], &[("del.while_running", [0; 3])]),
    case("two_deleters", &[], &[("del.calls", [2; 3]), ("del.returned_pending", [1; 3])]),
    Case {
        findings: [&[warning("del-while-running").times(2)], &[], &[]],
        ..case(
            "two_deleters_running",
            &[],
            &[("del.while_running", [2, 0, 0]), ("del.sync_waits", [0, 2, 2])],
        )
    },
    case("two_deleters_readded", &[], &[("del.sync_waits", [2; 3]), ("del.re_deletes", [1; 3])]),
    case(
        "two_deleters_free",
        &[error("double-free")],
        &[("del.sync_waits", [2; 3]), ("del.re_deletes", [1; 3])],
    ),
    case("try_to_delete", &[], &[("del.calls", [2; 3]), ("del.returned_pending", [1; 3])]),
    case("reinit_while_running", &[error("reinit-running")], &[]),
    case("sync_timers_waits", &[], &[("del.calls", [0; 3])]),
];

/// Storage that is no timer, not yet, or no more.
const STORAGE: &[Case] = &[
    case("delete_initialised", &[], &[("del.calls", [1; 3])]),
    case("delete_static", &[info("static-uninit")], &[]),
    case("delete_garbage", &[error("uninit-use")], &[("timers.trashed.uninit", [1; 3])]),
    case("delete_freed", &[error("api-use-after-free")], &[("timers.trashed.freed", [1; 3])]),
    case("copy_pending", &[error("timer-copied")], &[("timers.trashed.copied", [1; 3])]),
    case(
        "copy_and_wipe",
        &[error("timer-copied"), error("timer-wiped")],
        &[
            ("timers.trashed.copied", [1; 3]),
            ("timers.trashed.wiped", [1; 3]),
            ("timers.refused_at_expiry", [1; 3]),
        ],
    ),
    case("copy_inactive", &[], &[]),
    case(
        "storage_reused",
        &[error("free-while-running"), error("storage-reused")],
        &[("del.sync_waits", [0; 3])],
    ),
    Case {
        findings: [
            &[info("free-own-handler"), info("storage-reused")],
            &[info("free-own-handler"), info("storage-reused")],
            &[error("free-own-handler"), info("storage-reused")],
        ],
        ..case("storage_reused_after_own", &[], &[("del.sync_waits", [0; 3])])
    },
    case(
        "realloc_moves",
        &[error("free-while-pending"), error("timer-copied")],
        &[("timers.auto_detached", [1; 3])],
    ),
    case(
        "stack_frame_gone",
        &[error("timer-clobbered")],
        &[("timers.trashed.clobbered", [1; 3]), ("timers.refused_at_expiry", [1; 3])],
    ),
    case("stack_declared", &[], &[]),
    case("fork_pending", &[], &[]),
];

/// What calls return and refuse.
const CALLS: &[Case] = &[
    case("double_delete", &[], &[("del.calls", [2; 3]), ("del.returned_pending", [1; 3])]),
    case("mod_and_reduce", &[], &[]),
    case("modern_names", &[], &[("del.calls", [3; 3])]),
    case("modern_static", &[], &[]),
    case("arm_after_shutdown", &[info("arm-after-shutdown")], &[]),
    case("double_add", &[error("double-add")], &[]),
    case("null_handler", &[error("null-handler")], &[]),
    case("reinit_pending", &[error("reinit-pending")], &[("timers.auto_detached", [1; 3])]),
    case("change_fields", &[], &[("timers.fields_changed", [1; 3])]),
];

/// Expiries, refusals, detaches and what is pending still add up to the arms.
fn invariant_holds(report: &Report) -> bool {
    report.total("timers")["invariant_ok"] == true
}

/// What of one case is not as its table has it.
/// By a policy that comes next. Some cases want storage to be given out again at once, so
/// it is not held.
fn timertest() -> Run {
    let run = Run::of(&Program::kernel_example("timertest"));
    run.env("DEADWALK_OPTIONS", "guard=off").args("--policy")
}

fn differences(case: &Case, policy: usize) -> Vec<String> {
    let run = timertest().arg(POLICIES[policy]).arg(case.name);
    let watched = run.watched();
    let report = &watched.report;
    let mut differences = report.differences(case.findings[policy]);
    if watched.outcome.status != 0 || watched.outcome.stdout != format!("case {}: ok\n", case.name)
    {
        differences.push(format!("{:?}", watched.outcome));
    }
    for (path, expected) in case.counters {
        let n = report.counter(path);
        if n != expected[policy] {
            differences.push(format!("{path}: {n}, expected {}", expected[policy]));
        }
    }
    if !invariant_holds(report) {
        differences.push(format!("invariant broken: {:#}", report.total("timers")));
    }
    differences
}

#[track_caller]
fn as_specified(cases: &[Case]) {
    let mut failures = String::new();
    for case in cases {
        for (p, policy) in POLICIES.iter().enumerate() {
            for difference in differences(case, p) {
                failures += &format!("{}, {policy}: {difference}\n", case.name);
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn handlers_act_upon_their_own_timer() {
    as_specified(HANDLER);
}

#[test]
fn threads_act_upon_a_running_timer() {
    as_specified(THREADS);
}

#[test]
fn storage_that_is_no_timer() {
    as_specified(STORAGE);
}

#[test]
fn calls_return_and_refuse() {
    as_specified(CALLS);
}

/// All in one process too: no case leaves anything behind that disturbs another.
#[test]
fn all_cases_in_one_process() {
    for policy in POLICIES {
        let watched = timertest().arg(policy).arg("all").watched();
        assert_eq!(watched.outcome.status, 0, "{policy}: {}", watched.outcome.stdout);
        assert!(invariant_holds(&watched.report), "{}", watched.report);
    }
}

#[test]
fn every_case_is_asserted() {
    let listed = Run::of(&Program::kernel_example("timertest")).arg("list").plain();
    let tables = [HANDLER, THREADS, STORAGE, CALLS];
    let asserted = tables.into_iter().flatten().map(|case| format!("{}\n", case.name));
    assert_eq!(listed.stdout, asserted.collect::<String>());
}
