//! A crash ends the program as it would have without the library, and the record says
//! why. A fault that the program handles itself is none.

use deadwalk_tests::{Program, Report, Run, SKIPPED, repeats};
use serde_json::Value;

const ILL: u64 = 4;
const ABRT: u64 = 6;
const BUS: u64 = 7;
const FPE: u64 = 8;
const SEGV: u64 = 11;
const POISON: &str = "0x6b6b6b6b6b6b6b6b was read from freed memory";

/// A run that ends as the plain one does, and how.
#[track_caller]
fn crash(how: &str) -> (Report, i32) {
    let run = Run::of(&Program::new("crash")).arg(how);
    let plain = run.plain();
    let watched = run.watched();
    watched.assert_same(&plain);
    (watched.report, plain.status)
}

/// The crash of the only process that has one.
#[track_caller]
fn only_crash(report: &Report) -> &Value {
    let mut crashes = report.processes().iter().map(|p| &p["crash"]).filter(|c| c.is_object());
    let crash = crashes.next().unwrap_or_else(|| panic!("a crash: {report}"));
    assert!(crashes.next().is_none(), "one crash: {report}");
    crash
}

#[track_caller]
fn assert_no_crash(report: &Report) {
    assert!(report.processes().iter().all(|p| p["crash"].is_null()), "{report}");
}

/// Asserts what a crash says, and that the two functions stand on its stack.
#[track_caller]
fn assert_crash(how: &str, signal: u64, access: &str, addr: Option<&str>, hint: Option<&str>) {
    let (report, status) = crash(how);
    assert_eq!(status as u64, 128 + signal);
    let crash = only_crash(&report);
    assert_eq!(crash["signal"], signal, "{report}");
    assert_eq!(crash["access"], access, "{report}");
    assert_eq!(crash["addr"].as_str(), addr, "{report}");
    assert_eq!(crash["hint"].as_str(), hint, "{report}");
    assert_stack(crash);
}

#[track_caller]
fn assert_stack(crash: &Value) {
    let stack = crash["stack"].as_array().expect("a stack");
    let functions: Vec<_> = stack.iter().filter_map(|frame| frame["function"].as_str()).collect();
    let at = functions.iter().position(|&name| name == "crashing").expect("crashing()");
    assert_eq!(functions.get(at + 1), Some(&"outer"), "{crash:#}");
}

#[test]
fn wild_pointers() {
    assert_crash("read", SEGV, "read", Some("0x123456789000"), None);
    assert_crash("write", SEGV, "write", Some("0x123456789000"), None);
    assert_crash("call", SEGV, "execute", Some("0x123456789000"), None);
    assert_crash("null", SEGV, "read", Some("0x8"), None);
    // Where that lies is another place in every run.
    let (report, _) = crash("page");
    assert_eq!(only_crash(&report)["access"], "read", "{report}");
    assert_stack(only_crash(&report));
}

#[test]
fn pointers_made_of_poison() {
    assert_crash("poison-read", SEGV, "read", Some("0x6b6b6b6b6b6b6b73"), Some(POISON));
    assert_crash("poison-write", SEGV, "write", Some("0x6b6b6b6b6b6b6b73"), Some(POISON));
    assert_crash("poison-call", SEGV, "execute", Some("0x6b6b6b6b6b6b6b6b"), Some(POISON));
}

#[test]
fn what_the_kernel_gives_no_address_for() {
    assert_crash("not-canonical", SEGV, "read", Some("0x1234567890123450"), None);
    assert_crash("unaligned", SEGV, "unknown", None, None);
}

/// Where the stack's segment is meant, the kernel sends SIGBUS.
#[test]
fn other_signals() {
    assert_crash("poison-stack", BUS, "read", Some("0x6b6b6b6b6b6b6b73"), Some(POISON));
    assert_crash("ill", ILL, "unknown", None, None);
    assert_crash("fpe", FPE, "unknown", None, None);
    assert_crash("fpe-default-again", FPE, "unknown", None, None);
    assert_crash("abort", ABRT, "unknown", None, None);
}

