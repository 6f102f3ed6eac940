//! Function, file and line of every kind of module.

use deadwalk_tests::{Frame, Program, Report, Run};
use std::process::Command;

#[track_caller]
fn watched(run: &Run) -> Report {
    let watched = run.watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    assert_eq!(watched.report.counter("del.while_running"), 1);
    watched.report
}

#[test]
fn pie_and_fixed_address() {
    for flags in [["-pie", "-fPIE"], ["-no-pie", "-fno-pie"]] {
        let program = Program::with_flags("named", &flags);
        let report = watched(&Run::of(&program));
        let site = report.only_site("timer_delete");
        let frame = Frame::of(&site["site"]);
        assert_eq!(frame.function(), Some("exported_stop"), "{flags:?}: {report}");
        assert_eq!(frame.file_name(), Some("named.c"), "{flags:?}: {report}");
        let line = program.line_of("timer_delete(");
        assert_eq!(frame.line(), Some(line), "{flags:?}: {report}");
        let handler = Frame::of(&site["handlers"][0]);
        assert_eq!(handler.function(), Some("exported_tick"), "{flags:?}: {report}");
        let finding = report.assert_seen("del-while-running");
        finding.assert_stack("del", "exported_stop");
        finding.assert_stack("del", "main");
        finding.assert_stack("handler", "exported_tick");
    }
}

/// The library is loaded while the program runs, and perhaps gone at its end.
#[test]
fn loaded_libraries_kept_and_unloaded() {
    let plugin = Program::with_flags("plugin", &["-shared", "-fPIC"]);
    let host = Program::new("plugin_host");
    for keep in [true, false] {
        let run = Run::of(&host).arg(&plugin.path);
        let report = watched(&if keep { run.arg("keep") } else { run });
        let site = report.only_site("timer_delete");
        let frame = Frame::of(&site["site"]);
        assert_eq!(frame.function(), Some("plugin_stop"), "keep {keep}: {report}");
        assert_eq!(frame.line(), Some(plugin.line_of("timer_delete(")), "keep {keep}");
        assert_eq!(frame.module_name(), Some(plugin.file_name()), "keep {keep}: {report}");
        let handler = Frame::of(&site["handlers"][0]);
        assert_eq!(handler.function(), Some("plugin_tick"), "keep {keep}: {report}");
    }
}

/// Without debug information: module, offset, and the nearest exported symbol.
#[test]
fn stripped_binaries() {
    let program = Program::with_flags("named", &["-rdynamic"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stripped = folder.path().join("stripped");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(&program.path).status();
    assert!(status.expect("strip is installed").success());

    let report = watched(&Run::command([&stripped]));
    let site = report.only_site("timer_delete");
    let frame = Frame::of(&site["site"]);
    assert_eq!(frame.module_name(), Some("stripped"));
    assert!(frame.offset().is_some_and(|offset| offset.starts_with("0x")), "{report}");
    assert!(frame.function().is_some_and(|name| name.starts_with("exported_stop")), "{report}");
    assert_eq!((frame.file_name(), frame.line()), (None, None));
}
