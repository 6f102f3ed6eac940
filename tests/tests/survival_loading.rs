//! What is loaded beside deadwalk, before it and after it: plugins, early and
//! late constructors, and other heaps.

use deadwalk_tests::{Outcome, Program, Report, Run, Target, find_tool, skip};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

fn library() -> Program {
    Program::library("survive_library", &["-Wl,-init,survive_init"])
}

#[track_caller]
fn assert_loads(mode: &str, times: u32, well: u32) {
    let run = Run::of(&Program::new("survive_load_library")).arg(&library().path).arg(mode);
    let watched = run.arg(times.to_string()).assert_survives(0);
    assert_eq!(watched.outcome.stdout, format!("loaded {times} times, well {well}\n"));
}

#[test]
fn plugins_that_allocate_as_they_come_and_go() {
    assert_loads("plain", 100, 200);
}

/// Loaded so, a library finds libc's malloc before a preloaded one.
#[test]
fn plugins_bound_deeply() {
    assert_loads("deepbind", 100, 200);
}

#[test]
fn plugins_in_a_namespace_of_their_own() {
    assert_loads("namespace", 10, 10);
}

/// A linked library's constructors run before a preloaded one's; what it gives
/// to `on_exit` there runs after everything else.
#[test]
fn constructors_before_ours_and_handlers_after_our_end() {
    let flags = ["-Wl,-init,survive_init", "-DLAST_WORDS"];
    let library = Program::library("survive_library", &flags);
    let path = library.path.to_str().expect("the target folder's name is text");
    let run = Run::of(&Program::with_flags("survive_early_late", &["-Wl,--no-as-needed", path]));
    let watched = run.assert_survives(0);
    let lines: Vec<_> = watched.outcome.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "watched before the library's constructor: 0",
            "handler ran",
            "program's destructor ran",
            "last words"
        ]
    );
}

/// The libraries as LD_PRELOAD names them, ours among them, and a report all the
/// same.
#[track_caller]
fn preloaded(libraries: &[&Path]) -> (Outcome, Report) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut list = OsString::new();
    for library in libraries {
        list.push(library);
        list.push(":");
    }
    let run = Run::of(&Program::new("survive_chain")).env("LD_PRELOAD", &list);
    let options = format!("output={}", folder.path().display());
    let outcome = run.env("DEADWALK_OPTIONS", options).plain();
    let command = Target::get().command();
    let report = Run::command([command]).args("report --format json").arg(folder.path()).plain();
    (outcome, Report::parse(&report.stdout).expect("a report"))
}

/// Whose heap serves a program under these libraries, ours being `ours`.
#[track_caller]
fn assert_chain(libraries: &[&Path], ours_serves: bool, says: &str) {
    let (outcome, report) = preloaded(libraries);
    assert_eq!(outcome.stdout, says, "{libraries:?}: {outcome:#?}");
    assert_eq!((outcome.status, &*outcome.stderr), (0, ""), "{libraries:?}: {outcome:#?}");
    report.assert_clean();
    let serves = report.counter("heap.allocs") > 1000;
    assert_eq!(serves, ours_serves, "{libraries:?}: {report}");
}

#[test]
fn an_interposer_before_ours_and_after() {
    let interposer = Program::library("survive_interpose", &[]).path;
    let ours = Target::get().library();
    // Its calls go through to ours, or never reach it.
    assert_chain(&[&interposer, &ours], true, "child 0, interposer called: 1\n");
    assert_chain(&[&ours, &interposer], true, "child 0, interposer called: 0\n");
}

/// The first heap is the one that serves, and the other one is no matter.
#[test]
fn other_heaps_before_ours_and_after() {
    let ours = Target::get().library();
    let mut found = false;
    for name in ["libjemalloc.so.2", "libmimalloc.so.2", "libtcmalloc_minimal.so.4"] {
        let Some(other) = shared_library(name) else { continue };
        found = true;
        assert_chain(&[&ours, &other], true, "child 0\n");
        assert_chain(&[&other, &ours], false, "child 0\n");
    }
    if !found {
        skip("no other heap is installed");
    }
}

fn shared_library(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let found =
        folders.iter().map(|folder| Path::new(folder).join(name)).find(|file| file.exists());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// Compiled with `-lNAME`: symbols of the preloaded heap come first.
#[test]
fn programs_that_link_another_heap() {
    for name in ["jemalloc", "tcmalloc_minimal", "tcmalloc", "mimalloc"] {
        if shared_library(&format!("lib{name}.so")).is_none() {
            continue;
        }
        let link = format!("-l{name}");
        let run = Run::of(&Program::with_flags("survive_chain", &["-Wl,--no-as-needed", &link]));
        let watched = run.assert_survives(0);
        assert_eq!(watched.outcome.stdout, "child 0\n");
        assert!(watched.report.counter("heap.allocs") > 1000, "{name}: {}", watched.report);
    }
}

/// C++ objects too, whose operators the linked heap has: jemalloc's `delete` calls
/// our `free` for what its `new` made.
#[test]
fn cpp_programs_that_link_another_heap() {
    if find_tool("c++").is_none() {
        return;
    }
    for name in ["jemalloc", "tcmalloc_minimal", "mimalloc"] {
        if shared_library(&format!("lib{name}.so")).is_none() {
            continue;
        }
        let link = format!("-l{name}");
        let program =
            Program::cxx_with_flags("survive_thread_local", &["-Wl,--no-as-needed", &link]);
        Run::of(&program).assert_survives(0);
    }
}

/// Blocks made by functions that we do not have are the other heap's, and freed
/// there.
#[test]
fn programs_that_mix_another_heaps_functions_with_libcs() {
    for (name, define) in
        [("jemalloc", "JEMALLOC"), ("tcmalloc_minimal", "TCMALLOC"), ("mimalloc", "MIMALLOC")]
    {
        if shared_library(&format!("lib{name}.so")).is_none() {
            continue;
        }
        let flags = [&format!("-D{define}"), "-Wl,--no-as-needed", &format!("-l{name}")];
        let watched = Run::of(&Program::with_flags("survive_other_api", &flags)).assert_survives(0);
        assert_eq!(watched.outcome.stdout, "blocks 300\n");
    }
}
