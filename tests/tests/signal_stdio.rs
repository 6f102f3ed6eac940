//! Handlers that call stdio in the middle of stdio, and those that only look so.

use deadwalk_tests::{Program, Run, Severity};

/// Calls on the stream that the handler's own thread is in the middle of, each with the
/// function whose frame the finding must name.
const CALLS: [(&str, &str); 17] = [
    ("fprintf", "do_call"),
    ("__fprintf_chk", "do_call"),
    ("vfprintf", "vcall"),
    ("__vfprintf_chk", "vcall"),
    ("printf", "do_call"),
    ("puts", "do_call"),
    ("putchar", "do_call"),
    ("fputs", "do_call"),
    ("fputc", "do_call"),
    ("putc", "do_call"),
    ("fwrite", "do_call"),
    ("fwrite_unlocked", "do_call"),
    ("fread", "do_call"),
    ("fgets", "do_call"),
    ("fgetc", "do_call"),
    ("fflush", "do_call"),
    ("fflush_all", "do_call"),
];

fn program() -> Program {
    // Without optimisation, or the compiler puts one function for another.
    Program::with_flags("signal_stdio", &["-O0"])
}

#[track_caller]
fn assert_told(run: &Run, caller: &str) {
    let watched = run.watched();
    let plain = run.plain().assert_status(0);
    assert_eq!(watched.outcome.assert_status(0).stdout, plain.stdout);
    watched.report.assert_only(&["signal-unsafe-call"]);
    let finding = watched.report.assert_kind("signal-unsafe-call", Severity::Warning);
    assert_eq!(finding.count(), 1, "{}", watched.report);
    finding.assert_stack("access", caller);
}

#[test]
fn every_call_in_the_middle_of_printf_is_told() {
    let program = program();
    for (call, caller) in CALLS {
        assert_told(&Run::of(&program).arg("bad").arg(call), caller);
    }
}

#[test]
fn a_read_that_waits_is_interrupted() {
    assert_told(&Run::of(&program()).args("input fflush"), "do_call");
}

#[test]
fn look_alikes_are_clean() {
    let program = program();
    for mode in ["fixed", "other fprintf", "locked fprintf", "computing fprintf", "over", "jumped"]
    {
        let run = Run::of(&program).args(mode);
        let watched = run.watched();
        watched.assert_same(&run.plain().assert_status(0));
        watched.report.assert_clean();
    }
}
