//! How many instructions a pair of malloc and free takes, as callgrind counts
//! them: what a stop watch cannot see on a busy machine.
//!
//! Whoever changes the fast paths writes the new numbers into [`RECORDED`]: the
//! test prints them (`cargo test --test instructions -- --nocapture`).

use deadwalk_tests::{Program, Target, find_tool, skip};
use std::path::Path;
use std::process::Command;

/// Bytes of the block; instructions of a pair, the loop's nine and the two jumps to
/// the library included.
///
/// Under valgrind, which has AVX2 but no AVX-512; every turn of a `rep stosb`
/// counts as an instruction there.
const RECORDED: &[(u32, f64)] = &[(16, 174.9), (64, 180.5), (256, 240.8), (1024, 1403.3)];

/// How much more is no regression, for compilers differ: this part of the number,
/// or so many instructions.
const TOLERANCE: f64 = 0.03;
const TOLERATED: f64 = 2.0;

/// Pairs of the shorter run: enough for the quarantine of every size to be full.
const PAIRS: u64 = 30_000;

#[test]
fn a_pair_takes_no_more_instructions_than_recorded() {
    let Some(valgrind) = find_tool("valgrind") else { return };
    if !std::is_x86_feature_detected!("avx2") {
        return skip("the numbers are those of AVX2");
    }
    let program = Program::with_flags("speed/pairs", &["-O2"]);
    let mut worse = vec![];
    println!("bytes  recorded  counted");
    for &(size, recorded) in RECORDED {
        let count = |pairs| instructions(&valgrind, &program, size, pairs) as f64;
        // What is not the pairs' own is in both runs.
        let counted = (count(2 * PAIRS) - count(PAIRS)) / PAIRS as f64;
        println!("{size:5}  {recorded:8.1}  {counted:7.1}");
        if counted > recorded + f64::max(recorded * TOLERANCE, TOLERATED) {
            worse.push(format!("{size} bytes: {counted:.1} instead of {recorded:.1}"));
        }
    }
    assert!(worse.is_empty(), "instructions of a pair: {}", worse.join(", "));
}

/// All instructions of a run with deadwalk preloaded.
fn instructions(valgrind: &Path, program: &Program, size: u32, pairs: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(valgrind)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(&program.path)
        .args([size.to_string(), pairs.to_string()])
        // The launcher gets them too, which does no harm.
        .env("LD_PRELOAD", Target::get().library())
        .env("DEADWALK_OPTIONS", format!("output='{}'", folder.path().display()))
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr);
    let total = text.lines().find_map(|line| line.split_once("Collected :"));
    assert!(output.status.success(), "{text}");
    total.and_then(|(_, total)| total.trim().parse().ok()).expect("callgrind says the total")
}
