//! What kernel-style programs use beside timers: locks and slab.

use deadwalk_tests::{Program, Run, repeats};

const SLAB: &str = "filled 7, zeroed 7\ngrown 1, of nothing 1\nunique 1\nhuge 1 1 1 1 1\n\
                    cache 1 1 1, constructed 1 1\ndestroyed 1\n";

#[test]
fn spin_locks_keep_others_out() {
    let run = Run::of(&Program::kernel("kernel_lock"));
    let expected = "all, open 1, owner 0\nheld 1, again 0\nfree 1\n";
    for _ in 0..repeats(2, 10) {
        assert_eq!(run.plain().assert_status(0).stdout, expected);
    }
    let watched = run.watched();
    assert_eq!(watched.outcome.assert_status(0).stdout, expected);
    watched.report.assert_clean();
}

#[test]
fn readers_share_and_writers_do_not() {
    let run = Run::of(&Program::kernel("kernel_rwlock"));
    let expected = "all, open 1, owner 0, readers 0\n";
    for _ in 0..repeats(2, 10) {
        assert_eq!(run.plain().assert_status(0).stdout, expected);
    }
    let watched = run.watched();
    assert_eq!(watched.outcome.assert_status(0).stdout, expected);
    watched.report.assert_clean();
}

/// Both limits lie far beyond the test's patience: what ends the wait is the proof.
const PROOF_ONLY: &str = "deadlock_ms=3600000:deadlock_loops=4000000000";

/// A section, the big lock, a writer, a reader, and one reader of three.
#[test]
fn a_delete_under_a_lock_that_the_handler_wants_is_a_deadlock() {
    let program = Program::kernel("kernel_deadlock");
    for lock in ["section", "big", "writing", "reading", "shared"] {
        let run = Run::of(&program).arg(lock).env("DEADWALK_OPTIONS", PROOF_ONLY);
        for _ in 0..repeats(1, 10) {
            let watched = run.watched();
            assert_eq!(watched.outcome.assert_status(0).stdout, "deleted 0\n", "{lock}");
            watched.report.assert_only(&["del-deadlock"]);
            let deadlock = watched.report.assert_seen("del-deadlock");
            deadlock.assert_stack("del", "main");
            deadlock.assert_stack("handler", "handler");
        }
    }
}

#[test]
fn a_delete_that_can_end_is_no_deadlock() {
    let program = Program::kernel("kernel_deadlock");
    for lock in ["beside", "theirs"] {
        let run = Run::of(&program).arg(lock).env("DEADWALK_OPTIONS", PROOF_ONLY);
        for _ in 0..repeats(2, 10) {
            let watched = run.watched();
            assert_eq!(watched.outcome.assert_status(0).stdout, "deleted 0\n", "{lock}");
            watched.report.assert_clean();
        }
    }
}

#[test]
fn a_fork_child_is_in_no_section() {
    let run = Run::of(&Program::kernel("kernel_fork"));
    let expected = "before 0 0\nchild 0, parent 1\n";
    assert_eq!(run.plain().assert_status(0).stdout, expected);
    let watched = run.watched();
    assert_eq!(watched.outcome.assert_status(0).stdout, expected);
    watched.report.assert_clean();
}

#[test]
fn slab_memory_is_filled() {
    let run = Run::of(&Program::kernel("kernel_slab"));
    assert_eq!(run.plain().assert_status(0).stdout, SLAB);
    let watched = run.watched();
    assert_eq!(watched.outcome.assert_status(0).stdout, SLAB);
    watched.report.assert_clean();
}

/// The caller of kmalloc and kfree is the site, not something of ours.
#[test]
fn slab_blocks_know_their_sites() {
    let program = Program::kernel_with_flags("kernel_slab", &["-DBAD", "-O0"]);
    let watched = Run::of(&program).watched();
    assert_eq!(watched.outcome.stdout, SLAB);
    watched.report.assert_only(&["double-free"]);
    let finding = watched.report.assert_seen("double-free");
    finding.assert_stack("alloc", "obtain");
    finding.assert_stack("free", "release");
    finding.assert_stack("access", "release");
}
