//! `deadwalk run`: statuses, signals, folders, what is said when nothing was
//! seen. The library is a harmless one; the tests of the whole preload ours.

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Stdio};

use common::{assert_one_line, deadwalk, file, folder, run, showit, status, stderr, stdout};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;

#[test]
fn the_status_is_the_command_s() {
    assert_eq!(status(&run(&["run", "-q", "--", "sh", "-c", "exit 7"])), 7);
    assert_eq!(status(&run(&["run", "-q", "true"])), 0);
    assert_eq!(status(&run(&["run", "-q", "sh", "-c", "kill -9 $$"])), 128 + 9);
    assert_eq!(status(&run(&["run", "-q", "sh", "-c", "kill -SEGV $$"])), 128 + 11);
}

#[test]
fn stdin_and_stdout_are_the_command_s() {
    let output = run(&["run", "-q", "echo", "--json", "x"]);
    assert_eq!(stdout(&output), "--json x\n");
}

#[test]
fn what_cannot_run_says_so() {
    let folder = folder();
    assert_one_line(&run(&["run", "/nonexistent/prog"]), 127, "cannot run /nonexistent/prog");
    assert_one_line(&run(&["run", "no-such-program-at-all"]), 127, "cannot run");
    assert_one_line(&run(&["run", ""]), 127, "cannot run");
    let plain = file(folder.path(), "plain", b"not executable");
    assert_one_line(&run(&["run".as_ref(), plain.as_os_str()]), 126, "cannot run");
    assert_one_line(&run(&["run".as_ref(), folder.path().as_os_str()]), 126, "cannot run");
    let broken = file(folder.path(), "broken", b"\x7fELF\x02\x01\x01");
    std::fs::set_permissions(&broken, PermissionsExt::from_mode(0o755)).expect("mode");
    assert_ne!(status(&run(&["run".as_ref(), broken.as_os_str()])), 0);
}

#[test]
fn a_script_without_an_interpreter_line_is_the_shell_s() {
    let folder = folder();
    let script = file(folder.path(), "script", b"echo $1; exit 3\n");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("mode");
    let output = run(&["run".as_ref(), "-q".as_ref(), script.as_os_str(), "word".as_ref()]);
    assert_eq!((status(&output), stdout(&output).as_str()), (3, "word\n"));
}

#[test]
fn usage_errors_are_125() {
    assert_one_line(&run(&["run", "--bogus", "true"]), 125, "--bogus");
    assert_one_line(&run(&["run"]), 125, "CMD");
    assert_one_line(&run(&["run", "--del", "never", "true"]), 125, "async, sync, running");
    assert_one_line(&run(&["run", "--provoke", "50,", "true"]), 125, "US,SEED");
    assert_one_line(&run(&["run", "--sarif", "f", "true"]), 125, "not available yet");
    assert_eq!(status(&run(&["--help"])), 0);
    assert!(stdout(&run(&["--version"])).starts_with("deadwalk "));
}

#[test]
fn a_missing_library_is_an_error_of_ours() {
    let output = deadwalk().env("DEADWALK_LIB", "/nonexistent").args(["run", "true"]).output();
    assert_one_line(&output.expect("it runs"), 125, "DEADWALK_LIB: no library at /nonexistent");
}

#[test]
fn a_library_path_with_a_space_and_a_colon_is_linked() {
    let folder = folder();
    let library = folder.path().join("a b:c.so");
    symlink(common::harmless_library(), &library).expect("a link");
    // canonicalize follows the link: a copy keeps the odd path.
    std::fs::remove_file(&library).expect("removed");
    std::fs::copy(common::harmless_library(), &library).expect("a copy");
    let mut command = deadwalk();
    command.env("DEADWALK_LIB", &library).env("LD_PRELOAD", common::harmless_library());
    let output =
        command.args(["run", "-q", "sh", "-c", "echo $LD_PRELOAD"]).output().expect("runs");
    let preload = stdout(&output);
    let (ours, theirs) = preload.trim().split_once(':').expect("two libraries");
    assert!(!ours.contains(' ') && ours.ends_with("libdeadwalk.so"), "{preload}");
    assert_eq!(theirs, common::harmless_library().to_str().expect("plain"));
    assert!(!stderr(&output).contains("cannot be preloaded"), "{}", stderr(&output));
    assert!(!std::path::Path::new(ours).exists(), "the link goes with the temporary folder");
}

