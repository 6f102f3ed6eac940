//! Threads: how they end, how many there are, how little stack they have.

use deadwalk_tests::{Program, Run, SKIPPED, Severity, find_tool, repeats, skip};

#[test]
fn key_destructors_that_free_and_allocate() {
    let threads = repeats(100, 400);
    let run = Run::of(&Program::new("survive_thread_end")).arg("keys").arg(threads.to_string());
    let watched = run.assert_survives(0);
    // More destructors than keys: they ran again for what they had set.
    assert_eq!(watched.outcome.stdout, "destructors in rounds: 1\n");
}

#[test]
fn thread_local_objects_with_destructors() {
    if find_tool("c++").is_none() {
        return;
    }
    let watched = Run::of(&Program::cxx("survive_thread_local")).assert_survives(0);
    assert_eq!(watched.outcome.stdout, "made 400, gone 400, late 200\n");
}

/// 1,000 that are joined and 1,000 of which many are detached; their memory is
/// used again.
#[test]
fn short_threads() {
    let watched = Run::of(&Program::new("survive_thread_end")).arg("short").assert_survives(0);
    assert_eq!(watched.outcome.stdout, "threads 2000, memory stays: 1\n");
}

#[test]
fn stacks_of_16_kib() {
    let run = Run::of(&Program::new("survive_stacks"));
    if run.plain().status == SKIPPED {
        return skip("threads need larger stacks here");
    }
    let watched = run.assert_survives(0);
    assert_eq!(watched.outcome.stdout, "stack 16384, threads 16\n");
}

/// There is room for a finding, too: stack walked, record written.
#[test]
fn findings_on_stacks_of_16_kib() {
    let run = Run::of(&Program::new("survive_stacks"));
    if run.plain().status == SKIPPED {
        return skip("threads need larger stacks here");
    }
    let watched = run.arg("misuse").watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    assert_eq!(watched.outcome.stdout, "stack 16384, threads 16\n");
    assert_eq!(watched.report.count("double-free", Severity::Error), 16, "{}", watched.report);
    watched.report.assert_only(&["double-free"]);
}
