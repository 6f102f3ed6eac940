//! Bad input: one clear line on stderr, the exit status of the specification,
//! and the program under test still runs to its end where one was given.

use deadwalk_tests::{Outcome, Program, Run, Target, Tmpfs, is_root, skip};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// An error of deadwalk itself.
const OURS: i32 = 125;
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// Where a record has its version: behind the 8 bytes of magic.
const VERSION_AT: usize = 8;

fn deadwalk(words: &[&str]) -> Outcome {
    let command = Target::get().command();
    words.iter().fold(Run::command([command]), |run, word| run.arg(word)).plain()
}

fn report_on(path: &Path) -> Outcome {
    Run::command([Target::get().command()]).args("report --format json").arg(path).plain()
}

#[test]
fn unknown_options() {
    deadwalk(&["run", "--no-such", "--", "true"]).assert_status(OURS).assert_one_line("--no-such");
    deadwalk(&["run", "--del", "maybe", "--", "true"]).assert_status(OURS).assert_one_line("maybe");
    deadwalk(&["run"]).assert_status(OURS);
    deadwalk(&["no-such-command"]).assert_status(OURS).assert_one_line("no-such-command");
    deadwalk(&["report", "--format", "runes", "."]).assert_status(OURS).assert_one_line("runes");
    deadwalk(&["report"]).assert_status(OURS);
}

/// What a later version brings is refused and named, not ignored.
#[test]
fn forms_of_later_versions() {
    deadwalk(&["explain", "double-free"]).assert_status(OURS).assert_one_line("explain");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("report");
    for format in ["html", "sarif"] {
        deadwalk(&["report", "--format", format, "."]).assert_status(OURS).assert_one_line(format);
        let option = format!("--{format}");
        let run = Run::command(["sh", "-c", "exit 3"]).option(&option).option(&file);
        run.under_deadwalk().assert_status(OURS).assert_says(format);
    }
}

/// The option variable is the program's environment: named, and passed over.
#[test]
fn bad_option_variables_do_not_stop_the_program() {
    for (options, culprit) in [
        ("no_such_key=1", "no_such_key"),
        ("del=maybe", "maybe"),
        ("tail_us=many", "many"),
        ("del", "del"),
        ("output='/unclosed", "DEADWALK_OPTIONS"),
    ] {
        let run = Run::of(&Program::variant("mem_double_free", "FIXED")).option("-q");
        let outcome = run.env("DEADWALK_OPTIONS", options).under_deadwalk();
        outcome.assert_status(7).assert_says(culprit);
    }
}

#[test]
fn missing_programs() {
    let run = Run::command(["/no/such/program"]);
    run.under_deadwalk().assert_status(NOT_FOUND).assert_one_line("/no/such/program");
    let run = Run::command(["no-such-program-on-the-path"]);
    run.under_deadwalk().assert_status(NOT_FOUND).assert_one_line("no-such-program-on-the-path");
}

#[test]
fn programs_that_cannot_be_executed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("plain-text");
    std::fs::write(&file, "no program\n").expect("our folder");
    let set_mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode));
    set_mode(0o644).expect("our file");
    let run = Run::command([&file]);
    run.under_deadwalk().assert_status(NOT_EXECUTABLE).assert_one_line("plain-text");
    let run = Run::command([folder.path()]);
    run.under_deadwalk().assert_status(NOT_EXECUTABLE);
}

#[test]
fn static_programs() {
    let program = Program::with_flags("mem_double_free", &["-static", "-DFIXED"]);
    let outcome = Run::of(&program).under_deadwalk();
    outcome.assert_status(7).assert_says("static");
}

/// The loader drops LD_PRELOAD for a set-id program: say so, count nothing.
#[test]
fn set_id_programs() {
    const NOBODY: u32 = 65534;
    if !is_root() {
        return skip("making a set-id program takes root");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("ours");
    let copy = folder.path().join("set-id");
    std::fs::copy(&Program::new("secure").path, &copy).expect("our folder");
    std::os::unix::fs::chown(&copy, Some(NOBODY), None).expect("our file");
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o4755)).expect("our file");
    let run = Run::command([&copy]);
    if run.plain().stdout != "secure: 1\n" {
        return skip("set-id programs are switched off on this file system");
    }
    let outcome = run.under_deadwalk().assert_status(7).assert_says("set-id");
    assert_eq!(outcome.stdout, "secure: 1\n");
}

#[test]
fn output_folders_that_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").expect("our folder");
    for output in [file.clone(), file.join("below"), PathBuf::from("/proc/deadwalk")] {
        let program = Program::variant("mem_double_free", "FIXED");
        let run = Run::of(&program).option("-q").option("-o").option(&output);
        let outcome = run.under_deadwalk().assert_status(7);
        outcome.assert_one_line(&output.display().to_string());
    }
    let run = Run::of(&Program::variant("mem_double_free", "FIXED")).option("-q");
    // The report that was asked for cannot be given: an error of ours.
    let outcome = run.option("--json").option(file.join("below")).under_deadwalk();
    outcome.assert_status(OURS).assert_one_line("below");
}

