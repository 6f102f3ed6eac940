//! What kernel-style programs use beside timers: spin locks and slab.

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
