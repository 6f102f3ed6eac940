//! Programs that give up system calls (seccomp) and allocate on: what glibc's heap
//! survives, ours does.

use deadwalk_tests::{Program, Run, SKIPPED, skip};

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
