//! The C headers: every generation of the timer interface, every standard, both
//! compilers, beside the C library's own headers.

use deadwalk_tests::{Outcome, Program, Run, Target, find_tool};
use std::path::{Path, PathBuf};
use std::process::Command;

const STANDARDS: [&str; 5] = ["gnu89", "gnu99", "gnu11", "gnu17", "gnu2x"];

/// What does not call anything but the C library and us.
const PROGRAMS: [&str; 6] = [
    "kernel_2_4",
    "kernel_2_6",
    "kernel_4_15",
    "kernel_mixed",
    "kernel_own_list",
    "kernel_own_names",
];

/// The same, and they check what the names mean: their status is 0.
const NAMES: [&str; 8] = [
    "kernel_names",
    "kernel_ticks",
    "kernel_locks",
    "kernel_lists",
    "kernel_module",
    "kernel_counts",
    "kernel_bits",
    "kernel_cleanup",
];

/// gcc and, if it is installed, clang.
fn compilers() -> Vec<PathBuf> {
    ["gcc", "clang"].into_iter().filter_map(find_tool).collect()
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(name).with_extension("c")
}

/// Compiles to an object, with every warning an error.
#[track_caller]
fn compile(compiler: &Path, name: &str, flags: &[&str], object: &Path) {
    let output = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-c"])
        .args(flags)
        .args(Program::include_flags())
        .arg(source(name))
        .arg("-o")
        .arg(object)
        .output()
        .expect("the compiler runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {flags:?} {name}:\n{errors}", compiler.display());
}

#[test]
fn every_generation_compiles_under_every_standard() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = folder.path().join("object.o");
    for compiler in compilers() {
        for standard in STANDARDS {
            let standard = format!("-std={standard}");
            for name in PROGRAMS.into_iter().chain(NAMES) {
                compile(&compiler, name, &[&standard, "-O1"], &object);
                // As the kernel is compiled: `index` is no function there.
                let flags = [&standard, "-O0", "-Wshadow", "-fno-builtin"];
                compile(&compiler, name, &flags, &object);
            }
        }
    }
}

#[test]
fn the_c_librarys_headers_work_before_and_after_ours() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = folder.path().join("object.o");
    for compiler in compilers() {
        for standard in STANDARDS {
            let standard = format!("-std={standard}");
            for order in ["-DOURS_FIRST", "-DTHEIRS_FIRST"] {
                compile(&compiler, "kernel_order", &[&standard, order], &object);
                compile(&compiler, "kernel_order", &["-D_GNU_SOURCE", order], &object);
            }
        }
    }
}

/// Every header of the kernel's names, such as `linux/timer.h`.
fn kernel_headers() -> Vec<String> {
    let headers_of = |folder: &str| {
        let path = Program::include_folder().join("kernel").join(folder);
        let entries = std::fs::read_dir(path).expect("the folder is there").flatten();
        let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.into_iter().map(|name| format!("{folder}/{}", name.to_string_lossy())).collect()
    };
    let folders: [Vec<String>; 2] = ["asm", "linux"].map(headers_of);
    folders.concat()
}

#[test]
fn all_of_ours_are_tried_beside_the_c_librarys() {
    let ours = std::fs::read_to_string(source("kernel_order_ours").with_extension("h"));
    let ours = ours.expect("the file is there");
    for header in kernel_headers() {
        assert!(ours.contains(&format!("#include <{header}>\n")), "{header} is missing");
    }
    let theirs = std::fs::read_to_string(source("kernel_order")).expect("the file is there");
    assert!(theirs.matches("#include <").count() >= 100);
}

/// No header leans on another that happened to come before it.
#[test]
fn every_header_stands_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for header in kernel_headers() {
        let file = folder.path().join("alone.c");
        let text = format!("#include <{header}>\n#include <{header}>\nint nothing;\n");
        std::fs::write(&file, text).expect("the folder is writable");
        for standard in ["-std=gnu89", "-std=gnu2x"] {
            let output = Command::new("gcc")
                .args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only", standard])
                .args(Program::include_flags())
                .arg(&file)
                .output()
                .expect("gcc is installed");
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{header} {standard}:\n{errors}");
        }
    }
}

