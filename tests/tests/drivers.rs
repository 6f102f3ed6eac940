//! Drivers in the manner of 2.2 and 2.4, each with its mistake and without it, and
//! correct code of later generations, from `deadwalk kcc` to the report.

use deadwalk_tests::{Finding, Report, Run, Severity, Target, find_tool};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A race that lands must land in every run, and be seen.
const RUNS: usize = 20;

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/drivers").join(name)
}

/// Compiles a file of `programs/drivers` with `deadwalk kcc`. Positional initialisers
/// are warned of.
#[track_caller]
fn kcc(name: &str, flags: &[&str], out: &Path) {
    let output = Command::new(Target::get().command())
        .args(["kcc", "-O1", "-Wall", "-Wno-missing-braces", "-Werror"])
        .args(flags)
        .arg(source(name))
        .arg("-o")
        .arg(out)
        .output()
        .expect("deadwalk starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A driver, with its mistake and without.
struct Driver {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl Driver {
    /// None where there is no compiler, aloud.
    #[track_caller]
    fn new(name: &'static str) -> Option<Driver> {
        find_tool("cc")?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let driver = Driver { folder, name };
        for (variant, flag) in [("bad", "-DBAD"), ("fixed", "-DFIXED")] {
            let out = driver.folder.path().join(variant);
            if name == "dog" {
                kcc("dog.c", &[flag, "-shared", "-fPIC"], &out);
                kcc("insmod.c", &["-rdynamic"], &driver.folder.path().join("insmod"));
            } else {
                kcc(&format!("{name}.c"), &[flag], &out);
            }
        }
        Some(driver)
    }

    fn run(&self, variant: &str) -> Run {
        let program = self.folder.path().join(variant);
        if self.name == "dog" {
            let insmod = self.folder.path().join("insmod");
            return Run::command([insmod]).arg(variant).arg(program);
        }
        Run::command([program])
    }

    /// The report of the bad one where deletes do not wait, often; and that the fixed
    /// one and, where they wait, the bad one are clean.
    fn try_out(&self, check: impl Fn(&Report)) {
        for _ in 0..RUNS {
            let watched = self.run("bad").option("--del").option("async").watched();
            watched.outcome.assert_status(0);
            assert_eq!(watched.report.counter("del.while_running"), 1);
            check(&watched.report);
            for (variant, policy) in [("fixed", "async"), ("bad", "sync"), ("fixed", "sync")] {
                let watched = self.run(variant).option("--del").option(policy).watched();
                watched.outcome.assert_status(0);
                watched.report.assert_clean();
                assert_eq!(watched.report.counter("del.while_running"), 0);
                assert_eq!(watched.report.counter("del.sync_waits"), 1, "{variant}, {policy}");
            }
        }
    }
}

/// The landing, with its consequence; who deleted, what ran, who armed it.
#[track_caller]
fn landing<'a>(report: &'a Report, consequence: &str, functions: [&str; 3]) -> Finding<'a> {
    let landing = report.assert_kind("del-while-running", Severity::Error);
    assert_eq!(landing.text("consequence"), consequence);
    for (stack, function) in ["del", "handler", "arm"].into_iter().zip(functions) {
        landing.assert_stack(stack, function);
    }
    landing
}

/// Static timers and sections without interrupts: the handler's data is freed.
#[test]
fn a_motor_that_stops_late() {
    let Some(driver) = Driver::new("motor") else { return };
    driver.try_out(|report| {
        let kinds = ["del-while-running", "data-free-while-running", "use-after-free-read"];
        report.assert_only(&kinds);
        let functions = ["drive_release", "motor_off", "drive_idle"];
        let landing = landing(report, "touched", functions);
        landing.assert_stack("free", "drive_release");
        landing.assert_stack("access", "motor_off");
        let freed = report.assert_kind("data-free-while-running", Severity::Error);
        freed.assert_stack("handler", "motor_off");
        freed.assert_stack("free", "drive_release");
        freed.assert_stack("alloc", "drive_open");
    });
}

/// A module with a use count goes while its timer's handler runs.
#[test]
fn a_module_that_goes_too_early() {
    let Some(driver) = Driver::new("dog") else { return };
    driver.try_out(|report| {
        report.assert_only(&["del-while-running", "unload-while-running"]);
        landing(report, "text-unloaded", ["cleanup_module", "dog_barks", "init_module"]);
        let unloaded = report.assert_kind("unload-while-running", Severity::Error);
        unloaded.assert_stack("handler", "dog_barks");
        unloaded.assert_stack("del", "cleanup_module");
        unloaded.assert_stack("access", "rmmod");
    });
}

/// The timer lies in what a network device's close() frees.
#[test]
fn a_network_device_that_is_closed() {
    let Some(driver) = Driver::new("ether") else { return };
    driver.try_out(|report| {
        report.assert_only(&["del-while-running", "free-while-running", "use-after-free-read"]);
        let functions = ["ether_close", "ether_tx_timeout", "ether_xmit"];
        let landing = landing(report, "touched", functions);
        landing.assert_stack("free", "ether_close");
        landing.assert_stack("access", "ether_tx_timeout");
        let freed = report.assert_kind("free-while-running", Severity::Error);
        freed.assert_stack("handler", "ether_tx_timeout");
        freed.assert_stack("free", "ether_close");
        freed.assert_stack("alloc", "ether_open");
    });
}

/// Correct code of 2.6, 5.x and 6.x: it compiles without a warning, its timers run, and
/// nothing is found.
#[test]
fn later_generations_are_clean() {
    if find_tool("cc").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["sensors", "sessions", "flows"] {
        let program = folder.path().join(name);
        kcc(&format!("{name}.c"), &["-Wextra"], &program);
        for policy in ["async", "sync"] {
            let watched = Run::command([&program]).option("--del").option(policy).watched();
            watched.outcome.assert_status(0);
            watched.report.assert_clean();
            assert!(watched.report.counter("timers.armed") > 0, "{name}");
            assert!(watched.report.counter("del.calls") > 0, "{name}");
        }
    }
}

/// A Makefile compiles and links by what `--print-flags` prints.
#[test]
fn printed_flags_make_the_same_program() {
    if find_tool("cc").is_none() {
        return;
    }
    let ask = |arguments: &[&str]| {
        let output = Command::new(Target::get().command())
            .args(["kcc", "--print-flags"])
            .args(arguments)
            .output()
            .expect("deadwalk starts");
        String::from_utf8(output.stdout).expect("plain paths")
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let line = format!(
        "cc -DKBUILD_MODNAME='\"ether\"' -DFIXED -c '{}' -o ether.o {} && cc ether.o -o ether {}",
        source("ether.c").display(),
        ask(&["-c"]).trim(),
        ask(&[]).trim()
    );
    let made = Command::new("sh").args(["-c", &line]).current_dir(folder.path()).output();
    let made = made.expect("sh starts");
    assert!(made.status.success(), "{line}\n{}", String::from_utf8_lossy(&made.stderr));
    let outcome = Run::command([folder.path().join("ether")]).plain().assert_status(0);
    assert!(outcome.stdout.contains("verdict:  as expected"), "{outcome:#?}");
}
