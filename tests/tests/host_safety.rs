//! The host comes first: what deadwalk must never do to a program.

use deadwalk_tests::{Live, Program, Run, Severity::Error, Target, Tmpfs, is_root, skip};

#[test]
fn full_tmpfs_is_no_bus_error() {
    let Some(disk) = Tmpfs::mount("64k") else { return };
    disk.fill();
    let program = Program::new("killed");
    let run = Run::of(&program).args("20 _exit").option("-q");
    run.option("-o").option(disk.path()).under_deadwalk().assert_status(9);

    // Bare use, with the same folder.
    let run = Run::of(&program).args("20 _exit").env("LD_PRELOAD", Target::get().library());
    let options = format!("output={}", disk.path().display());
    run.env("DEADWALK_OPTIONS", options).plain().assert_status(9);
}

/// The disk fills up after the record was made: what was reserved is ours.
#[test]
fn tmpfs_that_fills_up_later() {
    let Some(disk) = Tmpfs::mount("16m") else { return };
    let script = r#"head -c 32M /dev/zero > "$1/filler"; shift; exec "$@""#;
    let run = Run::command(["sh", "-c", script, "sh"]).arg(disk.path());
    let run = run.arg(&Program::new("killed").path).args("20 _exit");
    run.option("-q").option("-o").option(disk.path()).under_deadwalk().assert_status(9);
}

#[test]
fn file_size_limit_is_no_sigxfsz() {
    for blocks in [0, 1, 40] {
        let script = format!(r#"ulimit -f {blocks}; exec "$@" > /dev/null 2>&1"#);
        let run = Run::command(["sh", "-c", &script, "sh"]).arg(&Program::new("killed").path);
        run.args("20 _exit").option("-q").under_deadwalk().assert_status(9);
    }
}

/// Nor does a line of ours on a stderr that is a file at its limit kill the program.
#[test]
fn file_size_limit_and_stderr_in_a_file() {
    let script = r#"ulimit -f 0; exec "$@" > /dev/null"#;
    let run = Run::command(["sh", "-c", script, "sh"]).arg(&Program::new("killed").path);
    run.args("20 _exit").option("-q").under_deadwalk().assert_status(9);
}

#[test]
fn address_limit_at_run_time() {
    let run = Run::of(&Program::new("address_limit"));
    let plain = run.plain().assert_status(0);
    let watched = run.watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    // On stderr there may be our line that the record could not grow.
    assert_eq!(watched.outcome.stdout, plain.stdout);
    watched.report.assert_clean();
}

#[test]
fn address_limit_at_start() {
    let script = r#"ulimit -v 2000000; exec "$@""#;
    let run = Run::command(["sh", "-c", script, "sh"]).arg(&Program::new("killed").path);
    run.args("20 _exit").option("-q").under_deadwalk().assert_status(9);
}

#[test]
fn descriptor_numbers_are_unchanged() {
    let run = Run::of(&Program::new("fd_numbers"));
    let plain = run.plain().assert_status(0);
    run.watched().assert_same(&plain);
}

/// A daemon that closed 0 to 2 and opened its own files there finds in them
/// what it wrote, whatever deadwalk had to say.
#[test]
fn daemons_files_are_left_alone() {
    for bare in [false, true] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = Run::of(&Program::new("daemon")).arg(folder.path());
        let outcome = if bare {
            run.env("LD_PRELOAD", Target::get().library()).plain()
        } else {
            run.under_deadwalk()
        };
        assert_eq!(outcome.status, 0, "{outcome:#?}");
        for fd in 0..3 {
            let file = folder.path().join(format!("file{fd}"));
            let text = std::fs::read_to_string(file).expect("the daemon's file");
            assert_eq!(text, "mine\n", "descriptor {fd}, bare {bare}");
        }
    }
}

/// LD_PRELOAD splits at spaces and colons.
#[test]
fn library_path_with_a_space_and_a_colon() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let odd = folder.path().join("a b:c");
    std::fs::create_dir(&odd).expect("our folder");
    let library = odd.join("libdeadwalk.so");
    std::fs::copy(Target::get().library(), &library).expect("our folder");
    let run = Run::of(&Program::new("killed")).args("20 _exit").env("DEADWALK_LIB", &library);
    let watched = run.watched();
    assert_eq!(watched.outcome.status, 9, "{:#?}", watched.outcome);
    assert_eq!(watched.report.counter("del.calls"), 20);
}

