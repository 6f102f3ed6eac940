//! C++ programs: their operators are ours, and behave as the standard library's.

use deadwalk_tests::Severity::Warning;
use deadwalk_tests::{Program, Report, Run, Watched, find_tool};
use std::path::PathBuf;

const MISMATCH: &str = "alloc-dealloc-mismatch";

fn has_cpp() -> bool {
    find_tool("c++").is_some()
}

/// With families checked.
fn checked(run: &Run) -> Watched {
    run.clone().env("DEADWALK_OPTIONS", "new_delete=on").watched()
}

/// Asserts that the run is the same plain, watched, and with families checked,
/// and that nothing is found.
#[track_caller]
fn assert_unchanged(run: &Run) {
    let plain = run.plain().assert_status(0);
    for watched in [run.watched(), checked(run)] {
        watched.assert_survived(&plain);
    }
}

#[track_caller]
fn mismatch_report(variant: &str) -> Report {
    let program = Program::cxx_with_flags("cpp_mismatch", &[&format!("-D{variant}")]);
    let watched = checked(&Run::of(&program));
    assert_eq!(watched.outcome.status, 7, "{variant}: {:#?}", watched.outcome);
    watched.report
}

/// Every pair of families, sizes, and every size of block, each once and with
/// both sites; the block is freed all the same.
#[test]
fn mismatches_are_named() {
    if !has_cpp() {
        return;
    }
    let words = [
        "a block of 4 bytes came from new and went to free",
        "a block of 100 bytes came from new[] and went to free",
        "a block of 4 bytes came from malloc and went to delete",
        "a block of 100 bytes came from malloc and went to delete[]",
        "a block of 4 bytes came from new and went to delete[]",
        "a block of 32 bytes came from new[] and went to delete",
        "a block of 100 bytes came from new[] and went to free",
        "a block of 40 bytes was given back by delete of 48",
        "a block of 64 bytes was given back by delete of 16",
        "a block of 1048576 bytes came from new[] and went to free",
        "a block of 104857600 bytes came from new[] and went to free",
        "a block of 64 bytes came from new and went to free",
        "a block of 30 bytes was given back by free of 31",
    ];
    for (number, message) in (1..).zip(words) {
        let report = mismatch_report(&format!("BAD={number}"));
        let finding = report.assert_kind(MISMATCH, Warning);
        assert_eq!(finding.count(), 1, "BAD={number}: {report}");
        assert_eq!(finding.text("message"), message, "BAD={number}: {report}");
        finding.assert_stack("alloc", "main");
        finding.assert_stack("access", "main");
        report.assert_only(&[MISMATCH]);
        assert_eq!(report.counter("heap.retired_slots"), 0, "BAD={number}: {report}");
    }
}

#[test]
fn what_goes_back_right_is_clean() {
    if !has_cpp() {
        return;
    }
    for variant in ["FIXED", "LOOKALIKE"] {
        mismatch_report(variant).assert_clean();
    }
}

/// Without the option nothing is said of families.
#[test]
fn families_are_no_matter_by_default() {
    if !has_cpp() {
        return;
    }
    for number in 1..=13 {
        let program = Program::cxx_with_flags("cpp_mismatch", &[&format!("-DBAD={number}")]);
        let watched = Run::of(&program).watched();
        assert_eq!(watched.outcome.status, 7, "BAD={number}: {:#?}", watched.outcome);
        watched.report.assert_clean();
    }
}

/// Containers, streams, threads, exceptions, arrays with cookies, bases with
/// virtual destructors.
#[test]
fn much_of_the_library_is_unchanged_and_clean() {
    if !has_cpp() {
        return;
    }
    for level in ["-O0", "-O2"] {
        let program = Program::cxx_with_flags("cpp_sample", &["-std=c++17", level]);
        assert_unchanged(&Run::of(&program));
    }
}

/// bad_alloc, bad_array_new_length, nothrow, and handlers that give up, throw or
/// give memory back, under a limit of the address space.
#[test]
fn without_memory_as_the_standard_has_it() {
    if has_cpp() {
        assert_unchanged(&Run::of(&Program::cxx("cpp_no_memory")));
    }
}

/// A program that replaces all operators, or some on which the library's others
/// are built, is asked as often as without us.
#[test]
fn programs_own_operators() {
    if !has_cpp() {
        return;
    }
    for pool in &POOLS[1..] {
        let program = Program::cxx_with_flags("cpp_own_operators", &[pool]);
        assert_unchanged(&Run::of(&program));
    }
}

/// The same of a library that the program is linked with.
#[test]
fn a_librarys_own_operators() {
    if !has_cpp() {
        return;
    }
    for pool in [POOLS[1], POOLS[3]] {
        let library = plugin(pool);
        let run_path = format!("-Wl,-rpath,{}", library.parent().expect("a folder").display());
        let path = library.to_str().expect("UTF-8");
        let flags = ["-Wl,--no-as-needed", path, &run_path];
        assert_unchanged(&Run::of(&Program::cxx_with_flags("cpp_linked", &flags)));
    }
}

/// A C program loads a C++ library, and the C++ library with it, where nobody
/// else sees them; without memory the standard's exceptions are thrown.
#[test]
fn plugins_of_a_program_in_c() {
    if !has_cpp() {
        return;
    }
    let host = Program::new("cpp_plugin_host");
    for pool in POOLS {
        let library = plugin(pool);
        let run = Run::of(&host).arg(&library).arg("plugin_use");
        assert_unchanged(&run);
        assert_unchanged(&run.arg(&library).arg("plugin_no_memory"));
    }
    // Two of them, of which one brings operators.
    let (bare, pool) = (plugin(POOLS[0]), plugin(POOLS[1]));
    let run = Run::of(&host).arg(&pool).arg("plugin_use").arg(&bare).arg("plugin_no_memory");
    assert_unchanged(&run);
}

/// The sites of a C++ program's blocks are its own, not the library's.
#[test]
fn sites_are_the_programs() {
    if !has_cpp() {
        return;
    }
    let program = Program::cxx("cpp_sites");
    let report = Run::of(&program).watched().report;
    let finding = report.assert_seen("double-free");
    for stack in ["alloc", "free", "access"] {
        let frames = finding.stack(stack);
        let first = frames.first().expect("a frame");
        assert_eq!(first.file_name(), Some("cpp_sites.cc"), "{stack}: {report}");
    }
}

/// What a program or a library replaces: nothing; the two operators that all
/// others call; one of them; those of arrays.
const POOLS: [&str; 5] = ["-DPOOL=0", "-DPOOL=1", "-DPOOL=2", "-DPOOL=3", "-DPOOL=4"];

fn plugin(pool: &str) -> PathBuf {
    Program::cxx_with_flags("cpp_plugin", &[pool, "-shared", "-fPIC"]).path
}
