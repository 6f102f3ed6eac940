//! Programs that give up system calls (seccomp) and allocate on: what glibc's heap
//! survives, ours does.

use deadwalk_tests::{Program, Run, SKIPPED, error, skip};

#[track_caller]
fn survive(mode: &str) {
    let run = Run::of(&Program::new("survive_sandbox")).arg(mode);
    let plain = run.plain();
    if plain.status == SKIPPED {
        return skip("seccomp is not to be had here");
    }
    assert_eq!((plain.status, &*plain.stdout), (5, "worked on\n"), "{plain:#?}");
    let watched = run.watched();
    watched.assert_same(&plain);
    watched.report.assert_clean();
}

/// No call but read, write, exit and the return of a handler: memory that is
/// there has to do.
#[test]
fn strict_mode() {
    survive("strict");
}

/// The same by a filter that kills the process, and a full `exit`.
#[test]
fn filters_without_a_call_for_memory() {
    survive("filter");
}

/// mmap, munmap and brk are allowed, and nothing of what else a heap may want.
#[test]
fn filters_for_libcs_heap() {
    survive("large");
}

/// A question to the kernel that it answers with EINVAL gives nothing up.
#[test]
fn a_refused_call_gives_nothing_up() {
    survive("probe");
}

/// A finding needs no system call either: it is in the record.
#[test]
fn findings_behind_a_filter() {
    let run = Run::of(&Program::new("survive_sandbox")).arg("filter");
    if run.plain().status == SKIPPED {
        return skip("seccomp is not to be had here");
    }
    let watched = run.arg("misuse").watched();
    assert_eq!(watched.outcome.status, 5, "{:#?}", watched.outcome);
    watched.report.assert_exactly(&[error("double-free"), error("heap-buffer-overflow")]);
}