/// `-I shim/include` adds names of ours only, so nothing that a program includes from
/// the system becomes another file.
#[test]
fn the_include_folder_shadows_no_header_of_the_system() {
    let entries = std::fs::read_dir(Program::include_folder()).expect("the folder is there");
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["deadwalk", "kernel"]);
}

/// A driver's deletes become others by a macro on the command line.
#[test]
fn a_delete_may_be_a_macro() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = folder.path().join("object.o");
    let macros = ["-Ddel_timer_sync(t)=del_timer(t)", "-Dtimer_delete_sync(t)=del_timer_async(t)"];
    for compiler in compilers() {
        for name in ["kernel_2_6", "kernel_4_15"] {
            compile(&compiler, name, &macros, &object);
            let referred = symbols(&["-u"], &object);
            assert!(!referred.iter().any(|name| name == "deadwalk_del_timer_sync"));
            assert!(!referred.iter().any(|name| name == "deadwalk_timer_delete_sync"));
        }
    }
}

/// C++ has casts of its own for handlers, but the headers are good for it.
#[test]
fn cplusplus_takes_the_headers() {
    let Some(compiler) = find_tool("g++") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = folder.path().join("object.o");
    for order in ["-DOURS_FIRST", "-DTHEIRS_FIRST"] {
        compile(&compiler, "kernel_order", &["-x", "c++", order], &object);
    }
    for name in ["kernel_ticks", "kernel_locks", "kernel_lists"] {
        compile(&compiler, name, &["-x", "c++"], &object);
    }
}

#[test]
fn the_names_of_kernel_code_mean_what_they_say() {
    for standard in ["-std=gnu89", "-std=gnu2x"] {
        for name in NAMES {
            let program = Program::kernel_with_flags(name, &[standard]);
            let outcome = Run::of(&program).plain().assert_status(0);
            assert_eq!(outcome.stdout, "", "{name}");
        }
    }
}

/// The module's own `timer_exit`, `index`, `read`, `write` and `open` run.
#[test]
fn a_module_has_names_of_its_own() {
    let outcome = Run::of(&Program::kernel("kernel_module")).plain().assert_status(0);
    let said = "name: read 1\nname: write 3\nname: open -512 3\ndevice 1\nindex 3\n";
    assert!(outcome.stderr.starts_with(said), "{outcome:#?}");
}

/// Messages go to stderr, a warning says where, and BUG ends the program.
#[test]
fn warnings_and_bugs_say_where() {
    let program = Program::kernel("kernel_names");
    let place = |text: &str| format!("kernel_names.c:{} ", program.line_of(text));
    let outcome = Run::of(&program).plain().assert_status(0);
    assert_eq!(outcome.stderr.matches(&place("WARN_ON_ONCE(i < 2)")).count(), 1, "{outcome:#?}");
    let said = "\nonce\nonce\n0\n1\n2\n3\n4\n4\n5\n6\n6\n6\n";
    let outcome = outcome.assert_says(said).assert_says("driver: 1 is late\n");
    assert!(!outcome.stderr.contains("BUG"), "{outcome:#?}");
    let outcome = Run::of(&program).arg("bug").plain();
    assert_ne!(outcome.status, 0, "{outcome:#?}");
    let bug = place("BUG_ON(argc > 1)") + "main()";
    assert!(outcome.assert_says(&bug).stderr.contains("BUG: at "));
}

/// A reference count that was misused says so, once in each place.
#[test]
fn a_spoilt_reference_count_says_where() {
    let program = Program::kernel("kernel_counts");
    let stderr = Run::of(&program).plain().assert_status(0).stderr;
    let place = format!("kernel_counts.c:{} ", program.line_of("/* below */"));
    assert_eq!(stderr.matches(&place).count(), 1, "{stderr}");
    assert!(stderr.contains("refcount taken from 0\n"), "{stderr}");
    assert!(stderr.contains("refcount below 0\n"), "{stderr}");
    assert!(stderr.contains("refcount saturated\n"), "{stderr}");
    assert_eq!(stderr.matches("WARNING: at ").count(), 8, "{stderr}");
}