#[test]
fn options_are_merged_and_the_command_line_wins() {
    let folder = folder();
    let kept = folder.path().join("a:b 'c");
    let mut command = deadwalk();
    command.env("DEADWALK_OPTIONS", "del=async:tail_us=70");
    command.args(["run", "-q", "--del", "sync", "-o"]).arg(&kept);
    let output = command.args(["sh", "-c", "echo $DEADWALK_OPTIONS"]).output().expect("runs");
    let text = stdout(&output);
    let mut options = deadwalk_detector::options::Options::default();
    options.apply(text.trim_end(), |problem| panic!("{problem:?}"));
    assert_eq!((options.del.name(), options.tail_us), ("sync", 70));
    assert_eq!(options.output, kept.canonicalize().expect("it is there").to_str());
    assert_eq!(kept.metadata().expect("kept").permissions().mode() & 0o777, 0o700);
}

#[test]
fn every_delete_policy_reaches_the_command() {
    for policy in ["async", "sync", "running"] {
        let output = run(&["run", "-q", "--del", policy, "sh", "-c", "echo $DEADWALK_OPTIONS"]);
        let text = stdout(&output);
        let mut options = deadwalk_detector::options::Options::default();
        options.apply(text.trim_end(), |problem| panic!("{problem:?}"));
        assert_eq!(options.del.name(), policy);
    }
}

#[test]
fn an_unwritable_output_folder_is_one_line_and_the_command_runs() {
    for wanted in ["/proc/none", "/dev/null", "/dev/null/x"] {
        let output = run(&["run", "-q", "-o", wanted, "sh", "-c", "exit 5"]);
        assert_eq!(status(&output), 5);
        let text = stderr(&output);
        assert!(text.starts_with(&format!("deadwalk: cannot write to {wanted}")), "{text}");
    }
}

#[test]
fn an_unwritable_json_file_is_one_line_and_125_after_the_command() {
    let output = run(&["run", "-q", "--json", "/nonexistent/x", "sh", "-c", "echo ran; exit 5"]);
    assert_eq!((status(&output), stdout(&output).as_str()), (125, "ran\n"));
    assert!(stderr(&output).starts_with("deadwalk: cannot write /nonexistent/x"));
    let output = run(&["run", "-q", "--json", "/dev/full", "true"]);
    assert_eq!(status(&output), 125);
    assert!(stderr(&output).contains("cannot write /dev/full"));
}

#[test]
fn a_run_without_a_temporary_folder_goes_on() {
    let mut command = deadwalk();
    command.env("TMPDIR", "/nonexistent").args(["run", "-q", "sh", "-c", "exit 4"]);
    let output = command.output().expect("it runs");
    assert_eq!(status(&output), 4);
    assert!(stderr(&output).contains("cannot make a temporary folder"), "{}", stderr(&output));
}

