//! `deadwalk report` on good, bad and many records.

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use deadwalk_detector::record::layout::VERSION;

use common::{Image, assert_one_line, deadwalk, file, folder, run, showit, status, stderr, stdout};

#[test]
fn text_and_json_of_a_record() {
    let folder = folder();
    let record = file(folder.path(), "1.dwrec", &showit(1).bytes);
    let text = run(&["report".as_ref(), record.as_os_str()]);
    assert_eq!(status(&text), 0);
    assert!(stdout(&text).contains("100 of 100 delete calls"));
    let json = run(&["report", "--format", "json", folder.path().to_str().expect("plain")]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(value["totals"]["del"]["while_running"], 100);
}

#[test]
fn bad_records_are_one_line_and_status_125() {
    let folder = folder();
    let report = |name: &str, bytes: &[u8]| {
        run(&["report".as_ref(), file(folder.path(), name, bytes).as_os_str()])
    };
    assert_one_line(&report("foreign", b"\x7fELF...."), 125, "not a deadwalk record");
    assert_one_line(&report("empty", b""), 125, "not a deadwalk record");
    let short = [b"DEADWALK".as_slice(), &VERSION.to_le_bytes()].concat();
    assert_one_line(&report("short", &short), 125, "cut off");
    let older = b"DEADWALK\x01\0\0\0";
    let refusal = format!("record version 1, this deadwalk reads {VERSION}");
    assert_one_line(&report("older", older), 125, &refusal);
    let mut newer = showit(1);
    newer.u32(8, 99);
    assert_one_line(&report("newer", &newer.bytes), 125, "newer deadwalk");
    assert_one_line(&run(&["report", "/nonexistent"]), 125, "/nonexistent");
    assert_one_line(&run(&["report", "/dev/zero"]), 125, "not a regular file");
    let empty = common::folder();
    let empty = run(&["report".as_ref(), empty.path().as_os_str()]);
    assert_one_line(&empty, 125, "no record files");
}

#[test]
fn html_sarif_and_explain_say_that_they_are_not_there_yet() {
    assert_one_line(&run(&["report", "--format", "html", "x"]), 125, "not available yet");
    assert_one_line(&run(&["report", "--format", "sarif", "x"]), 125, "not available yet");
    assert_one_line(&run(&["explain", "double-free"]), 125, "not available yet");
}

#[test]
fn one_readable_record_is_enough_and_the_rest_is_told() {
    let folder = folder();
    file(folder.path(), "1.dwrec", &showit(1).bytes);
    file(folder.path(), "2.dwrec", b"nonsense");
    file(folder.path(), "3.dwrec", &showit(3).bytes[..400_000]);
    let output = run(&["report".as_ref(), folder.path().as_os_str()]);
    assert_eq!(status(&output), 0);
    assert!(stdout(&output).contains("200 of 200 delete calls"));
    let lines = stderr(&output);
    assert!(lines.contains("2.dwrec: not a deadwalk record"), "{lines}");
    assert!(lines.contains("3.dwrec: cut off"), "{lines}");
}

/// A process that is killed as it starts leaves a file without a record.
#[test]
fn a_record_that_was_not_begun_is_no_problem_beside_others() {
    let folder = folder();
    file(folder.path(), "1.dwrec", &showit(1).bytes);
    file(folder.path(), "2.dwrec", b"");
    file(folder.path(), "3.dwrec", &[0; 8192]);
    let output = run(&["report".as_ref(), folder.path().as_os_str()]);
    assert_eq!((status(&output), stderr(&output).as_str()), (0, ""));
    assert!(stdout(&output).contains("100 of 100 delete calls"));
}

#[test]
fn a_reader_that_goes_away_and_a_full_disk_are_no_panic() {
    let folder = folder();
    let record = file(folder.path(), "1.dwrec", &showit(1).bytes);
    let mut command = deadwalk();
    command.arg("report").args(vec![&record; 500]).args(["--format", "json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("deadwalk starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((status(&output), stderr(&output).contains("panic")), (0, false));

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the device");
    let output = deadwalk().arg("report").arg(&record).stdout(full).output().expect("it runs");
    assert_one_line(&output, 125, "cannot write to stdout");
}

#[test]
fn colours_are_for_terminals_alone() {
    let folder = folder();
    let record = file(folder.path(), "1.dwrec", &showit(1).bytes);
    assert!(!stdout(&run(&["report".as_ref(), record.as_os_str()])).contains('\x1b'));
}

#[test]
fn ten_thousand_records_take_bounded_time_and_memory() {
    let folder = folder();
    for pid in 0..10_000 {
        file(folder.path(), &format!("{pid}.dwrec"), &Image::new(pid).bytes);
    }
    for pid in 10_000..10_020 {
        file(folder.path(), &format!("{pid}.dwrec"), &showit(pid).bytes);
    }
    // 256 MiB of address space: the records together have about that size.
    let script = "ulimit -v 262144; exec \"$0\" report --format json \"$1\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_deadwalk")])
        .arg(folder.path())
        .output()
        .expect("it runs");
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["processes"].as_array().map(Vec::len), Some(10_020));
    assert_eq!(value["totals"]["del"]["calls"], 2_000);
}
