//! Processes that come and go while the heap is busy: children of every sort,
//! daemons, other programs in our place, and what a process does to itself.

use deadwalk_tests::{Outcome, Program, Run, SKIPPED, Watched, is_root, repeats, skip};

fn program(name: &str) -> Run {
    Run::of(&Program::new(name))
}

/// Each child has a record of its own, so it is known to have been there.
#[track_caller]
fn assert_processes(watched: &Watched, at_least: u32) {
    let processes = watched.report.processes().len();
    assert!(processes >= at_least as usize, "{processes} of {at_least}: {}", watched.report);
}

#[test]
fn fork_out_of_allocating_threads() {
    let children = repeats(100, 1000);
    let watched = program("survive_fork").arg(children.to_string()).assert_survives(0);
    let expected = format!("children {children}, well {children}, threads worked 1\n");
    assert_eq!(watched.outcome.stdout, expected);
    assert_processes(&watched, children + children / 16);
}

#[test]
fn vfork_children_that_allocate_in_their_parents_memory() {
    let children = repeats(100, 1000);
    let watched = program("survive_vfork").arg(children.to_string()).assert_survives(0);
    let all = children + 20;
    assert_eq!(watched.outcome.stdout, format!("children {all}, well {all}\n"));
    // Those that exec are watched; a vfork child itself has no record.
    assert_processes(&watched, 21);
}

/// Registered before the heap's own handlers and after them.
#[test]
fn fork_handlers_that_allocate() {
    let forks = repeats(20, 100);
    let watched = program("survive_atfork").arg(forks.to_string()).assert_survives(0);
    for place in 0..3 {
        let line = format!("place {place}: prepared {forks}, in the parent {forks}\n");
        assert!(watched.outcome.stdout.contains(&line), "{:#?}", watched.outcome);
    }
    assert!(watched.outcome.stdout.contains(&format!("children well {forks}\n")));
    assert_processes(&watched, forks + 1);
}

#[test]
fn spawned_children() {
    let children = repeats(20, 100);
    let watched = program("survive_spawn").arg(children.to_string()).assert_survives(0);
    let line = format!("children {children}, well {children}; popen: through a shell\n");
    assert!(watched.outcome.stdout.starts_with(&line), "{:#?}", watched.outcome);
    assert_processes(&watched, children / 2 + 1);
}

#[test]
fn daemons() {
    let watched = program("survive_daemon").assert_survives(0);
    assert!(watched.outcome.stdout.contains("daemon: "), "{:#?}", watched.outcome);
    assert_processes(&watched, 3);
}

/// A static program cannot be watched; what it execs in turn is.
#[test]
fn exec_of_a_static_program_and_back() {
    let fixed = Program::with_flags("survive_static", &["-static"]);
    let dynamic = Program::new("survive_static");
    let run = Run::of(&dynamic).arg(&fixed.path).arg(&dynamic.path).env("HANDED_DOWN", "yes");
    let watched = run.assert_survives(4);
    for stage in 0..3 {
        let line = format!("stage {stage}: variable yes\n");
        assert!(watched.outcome.stdout.contains(&line), "{:#?}", watched.outcome);
    }
    assert_processes(&watched, 2);
}

/// Nothing of ours is found in a new root, so a line on stderr says that the
/// child there is not counted.
#[test]
fn another_root_and_another_user() {
    if !is_root() {
        return skip("chroot takes root");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = program("survive_chroot").arg(folder.path());
    let plain = run.plain();
    if plain.status == SKIPPED {
        return skip("chroot is not allowed here");
    }
    let watched = run.watched();
    assert_eq!(plain.stdout, "root is empty: 1, child 6\n");
    assert_eq!((watched.outcome.status, &watched.outcome.stdout), (0, &plain.stdout));
    watched.report.assert_clean();
    assert!(watched.report.counter("heap.allocs") > 300, "{}", watched.report);
}

#[track_caller]
fn oddity(what: &str) -> Option<Watched> {
    let run = program("survive_oddity").arg(what);
    if run.plain().status == SKIPPED {
        skip(&format!("{what} is not allowed here"));
        return None;
    }
    let watched = run.assert_survives(0);
    let told = format!("{what}: child 8\n");
    assert!(watched.outcome.stdout.starts_with(&told), "{:#?}", watched.outcome);
    Some(watched)
}

#[test]
fn all_descriptors_closed() {
    oddity("close");
}

/// Memory that may not leave: the heap cannot give pages back.
#[test]
fn all_memory_locked() {
    oddity("mlock");
}

#[test]
fn no_huge_pages() {
    oddity("thp");
}

#[test]
fn undumpable() {
    oddity("dumpable");
}

#[test]
fn a_small_stack_limit() {
    oddity("stack");
}

#[test]
fn a_limit_set_by_another_process() {
    oddity("outside");
}

#[test]
fn no_more_processes() {
    oddity("nproc");
}

/// The child that is exec'ed without our variables is not watched, and well.
#[test]
fn a_cleared_environment() {
    oddity("environment");
}

/// Without a descriptor left nothing can be loaded, so the child's exec fails,
/// plain and watched; the loader names our library too.
#[test]
fn no_descriptor_left() {
    let run = program("survive_oddity").arg("nofile");
    let plain = run.plain().assert_status(0);
    let watched = run.watched();
    assert_eq!((watched.outcome.status, &watched.outcome.stdout), (0, &plain.stdout));
    assert_eq!(plain.stdout, "nofile: child 127\n");
    watched.report.assert_clean();
}

/// Runs a shell line that execs the program as `"$@"`.
fn through_shell(line: &str, run: &Program, args: &str) -> Run {
    Run::command(["sh", "-c", line, "sh"]).arg(&run.path).args(args)
}

#[test]
fn shells_that_set_limits() {
    let program = Program::new("survive_chain");
    for line in [
        r#"ulimit -v 1000000; exec "$@""#,
        r#"ulimit -s 256; "$@"; exec "$@""#,
        r#"ulimit -c 0 -n 64; exec "$@""#,
        r#"ulimit -d 500000; "$@" | cat"#,
    ] {
        let watched = through_shell(line, &program, "").assert_survives(0);
        assert!(watched.outcome.stdout.starts_with("child 0"), "{line}: {:#?}", watched.outcome);
    }
}

/// With an unlimited stack the kernel lays mappings out from the bottom up, in
/// the middle of the addresses that the heap chooses from.
#[test]
fn legacy_layout_and_no_randomisation() {
    let program = Program::new("survive_map_fixed");
    for _ in 0..repeats(3, 10) {
        through_shell(r#"ulimit -s unlimited; exec "$@""#, &program, "").assert_survives(0);
    }
    let plain_layout = Run::command(["setarch", "-R"]).arg(&program.path);
    let Outcome { status, .. } = plain_layout.plain();
    if status != 0 {
        return skip("setarch -R does not work here");
    }
    plain_layout.assert_survives(0);
}