#[test]
fn nothing_seen_is_never_silence() {
    let text = stderr(&run(&["run", "true"]));
    assert!(text.contains("true left no record, nothing was seen: "), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn records_are_reported_kept_and_counted_for_the_status() {
    let folder = folder();
    let record = file(folder.path(), "image", &showit(1).bytes);
    let kept = folder.path().join("kept");
    let json = folder.path().join("report.json");
    let script = format!("cp {} {}/1.dwrec", record.display(), kept.display());
    let mut command = deadwalk();
    command.arg("run").arg("-o").arg(&kept).arg("--json").arg(&json);
    let output = command.args(["--error-exitcode", "9", "sh", "-c", &script]).output();
    let output = output.expect("it runs");
    assert_eq!(status(&output), 9, "{}", stderr(&output));
    assert!(stderr(&output).contains("100 of 100 delete calls"));
    assert!(stderr(&output).contains("only of its children"));
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(json).expect("written")).expect("JSON");
    assert_eq!(json["totals"]["del"]["calls"], 100);
    assert!(kept.join("1.dwrec").exists());
    // The next run in the same folder reports its own records only.
    let mut command = deadwalk();
    command.arg("run").arg("-o").arg(&kept).args(["--error-exitcode", "9", "true"]);
    let output = command.output().expect("it runs");
    assert_eq!(status(&output), 0, "{}", stderr(&output));
}

/// Starts a shell script under deadwalk and waits until it says `ready`.
fn start(
    script: &str,
    temporary: &std::path::Path,
) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = deadwalk();
    command.env("TMPDIR", temporary).args(["run", "-q", "sh", "-c", script]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("deadwalk starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    (child, lines)
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("it lives");
}

/// A shell starts what runs in the background with SIGINT ignored, nohup(1) with SIGHUP;
/// and a shell that finds a signal ignored cannot trap it: the tests' own process must
/// not ignore them.
fn heed_signals() {
    for number in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM, Signal::SIGUSR1] {
        // SAFETY: back to the default; this process installs no handler.
        unsafe { signal(number, SigHandler::SigDfl) }.expect("a valid signal");
    }
}

#[test]
fn signals_are_forwarded_once() {
    heed_signals();
    // A shell sees signals between two commands: short sleeps make many of those.
    let script = "n=0; trap 'n=$((n+1))' TERM INT HUP QUIT USR1 USR2; echo ready; \
                  i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done; exit $((40 + n))";
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        let folder = folder();
        let (mut child, _lines) = start(script, folder.path());
        send(&child, signal);
        assert_eq!(child.wait().expect("it ends").code(), Some(41), "{signal}");
    }
}

#[test]
fn a_deadly_signal_s_status_is_128_and_its_number_and_the_folder_goes() {
    let folder = folder();
    let (mut child, _lines) = start("echo ready; exec sleep 100", folder.path());
    assert_eq!(folder.path().read_dir().expect("readable").count(), 1);
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(128 + 15));
    assert_eq!(folder.path().read_dir().expect("readable").count(), 0);
}

#[test]
fn a_second_interrupt_leaves_no_folder_behind() {
    heed_signals();
    let folder = folder();
    let script = "trap 'sleep 0.3; exit 3' INT; echo ready; while :; do sleep 0.05; done";
    let (mut child, _lines) = start(script, folder.path());
    for _ in 0..3 {
        send(&child, Signal::SIGINT);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
    assert_eq!(folder.path().read_dir().expect("readable").count(), 0);
}

#[test]
fn a_key_on_the_terminal_interrupts_once() {
    heed_signals();
    let keys = "(sleep 0.7; printf '\\003'; sleep 1.5) | script -qec \"$0\" /dev/null";
    let inner = "n=0; trap 'n=$((n+1))' INT; i=0; \
                 while [ $i -lt 30 ]; do sleep 0.05; i=$((i+1)); done; echo got=$n";
    let folder = folder();
    let script = file(folder.path(), "script.sh", inner.as_bytes());
    let line = format!("{} run -q sh {}", env!("CARGO_BIN_EXE_deadwalk"), script.display());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", keys, &line]).env("DEADWALK_LIB", common::harmless_library());
    let output = command.output().expect("it runs");
    if stderr(&output).contains("not found") {
        eprintln!("skipped: script(1) is not there");
        return;
    }
    assert!(stdout(&output).contains("got=1"), "{} {}", stdout(&output), stderr(&output));
}

#[test]
fn ignored_signals_stay_ignored() {
    let script = "trap '' HUP CHLD; exec \"$0\" run -q sh -c 'kill -HUP $$; exit 6'";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_deadwalk")]);
    command.env("DEADWALK_LIB", common::harmless_library());
    assert_eq!(status(&command.output().expect("it runs")), 6);
}