/// A preloaded library of the user's is kept, behind ours.
#[test]
fn other_preloads_are_kept() {
    let plugin = Program::with_flags("plugin", &["-shared", "-fPIC"]);
    let run = Run::command(["sh", "-c", r#"echo "$LD_PRELOAD""#]).env("LD_PRELOAD", &plugin.path);
    let watched = run.watched();
    let name = plugin.path.display().to_string();
    assert!(watched.outcome.stdout.trim_end().ends_with(&name), "{:#?}", watched.outcome);
    watched.report.assert_clean();
}

/// The first SIGINT reaches the program, and so does the second.
#[test]
fn two_interrupts() {
    // Whoever runs the tests in the background of a shell ignores it.
    // SAFETY: back to the default; this process installs no handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    let run = Run::of(&Program::new("interrupts")).option("-q");
    let mut live = Live::start(run.to_command());
    for line in ["ready", "first"] {
        assert_eq!(live.line(), line);
        live.signal(libc::SIGINT);
    }
    assert_eq!(live.line(), "second");
    assert_eq!(live.wait(), 5);
}

/// A child that cannot create its record counts in the parent's.
#[test]
fn changed_uid_then_fork() {
    if !is_root() {
        return skip("changing the uid takes root");
    }
    let run = Run::of(&Program::new("drops_root"));
    let plain = run.plain().assert_status(0);
    let watched = run.watched();
    assert_eq!(watched.outcome.status, 0);
    assert_eq!(watched.outcome.stdout, plain.stdout);
    let report = &watched.report;
    let lost: u64 = report
        .processes()
        .iter()
        .filter_map(|process| process["dropped"]["children"].as_u64())
        .sum();
    let counted = report.counter("del.while_running");
    assert_eq!(lost + counted, 1, "the child is counted or counted as lost: {report}");
}

/// The program dies of SIGPIPE as ever: no ignored signal is handed down.
#[test]
fn broken_pipe() {
    let run = Run::of(&Program::new("chatty")).option("-q");
    let mut live = Live::start(run.to_command());
    assert_eq!(live.line(), "a line");
    live.close_stdout();
    assert_eq!(live.wait(), 128 + libc::SIGPIPE);
}

/// Signal timers and silent ones pass through untouched, error codes included.
#[test]
fn signal_timers_pass_through() {
    let run = Run::of(&Program::new("signal_timers"));
    let watched = run.watched();
    watched.assert_same(&run.plain());
    watched.report.assert_clean();
}

/// Nothing of ours on the program's stdout, with findings and without.
#[test]
fn stdout_is_the_programs() {
    let run = Run::of(&Program::variant("mem_double_free", "BAD"));
    assert_eq!(run.under_deadwalk().assert_status(7).stdout, "");
    let run = Run::command(["cat", "/proc/self/status"]);
    assert!(run.under_deadwalk().assert_status(0).stdout.starts_with("Name:\tcat"));
}

/// Bare use: silent if nothing was found, at most three lines if something was.
#[test]
fn bare_use_is_terse() {
    let preload = Target::get().library();
    let bare = |variant| {
        let run = Run::of(&Program::variant("mem_double_free", variant));
        run.env("LD_PRELOAD", &preload).plain().assert_status(7)
    };
    assert_eq!(bare("FIXED").stderr, "");
    let lines = bare("BAD").stderr.lines().count();
    assert!((1..=3).contains(&lines), "{lines} lines");
}

/// libc's threads for handlers have every signal blocked, and the kernel kills a thread
/// that runs into a guard page so.
#[test]
fn a_handler_thread_survives_a_guard_page() {
    let run = Run::of(&Program::new("handler_guard"));
    let plain = run.plain().assert_status(0);
    let watched = run.watched();
    assert_eq!((watched.outcome.status, &watched.outcome.stdout), (0, &plain.stdout));
    watched.report.assert_kind("heap-buffer-overflow", Error);
}
