//! The first lines: the mail's question and its answer.

use std::fmt::Write;

use deadwalk_detector::{Severity, statistics};

use super::style::Style;
use super::timer_list;
use super::units::{count, percent, plural};
use crate::escape::visible;
use crate::report::Report;

/// Writes title, answer and the number of findings.
pub fn write(out: &mut String, report: &Report, style: Style) {
    let _ = writeln!(out, "{}", style.bold(&format!("== deadwalk: {}", title(report))));
    let _ = writeln!(out);
    let (calls, landed) = (report.total("del.calls"), report.total("del.while_running"));
    if calls == 0 {
        let _ = writeln!(out, "  {}", style.bold("No delete of a timer was seen."));
    } else {
        let (low, high) = statistics::wilson_95(landed, calls);
        let answer = format!("{} of {}", count(landed), plural(calls, "delete call"));
        let _ = writeln!(
            out,
            "  {} ({} %, 95 % CI {}-{}) landed while the handler was running.",
            style.bold(&answer),
            percent(statistics::rate(landed, calls)),
            percent(low),
            percent(high),
        );
    }
    timers(out, report);
    waits(out, report);
    healed(out, report);
    provoked(out, report);
    timer_list::summary(out, report, style);
    severities(out, report, style);
}

fn title(report: &Report) -> String {
    let Some(first) = report.processes.first() else { return "no process".into() };
    let command = if first.argv.is_empty() { first.exe.clone() } else { first.argv.join(" ") };
    let mut shown: String = visible(&command).chars().take(super::WIDTH - 30).collect();
    if shown.len() < visible(&command).len() {
        shown += "...";
    }
    match report.processes.len() {
        1 => shown,
        n => format!("{shown} (and {})", plural(n as u64 - 1, "more record")),
    }
}

fn timers(out: &mut String, report: &Report) {
    let _ = write!(
        out,
        "  {} created, armed {}, {} run",
        plural(report.total("timers.inited"), "timer"),
        plural(report.total("timers.armed"), "time"),
        plural(report.total("timers.handlers_run"), "handler"),
    );
    let passed = report.total("timers.passed_through");
    if passed > 0 {
        let _ = write!(out, "; {} without a handler not watched", plural(passed, "timer"));
    }
    let _ = writeln!(out, ".");
}

fn waits(out: &mut String, report: &Report) {
    let waits = report.total("del.sync_waits");
    let suppressed = report.total("timers.refused_at_expiry");
    if waits > 0 {
        let longest = report.del_sites.iter().map(|s| s.sync_wait_ns.max).max().unwrap_or(0);
        let longest = super::units::duration(longest);
        let _ = writeln!(
            out,
            "  {} waited for the handler, {longest} at most.",
            plural(waits, "delete")
        );
    }
    if suppressed > 0 {
        let _ = writeln!(out, "  {} suppressed after such a delete.", expiries(suppressed));
    }
}

/// How often `heal=on` acted, and on what.
fn healed(out: &mut String, report: &Report) {
    let total = report.total("timers.healed");
    if total == 0 {
        return;
    }
    let acts = [
        (report.total("healed.expiries"), "expiry not called", "expiries not called"),
        (report.total("healed.stale_calls"), "call refused", "calls refused"),
        (report.total("healed.deferred_frees"), "free put off", "frees put off"),
    ];
    let acts = acts.map(|(number, one, more)| match number {
        0 => String::new(),
        1 => format!("1 {one}"),
        _ => format!("{} {more}", count(number)),
    });
    let acts: Vec<&str> = acts.iter().map(String::as_str).filter(|act| !act.is_empty()).collect();
    let _ = writeln!(out, "  heal=on acted {}: {}.", plural(total, "time"), acts.join(", "));
}

/// How many calls were held up on purpose, and what repeats that.
fn provoked(out: &mut String, report: &Report) {
    let number = report.total("timers.provoked");
    if number == 0 {
        return;
    }
    let option = |name: &str| {
        let mut values = report.processes.iter().filter_map(|p| p.options[name].as_u64());
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    };
    let _ = write!(out, "  {} on purpose", plural(number, "delay"));
    if let Some(us) = option("provoke") {
        let _ = write!(out, ", of up to {} us", count(us));
    }
    if let Some(seed) = option("provoke_seed") {
        let _ = write!(out, ", with seed {seed}");
    }
    let _ = writeln!(out, ".");
}

fn severities(out: &mut String, report: &Report, style: Style) {
    let number = |severity: Severity| {
        let distinct = report.findings.iter().filter(|f| f.level == severity).count() as u64;
        let text = plural(distinct, severity.name());
        let times = report.occurrences(severity);
        let text = if times > distinct { format!("{text} ({} times)", count(times)) } else { text };
        if distinct == 0 { style.dim(&text) } else { style.severity(severity, &text) }
    };
    let _ = writeln!(
        out,
        "  Findings: {}, {}, {}.",
        number(Severity::Error),
        number(Severity::Warning),
        number(Severity::Info)
    );
}

fn expiries(number: u64) -> String {
    if number == 1 { "1 expiry".into() } else { format!("{} expiries", count(number)) }
}
