//! What the tests of the command share.

#![allow(dead_code, missing_docs)]

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use deadwalk_detector::counters::Counter;
use deadwalk_detector::record::layout;
use deadwalk_detector::{Api, Consequence, Kind, Op, histogram};

#[path = "../../../src/record/reader/image.rs"]
mod image;

// Not every test makes records.
#[allow(unused_imports)]
pub use image::*;

/// A library that can be preloaded and does nothing: these tests are about the
/// command alone.
pub fn harmless_library() -> PathBuf {
    let folders = ["/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib"];
    let files = folders.iter().map(|folder| Path::new(folder).join("libm.so.6"));
    files.into_iter().find(|f| f.exists()).expect("libm lies in one of the usual folders")
}

/// The command, with the harmless library.
pub fn deadwalk() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deadwalk"));
    command.env("DEADWALK_LIB", harmless_library());
    command.env_remove("DEADWALK_OPTIONS").env_remove("DEADWALK_LOG").env_remove("LD_PRELOAD");
    command
}

/// Runs the command with these arguments.
pub fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Output {
    deadwalk().args(arguments).output().expect("deadwalk starts")
}

/// Exit status, with a signal's number as a negative one.
pub fn status(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(0))
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An error of deadwalk itself: its status, and one line that has `part`.
#[track_caller]
pub fn assert_one_line(output: &Output, code: i32, part: &str) {
    let text = stderr(output);
    assert_eq!(status(output), code, "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("deadwalk: ") && text.contains(part), "{text}");
    assert!(output.stdout.is_empty());
}

/// A temporary folder.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Writes a file and returns its path.
pub fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}
