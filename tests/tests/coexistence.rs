//! Reads of freed memory in programs that use SIGSEGV and SIGTRAP themselves, block
//! signals, have small stacks, fork, or run under a debugger.

use deadwalk_tests::{Program, Run, SKIPPED, Target, find_tool};

const READ: &str = "use-after-free-read";

/// A run that ends with `status` and says `says`; how many reads it was told, and the
/// means of guarding.
#[track_caller]
fn assert_reads(how: &str, says: &str, told: u64) {
    let watched = Run::of(&Program::new("stale_handlers")).arg(how).watched();
    assert_eq!(watched.outcome.status, 0, "{how}: {:#?}", watched.outcome);
    assert_eq!(watched.outcome.stdout.trim_end(), says, "{how}");
    let reads = watched.report.of_kind(READ);
    let count: u64 = reads.iter().map(|read| read.count()).sum();
    assert_eq!(count, told, "{how}: {}", watched.report);
    for process in watched.report.processes() {
        assert!(process["crash"].is_null(), "{}", watched.report);
    }
}

#[test]
fn handlers_of_sigsegv() {
    assert_reads("before", "reads 2 wrong 0 faults 1 traps 0", 2);
    assert_reads("after", "reads 3 wrong 0 faults 1 traps 0", 3);
    assert_reads("nodefer", "reads 3 wrong 0 faults 1 traps 0", 3);
    assert_reads("signal", "reads 2 wrong 0 faults 2 traps 0", 2);
}

/// What is ours does not use a handler up.
#[test]
fn a_handler_for_one_fault() {
    assert_reads("reset-hand", "reads 7 wrong 0 faults 1 traps 0", 7);
}

#[test]
fn a_small_alternate_stack() {
    assert_reads("stack", "reads 2 wrong 0 faults 1 traps 0", 2);
}

#[test]
fn handlers_of_sigtrap() {
    assert_reads("trap", "reads 4 wrong 0 faults 0 traps 2", 4);
}

#[test]
fn threads_with_every_signal_blocked() {
    assert_reads("blocked", "reads 4 wrong 0 faults 0 traps 0", 4);
}

#[test]
fn a_fork_child_reads_what_its_parent_freed() {
    assert_reads("child", "child 4\nreads 1 wrong 0 faults 0 traps 0", 3);
}

#[test]
fn the_means_of_guarding_are_named() {
    let program = Program::new("stale_handlers");
    let run = Run::of(&program).arg("plain");
    let watched = run.watched();
    let means = watched.report.processes()[0]["guard_means"].as_str().expect("a means").to_owned();
    assert!(["madvise", "mprotect"].contains(&means.as_str()), "{means}");
    let text = run.under_deadwalk().stderr;
    let named = if means == "madvise" { "by the kernel's guards" } else { "by page protection" };
    assert!(text.contains(named), "{text}");
}

/// Where the kernel has no guards, protected pages do the same.
#[test]
fn without_the_kernels_guards() {
    let run = Run::of(&Program::new("no_guards")).arg(&Program::new("stale_handlers").path);
    let watched = run.arg("plain").watched();
    if watched.outcome.status == SKIPPED {
        return println!("skipped: no seccomp filters here");
    }
    assert_eq!(watched.outcome.stdout, "reads 5 wrong 0 faults 0 traps 0\n");
    let report = &watched.report;
    let protected = report.processes().iter().filter(|p| p["guard_means"] == "mprotect");
    assert_eq!(protected.count(), 1, "{report}");
    let count: u64 = report.of_kind(READ).iter().map(|read| read.count()).sum();
    assert_eq!(count, 5, "{report}");
}

/// Runs under gdb with these commands; what it says.
fn debugged(commands: &[&str]) -> Option<String> {
    let gdb = find_tool("gdb")?;
    let library = Target::get().library();
    let preload = format!("set environment LD_PRELOAD {}", library.display());
    let first = ["set debuginfod enabled off", preload.as_str()];
    let quiet = ["handle SIGSEGV nostop noprint pass", "set startup-with-shell off"];
    let mut run = Run::command([gdb]).args("-nx -batch");
    for command in first.iter().chain(&quiet).chain(commands) {
        run = run.arg("-ex").arg(command);
    }
    let outcome = run.arg("--args").arg(&Program::new("stale_handlers").path).arg("plain").plain();
    if outcome.stdout.contains("not permitted") || outcome.stderr.contains("not permitted") {
        println!("skipped: ptrace is not permitted here");
        return None;
    }
    Some(outcome.stdout + &outcome.stderr)
}

#[test]
fn under_a_debugger_with_breakpoints() {
    let commands = ["break read_freed", "run", "continue", "finish", "delete", "continue"];
    let Some(says) = debugged(&commands) else { return };
    assert!(says.contains("reads 5 wrong 0"), "{says}");
    assert!(says.contains("exited normally"), "{says}");
}

/// Steps over the reads themselves, which trap.
#[test]
fn under_a_debugger_step_by_step() {
    let mut commands = vec!["break read_freed", "run"];
    commands.extend(["stepi"; 40]);
    commands.extend(["delete", "continue"]);
    let Some(says) = debugged(&commands) else { return };
    assert!(says.contains("reads 5 wrong 0"), "{says}");
    assert!(says.contains("exited normally"), "{says}");
}