/// The rate that a program was compiled with is told to the library, if it asks.
#[test]
fn the_library_is_told_the_programs_hz() {
    for (flags, started) in [(&[][..], 250), (&["-DOLDER"], 1)] {
        for place in [&[][..], &["-no-pie", "-fno-pie"]] {
            let program = Program::with_headers("kernel_start", &[flags, place].concat());
            let outcome = Run::of(&program).plain().assert_status(0);
            assert_eq!(outcome.stdout, format!("started {started}\n"), "{flags:?} {place:?}");
        }
    }
}

/// Incompatible pointers of the program's own are still warned of, wherever the
/// language lets us.
#[test]
fn no_warning_is_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let wrong = folder.path().join("wrong.c");
    let text = "#include <linux/timer.h>\nlong l; int *p;\nvoid f(void) { p = &l; }\n";
    std::fs::write(&wrong, text).expect("the folder is writable");
    let accepts = |flags: &[&str]| {
        let status = Command::new("gcc")
            .args(["-Wall", "-Werror", "-fsyntax-only"])
            .args(Program::include_flags())
            .args(flags)
            .arg(&wrong)
            .stderr(std::process::Stdio::null())
            .status();
        status.expect("gcc is installed").success()
    };
    let version = Command::new("gcc").arg("-dumpversion").output().expect("gcc is installed");
    let version = String::from_utf8_lossy(&version.stdout);
    let major: u32 = version.trim().split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    if major < 15 {
        for standard in ["-std=gnu89", "-std=gnu99", "-std=gnu11", "-std=gnu17"] {
            assert!(!accepts(&[standard]), "{standard}");
        }
    }
    assert!(!accepts(&["-std=gnu2x", "-DDEADWALK_STRICT_HANDLERS"]));
}

/// What an object refers to, or a library exports, by the flag given to nm.
fn symbols(flags: &[&str], file: &Path) -> Vec<String> {
    let output = Command::new("nm").arg("-P").args(flags).arg(file).output();
    let text = output.expect("nm is installed").stdout;
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(|line| line.split(' ').next()).map(String::from).collect()
}