/// A full disk: the program runs to its end, and the counts are said to be
/// incomplete.
#[test]
fn full_disk() {
    let Some(disk) = Tmpfs::mount("64k") else { return };
    disk.fill();
    let run = Run::of(&Program::variant("posix/p1_free_running", "BAD")).option("-q");
    let outcome = run.option("-o").option(disk.path()).under_deadwalk().assert_status(0);
    outcome.assert_says("incomplete");
}

/// One real record, as bytes.
fn sound_record() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = Run::of(&Program::variant("posix/p1_free_running", "BAD")).option("-q");
    run.option("-o").option(folder.path()).under_deadwalk().assert_status(0);
    let mut files = std::fs::read_dir(folder.path()).expect("our folder").flatten();
    let record = files.next().expect("-o keeps a record");
    std::fs::read(record.path()).expect("our record")
}

/// Writes `bytes` as a record and reports on it.
fn report_on_bytes(bytes: &[u8]) -> Outcome {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("record");
    std::fs::write(&file, bytes).expect("our folder");
    report_on(&file)
}

/// An unreadable record: 125 and a line; one that is readable in part: 0 and a line.
#[track_caller]
fn assert_refused_or_partial(outcome: &Outcome) {
    assert!([0, OURS].contains(&outcome.status), "{outcome:#?}");
    assert!(!outcome.stderr.contains("panicked"), "{outcome:#?}");
    assert!(!outcome.stderr.is_empty(), "it says what is wrong: {outcome:#?}");
}

#[test]
fn truncated_records() {
    let record = sound_record();
    for length in [0, 1, 7, 8, 64] {
        report_on_bytes(&record[..length]).assert_status(OURS).assert_one_line("record");
    }
    for part in 1..8 {
        assert_refused_or_partial(&report_on_bytes(&record[..record.len() * part / 8]));
    }
}

#[test]
fn corrupt_records() {
    let record = sound_record();
    for first in (0..record.len()).step_by(record.len() / 16) {
        let mut bytes = record.clone();
        for byte in bytes.iter_mut().skip(first).take(64) {
            *byte ^= 0xff;
        }
        let outcome = report_on_bytes(&bytes);
        assert!([0, OURS].contains(&outcome.status), "at {first}: {outcome:#?}");
        assert!(!outcome.stderr.contains("panicked"), "at {first}: {outcome:#?}");
    }
}

#[test]
fn foreign_files() {
    let text = b"#!/bin/sh\necho no record\n".repeat(10_000);
    report_on_bytes(&text).assert_status(OURS).assert_one_line("record");
    report_on_bytes(&[0; 1 << 16]).assert_status(OURS).assert_one_line("record");
    report_on(Path::new("/dev/zero")).assert_status(OURS);
    report_on(Path::new("/no/such/record")).assert_status(OURS).assert_one_line("/no/such/record");
}

#[test]
fn records_of_a_newer_version() {
    let mut record = sound_record();
    record[VERSION_AT] = record[VERSION_AT].wrapping_add(1);
    report_on_bytes(&record).assert_status(OURS).assert_one_line("version");
}

#[test]
fn empty_folders() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let outcome = report_on(folder.path()).assert_status(OURS);
    outcome.assert_one_line(&folder.path().display().to_string());
}

/// A bad record beside a good one: the good one is read, the bad one named.
#[test]
fn bad_records_beside_good_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("good"), sound_record()).expect("our folder");
    std::fs::write(folder.path().join("foreign"), "no record\n").expect("our folder");
    let command = Run::command([Target::get().command()]).args("report --format json");
    let outcome = command.arg(folder.path().join("good")).arg(folder.path().join("foreign"));
    let outcome = outcome.plain().assert_status(0).assert_says("foreign");
    let report = deadwalk_tests::Report::parse(&outcome.stdout).expect("a report");
    assert_eq!(report.counter("del.while_running"), 1);
}

/// `--error-exitcode` replaces the program's status only if something was found.
#[test]
fn error_exit_codes() {
    for (variant, words, status) in [
        ("BAD", "--error-exitcode 99", 99),
        ("FIXED", "--error-exitcode 99", 7),
        ("BAD", "--error-exitcode 99 --fail-on warning", 99),
    ] {
        let run = Run::of(&Program::variant("mem_double_free", variant)).option("-q");
        let run = words.split(' ').fold(run, |run, word| run.option(word));
        run.under_deadwalk().assert_status(status);
    }
}
