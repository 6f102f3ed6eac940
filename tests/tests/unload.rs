//! Code that is unloaded under its timers: the program goes on and is told; who
//! waits, or unloads something else, hears nothing.

use deadwalk_tests::Severity::Error;
use deadwalk_tests::{Program, Report, Run, repeats};

fn plugin(flags: &[&str]) -> Program {
    Program::library("unload_plugin", flags)
}

fn run(mode: &str, plugin: &Program) -> Run {
    Run::of(&Program::new("unload_host")).arg(mode).arg(&plugin.path)
}

#[track_caller]
fn each_run(run: &Run, check: impl Fn(&Report)) {
    for _ in 0..repeats(1, 5) {
        let watched = run.watched();
        assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
        check(&watched.report);
    }
}

#[track_caller]
fn clean(run: &Run) {
    each_run(run, Report::assert_clean);
}

/// Without us they die where they come back to code that is gone.
#[test]
fn plain_it_is_the_end() {
    for mode in ["pending", "running", "deleted", "own"] {
        let outcome = run(mode, &plugin(&[])).plain();
        assert_eq!(outcome.status, 128 + 11, "{mode}: {outcome:#?}");
    }
}

#[test]
fn an_armed_timer_s_code_goes() {
    each_run(&run("pending", &plugin(&[])), |report| {
        let found = report.assert_kind("unload-while-pending", Error);
        found.assert_stack("access", "main");
        found.assert_stack("handler", "plugin_handler");
        found.assert_stack("arm", "start");
        report.assert_only(&["unload-while-pending"]);
        assert_eq!(report.counter("timers.auto_detached"), 1);
        assert_eq!(report.counter("timers.refused_at_expiry"), 1);
    });
}

#[test]
fn a_running_handler_s_code_goes() {
    for binding in ["-Wl,-z,lazy", "-Wl,-z,now"] {
        each_run(&run("running", &plugin(&[binding])), |report| {
            let found = report.assert_kind("unload-while-running", Error);
            found.assert_stack("access", "main");
            found.assert_stack("handler", "plugin_handler");
            report.assert_only(&["unload-while-running"]);
        });
    }
}

#[test]
fn what_follows_a_landing() {
    each_run(&run("deleted", &plugin(&[])), |report| {
        report.assert_kind("unload-while-running", Error);
        let delete = report.assert_kind("del-while-running", Error);
        assert_eq!(delete.text("consequence"), "text-unloaded", "{report}");
        delete.assert_stack("access", "main");
        report.assert_only(&["unload-while-running", "del-while-running"]);
    });
}

#[test]
fn a_handler_unloads_itself() {
    each_run(&run("own", &plugin(&[])), |report| {
        let found = report.assert_kind("unload-while-running", Error);
        found.assert_stack("access", "plugin_handler");
    });
}

#[test]
fn who_stops_first_is_clean() {
    clean(&run("stopped", &plugin(&[])));
    clean(&run("armed", &plugin(&["-DDESTRUCTOR"])));
    clean(&run("cycles", &plugin(&["-DDESTRUCTOR"])));
}

#[test]
fn what_stays_loaded_is_clean() {
    let ours = plugin(&[]);
    let path = ours.path.to_str().expect("the folder's name is text");
    let bystander = Program::library("unload_other", &[]);
    let user = Program::library("unload_other", &["-Wl,--no-as-needed", path]);
    clean(&run("twice", &ours));
    clean(&run("armed", &ours).arg(&bystander.path));
    clean(&run("other", &ours).arg(&bystander.path));
    clean(&run("needed", &ours).arg(&user.path));
    let unique = Program::cxx_with_flags("unload_unique", &["-shared", "-fPIC"]);
    clean(&run("armed", &unique));
    clean(&run("busy", &unique));
}

fn module(flags: &[&str]) -> Program {
    Program::kernel_with_flags("unload_module", &[&["-shared", "-fPIC"], flags].concat())
}

#[test]
fn a_timer_list_s_code_goes() {
    each_run(&run("pending", &module(&[])), |report| {
        let found = report.assert_kind("unload-while-pending", Error);
        found.assert_stack("access", "main");
        found.assert_stack("handler", "module_handler");
        report.assert_only(&["unload-while-pending"]);
        assert_eq!(report.counter("timers.auto_detached"), 1);
    });
    each_run(&run("running", &module(&[])), |report| {
        let found = report.assert_kind("unload-while-running", Error);
        found.assert_stack("access", "main");
        found.assert_stack("handler", "module_handler");
        report.assert_only(&["unload-while-running"]);
    });
    each_run(&run("deleted", &module(&[])), |report| {
        let delete = report.assert_kind("del-while-running", Error);
        assert_eq!(delete.text("consequence"), "text-unloaded", "{report}");
    });
}

#[test]
fn a_timer_list_that_stops_first_is_clean() {
    let bystander = Program::library("unload_other", &[]);
    clean(&run("stopped", &module(&[])));
    clean(&run("twice", &module(&[])));
    clean(&run("armed", &module(&["-DDESTRUCTOR"])));
    clean(&run("other", &module(&[])).arg(&bystander.path));
}

/// What the loader does with `let` is what it does without us.
#[test]
fn let_go() {
    for (mode, kind) in [("pending", "unload-while-pending"), ("running", "unload-while-running")] {
        let watched = run(mode, &plugin(&[])).env("DEADWALK_OPTIONS", "unload=let").watched();
        assert_eq!(watched.outcome.status, 128 + 11, "{:#?}", watched.outcome);
        watched.report.assert_kind(kind, Error);
    }
}
