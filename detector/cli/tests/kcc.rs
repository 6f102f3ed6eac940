//! `deadwalk kcc`: what the compiler gets, and what is said where something is
//! missing. The library is a harmless one; the drivers' tests link ours.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{assert_one_line, deadwalk, file, folder, status, stderr, stdout};

const DRIVER: &[u8] = b"#include <linux/timer.h>\n#include <linux/printk.h>\n\
    struct timer_list timer;\nint main(void) { pr_info(KBUILD_MODNAME \"\\n\"); return LEVEL; }\n";

/// Runs kcc with a compiler, in that folder.
fn kcc(folder: &Path, compiler: &str, arguments: &[&str]) -> Output {
    let mut command = deadwalk();
    command.env("CC", compiler).env_remove("DEADWALK_INCLUDE").current_dir(folder);
    command.arg("kcc").args(arguments).output().expect("deadwalk starts")
}

/// A compiler that tells its arguments, one a line.
fn teller(folder: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = file(folder, "teller", b"#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 3\n");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("mode");
    path.to_str().expect("a plain path").to_owned()
}

#[test]
fn the_callers_arguments_come_between_ours_and_stay_in_order() {
    let folder = folder();
    let compiler = teller(folder.path()) + " -m64";
    let arguments = ["-O2", "--help-me", "a b.c", "-o", "out"];
    let output = kcc(folder.path(), &compiler, &arguments);
    assert_eq!(status(&output), 3, "the compiler's own status: {}", stderr(&output));
    let told = stdout(&output);
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told[0], "-m64");
    let first = told.iter().position(|word| *word == "-O2").expect("it is handed on");
    assert_eq!(told[first..first + arguments.len()], arguments);
    assert!(told[..first].contains(&"-DKBUILD_MODNAME=\"a_b\""), "{told:?}");
    assert!(told[..first].iter().any(|word| word.ends_with("include/kernel")), "{told:?}");
    let behind = &told[first + arguments.len()..];
    assert!(behind.iter().any(|word| word.ends_with("libm.so.6")), "{told:?}");
    assert!(told[..first].iter().all(|word| !word.ends_with("libm.so.6")), "{told:?}");
}

#[test]
fn without_linking_there_is_no_library() {
    let folder = folder();
    let compiler = teller(folder.path());
    let told = stdout(&kcc(folder.path(), &compiler, &["-c", "a.c"]));
    assert!(told.ends_with("-c\na.c\n"), "{told}");
    // Nor need there be one.
    let mut command = deadwalk();
    command.env("CC", &compiler).env("DEADWALK_LIB", "/nonexistent.so");
    assert_eq!(status(&command.args(["kcc", "-c", "a.c"]).output().expect("starts")), 3);
    let output = command.arg("-v").env("DEADWALK_INCLUDE", "/nonexistent").output();
    assert_one_line(&output.expect("starts"), 125, "DEADWALK_INCLUDE");
}

#[test]
fn what_is_missing_is_named() {
    let folder = folder();
    assert_one_line(&kcc(folder.path(), "cc", &[]), 125, "no source file");
    assert_one_line(&kcc(folder.path(), "no-such-cc", &["a.c"]), 127, "install a C compiler");
    assert_one_line(&kcc(folder.path(), "/", &["a.c"]), 126, "cannot run the compiler /");
    let mut command = deadwalk();
    command.env("DEADWALK_LIB", "/nonexistent.so").args(["kcc", "a.c"]);
    assert_one_line(&command.output().expect("starts"), 125, "DEADWALK_LIB");
}

/// The command, its headers and its library in the folders of an installation.
#[test]
fn what_is_installed_is_found() {
    for headers in ["bin/include", "lib/deadwalk/include", "share/deadwalk/include"] {
        let folder = folder();
        let installed = folder.path().canonicalize().expect("the folder is there");
        let make = |path: &str| {
            let path = installed.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, b"").expect("a file");
        };
        make(&format!("{headers}/deadwalk/timer.h"));
        make(&format!("{headers}/kernel/linux/timer.h"));
        make("lib/deadwalk/libdeadwalk.so");
        make("bin/deadwalk");
        std::fs::copy(env!("CARGO_BIN_EXE_deadwalk"), installed.join("bin/deadwalk"))
            .expect("the command can be copied");
        let mut command = Command::new(installed.join("bin/deadwalk"));
        command.env_remove("DEADWALK_INCLUDE").env_remove("DEADWALK_LIB");
        let output = command.args(["kcc", "--print-flags"]).output().expect("it starts");
        let flags = stdout(&output);
        let include = format!("-I {}/{headers}/kernel ", installed.display());
        assert!(flags.contains(&include), "{flags} {}", stderr(&output));
        let library = format!(" {}/lib/deadwalk/libdeadwalk.so ", installed.display());
        assert!(flags.contains(&library), "{flags}");
    }
}

/// For real: the program runs, an error is the compiler's, and the flags that are
/// printed do what kcc does.
#[test]
fn programs_compile_and_run() {
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("SKIPPED programs_compile_and_run: cc is not installed");
        return;
    }
    let folder = folder();
    file(folder.path(), "my-driver.c", DRIVER);
    let output = kcc(folder.path(), "", &["my-driver.c"]);
    assert_eq!(status(&output), 1, "LEVEL is not defined");
    assert!(stderr(&output).contains("my-driver.c:4"), "{}", stderr(&output));

    let output = kcc(folder.path(), "", &["-DLEVEL=7", "my-driver.c", "-c", "-o", "driver.o"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));

    // What -x says of the source, it does not say of the library.
    file(folder.path(), "driver.old", DRIVER);
    let output = kcc(folder.path(), "", &["-DLEVEL=7", "-x", "c", "driver.old", "-o", "old"]);
    assert!(!stderr(&output).contains("libm.so.6:"), "{}", stderr(&output));
    // Several objects become one: no library is in it.
    let output = kcc(folder.path(), "", &["-r", "driver.o", "-o", "module.o"]);
    assert_eq!(status(&output), 0, "{}", stderr(&output));

    let flags = kcc(folder.path(), "", &["--print-flags", "-c", "-DKBUILD_MODNAME"]);
    assert_eq!((status(&flags), stdout(&flags).lines().count()), (0, 1));
    assert!(!stdout(&flags).contains("libm"), "{}", stdout(&flags));
    let line = format!(
        "cc {} '-DKBUILD_MODNAME=\"x y\"' -DLEVEL=7 -c my-driver.c -o again.o",
        stdout(&flags).trim()
    );
    let output = Command::new("sh").args(["-c", &line]).current_dir(folder.path()).output();
    let output = output.expect("sh starts");
    assert!(output.status.success(), "{line}: {}", stderr(&output));
}
