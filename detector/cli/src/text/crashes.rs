//! Crashes, with what is known of them.

use std::fmt::Write;

use deadwalk_detector::Severity;

use super::findings;
use super::style::Style;
use super::units::count;
use crate::escape::visible;
use crate::report::Report;
use crate::report::model::Crash;

/// Crashes described; all of them are in the JSON.
const CRASHES_MAX: usize = 5;

/// Writes the processes' crashes.
pub fn write(out: &mut String, report: &Report, style: Style) {
    let crashes = report.processes.iter().filter_map(|p| Some((p, p.crash.as_ref()?)));
    let hidden = crashes.clone().count().saturating_sub(CRASHES_MAX) as u64;
    for (process, crash) in crashes.take(CRASHES_MAX) {
        let name = visible(process.exe.rsplit('/').next().unwrap_or_default());
        let head = style.severity(Severity::Error, "crash:");
        let _ = writeln!(out, "\n{head} {name} (pid {}) {}", process.pid, what(crash));
        if let Some(hint) = &crash.hint {
            let _ = writeln!(out, "  {hint}");
        }
        findings::stack(out, "at", &crash.stack, style);
    }
    if hidden > 0 {
        let _ = writeln!(out, "and {} more that crashed: see the JSON report", count(hidden));
    }
}

fn what(crash: &Crash) -> String {
    let did = match crash.access {
        "read" => "reading",
        "write" => "writing",
        "execute" => "jumping to",
        _ => "at",
    };
    let at = crash.addr.as_ref().map(|addr| format!(" {did} {addr}")).unwrap_or_default();
    // One that abort sent is no news.
    let is_sent = crash.code <= 0 && crash.name != "SIGABRT";
    let from = if is_sent { ", sent by a process" } else { "" };
    format!("died of {}{at}, thread {}{from}", crash.name, crash.thread)
}