#[test]
fn other_signals_that_the_program_handles() {
    for (how, status) in [("abort-handled", 5), ("bus-ignored", 0)] {
        let (report, ended) = crash(how);
        assert_eq!(ended, status, "{how}");
        assert_no_crash(&report);
    }
    let (_, status) = crash("abort-returns");
    assert_eq!(status as u64, 128 + ABRT);
}

#[test]
fn the_program_is_told_what_it_set() {
    assert_eq!(crash("asks").1, 0);
}

/// No system call is allowed there: what can be told without is.
#[test]
fn in_a_sandbox() {
    let (report, status) = crash("sandbox");
    if status == SKIPPED {
        return println!("skipped: no seccomp here");
    }
    assert_eq!(status as u64, 128 + SEGV);
    assert_eq!(only_crash(&report)["addr"], "0x123456789000", "{report}");
}

#[test]
fn signals_that_are_sent() {
    for how in ["raise", "killed"] {
        let (report, status) = crash(how);
        assert_eq!(status as u64, 128 + SEGV);
        let crash = only_crash(&report);
        assert!(crash["code"].as_i64().expect("a code") <= 0, "{report}");
        assert!(crash["addr"].is_null(), "{report}");
    }
}

#[test]
fn a_fault_that_the_program_handles_is_no_crash() {
    for (how, status) in [("fixes", 0), ("jumps", 0), ("leaves", 5), ("ignored-raise", 0)] {
        let (report, ended) = crash(how);
        assert_eq!(ended, status, "{how}");
        assert_no_crash(&report);
    }
}

#[test]
fn handlers_that_give_up() {
    for how in ["resets", "raises", "reset-hand", "blocked", "ignored"] {
        let (report, status) = crash(how);
        assert_eq!(status as u64, 128 + SEGV, "{how}");
        let crash = only_crash(&report);
        assert_eq!(crash["signal"], SEGV, "{report}");
        if how != "raises" {
            assert_eq!(crash["addr"], "0x123456789000", "{report}");
        }
        assert_stack(crash);
    }
}

#[test]
fn a_stack_that_overflows() {
    // The kernel has nowhere to call a handler, and nobody learns of it.
    let (report, status) = crash("overflow");
    assert_eq!(status as u64, 128 + SEGV);
    assert_no_crash(&report);
    let (report, status) = crash("overflow-alternate");
    assert_eq!(status, 5);
    assert_no_crash(&report);
    let (report, status) = crash("overflow-default");
    assert_eq!(status as u64, 128 + SEGV);
    let stack = only_crash(&report)["stack"].as_array().expect("a stack");
    assert!(stack.iter().all(|frame| frame["function"] == "deeper"), "{report}");
}

#[test]
fn threads_and_children() {
    let (report, status) = crash("thread");
    assert_eq!(status as u64, 128 + SEGV);
    assert_eq!(only_crash(&report)["hint"], POISON);
    assert_stack(only_crash(&report));
    let (report, status) = crash("child");
    assert_eq!(status, 0);
    assert_stack(only_crash(&report));
    let child = report.processes().iter().find(|p| p["crash"].is_object()).expect("a child");
    assert_eq!((&child["ended"], &child["code"]), (&"signal".into(), &SEGV.into()), "{report}");
    // A vfork child's memory is its parent's, who did not crash.
    let (report, status) = crash("vfork");
    assert_eq!(status, 0);
    assert_no_crash(&report);
}

/// Several threads crash at once: the first is told, and the others do not end it before.
#[test]
fn threads_that_crash_together() {
    for _ in 0..repeats(10, 50) {
        let (report, status) = crash("threads");
        assert_eq!(status as u64, 128 + SEGV);
        assert_stack(only_crash(&report));
    }
}

#[test]
fn the_text_tells_it() {
    let run = Run::of(&Program::new("crash")).arg("poison-read");
    let outcome = run.under_deadwalk();
    for text in ["died of SIGSEGV reading 0x6b6b6b6b6b6b6b73", POISON, "crashing", "outer"] {
        assert!(outcome.stderr.contains(text), "{text}: {}", outcome.stderr);
    }
}