/// A bare `add_timer` in a preloaded library would take over other libraries'.
/// What the headers declare is there.
#[test]
fn every_name_of_ours_has_the_prefix() {
    let theirs = [
        "__errno_location",
        "abort",
        "fprintf",
        "fwrite",
        "gettimeofday",
        "htonl",
        "htons",
        "index",
        "memcmp",
        "memcpy",
        "memset",
        "nanosleep",
        "ntohl",
        "sched_yield",
        "stderr",
        "strcmp",
        "strlen",
        "strtoul",
        "sysinfo",
        "time",
        "timer_delete",
        "vsnprintf",
        "_GLOBAL_OFFSET_TABLE_",
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = folder.path().join("object.o");
    let exported = symbols(&["-D", "--defined-only"], &Target::get().library());
    for compiler in compilers() {
        for name in PROGRAMS.into_iter().chain(NAMES) {
            compile(&compiler, name, &["-O0"], &object);
            let referred = symbols(&["-u"], &object);
            let ours = referred.iter().filter(|name| name.starts_with("deadwalk_")).count();
            assert!(ours > 0 || name == "kernel_lists", "{name} calls us: {referred:?}");
            for symbol in referred {
                if symbol.starts_with("deadwalk_") {
                    assert!(exported.contains(&symbol), "{name}: there is no {symbol}");
                } else {
                    assert!(theirs.contains(&&*symbol), "{name} refers to {symbol}");
                }
            }
        }
    }
}

#[test]
fn timer_delete_goes_by_its_arguments_type() {
    for standard in STANDARDS {
        let program = Program::with_headers("kernel_dispatch", &[&format!("-std={standard}")]);
        let outcome = Run::of(&program).plain().assert_status(0);
        assert_eq!(outcome.stdout, "kernel 2 1\nposix 0 0 0 0\nkernel 2\n", "{standard}");
    }
}

/// In real time and in virtual time; `jiffies` may be a copy in the program.
#[test]
fn timers_of_every_generation_fire() {
    let expected = "real 7 of 7, wrong 0\nran 4 3 1, virtual 8 of 8, wrong 0, jiffies 102\n";
    for flags in [&["-std=gnu89"][..], &["-std=gnu2x", "-no-pie", "-fno-pie"]] {
        let run = Run::of(&Program::kernel_with_flags("kernel_generations", flags));
        assert_eq!(run.plain().assert_status(0).stdout, expected, "{flags:?}");
        let watched = run.watched();
        assert_eq!(watched.outcome.assert_status(0).stdout, expected, "{flags:?}");
        watched.report.assert_clean();
        assert_eq!(watched.report.counter("timers.handlers_run"), 15);
    }
}

fn without_the_library(outcome: Outcome) {
    let expected = "version NULL\nwatch 0 0 0\ncounter 0 -1\nknown -1\n\
                    advance 0\nunload 0\nset -1\npolicy NULL\n";
    assert_eq!(outcome.assert_status(0).stdout, expected);
}

#[test]
fn questions_without_the_library_have_their_documented_answers() {
    for flags in [&["-DALL"][..], &["-DALL", "-no-pie", "-fno-pie"], &["-DALL", "-static"]] {
        without_the_library(Run::of(&Program::with_headers("kernel_questions", flags)).plain());
    }
}

#[test]
fn questions_are_answered_by_the_preloaded_library() {
    let expected =
        format!("version {}\nwatch 1 0 0\ncounter 1 -1\nknown 0\n", env!("CARGO_PKG_VERSION"));
    for flags in [&[][..], &["-no-pie", "-fno-pie"], &["-O0"], &["-masm=intel"]] {
        let program = Program::with_headers("kernel_questions", flags);
        let watched = Run::of(&program).watched();
        assert_eq!(watched.outcome.assert_status(0).stdout, expected, "{flags:?}");
    }
}

/// Linked with the library and with it preloaded, there is one copy of it.
#[test]
fn a_linked_program_finds_the_preloaded_copy() {
    let program = Program::kernel_with_flags("kernel_questions", &["-Wl,--no-as-needed"]);
    let plain = Run::of(&program).plain().assert_status(0);
    assert!(plain.stdout.contains("watch 1 0 0"), "{plain:#?}");
    let watched = Run::of(&program).watched();
    assert_eq!(watched.outcome.stdout, plain.stdout);
    assert!(watched.report.counter("heap.allocs") > 0, "{}", watched.report);
}

/// The compile lines that the documentation gives, in full.
#[test]
fn pkg_config_says_how_to_compile() {
    let Some(pkg_config) = find_tool("pkg-config") else { return };
    let outcome = run_by_pkg_config(&pkg_config, "deadwalk", "kernel_questions");
    assert!(outcome.stdout.contains("watch 1 0 0"), "{outcome:#?}");
    run_by_pkg_config(&pkg_config, "deadwalk-kernel", "kernel_names");
}

#[track_caller]
fn run_by_pkg_config(pkg_config: &Path, package: &str, name: &str) -> Outcome {
    let shim = Program::include_folder().join("..").canonicalize().expect("the shim's folder");
    let library = Target::get().library();
    let libdir = library.parent().expect("the library lies in a folder");
    let ask = |arguments: &[&str]| {
        let output = Command::new(pkg_config)
            .env("PKG_CONFIG_PATH", &shim)
            .arg(format!("--define-variable=libdir={}", libdir.display()))
            .args(arguments)
            .arg(package)
            .output()
            .expect("pkg-config runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    };
    assert_eq!(ask(&["--modversion"]), env!("CARGO_PKG_VERSION"));
    let flags = ask(&["--cflags", "--libs"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("program");
    let compiled = Command::new("gcc")
        .arg(source(name))
        .args(flags.split_whitespace())
        .arg("-o")
        .arg(&program)
        .status();
    assert!(compiled.expect("gcc is installed").success(), "{flags}");
    Run::command([&program]).plain().assert_status(0)
}
