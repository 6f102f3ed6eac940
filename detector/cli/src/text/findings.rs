//! Errors and warnings with their stacks; infos a line each.

use std::fmt::Write;

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Api, Kind, Severity};

use super::WIDTH;
use super::place;
use super::style::Style;
use super::units::{count, duration, plural};
use super::wrap::wrap;
use crate::escape::visible;
use crate::report::Report;
use crate::report::model::{Accesses, Finding, Frame};

/// Errors and warnings shown of each; all of them are in the JSON.
const SHOWN_MAX: usize = 20;
/// Lines of infos.
const INFOS_MAX: usize = 20;
/// Frames shown of a stack.
const FRAMES_MAX: usize = 10;
/// Columns of a function's name.
const NAME_CHARS: usize = 34;

/// Writes all findings, the worst first.
pub fn write(out: &mut String, report: &Report, style: Style) {
    for severity in [Severity::Error, Severity::Warning] {
        let findings: Vec<_> = report.findings.iter().filter(|f| f.level == severity).collect();
        for finding in findings.iter().take(SHOWN_MAX) {
            detailed(out, finding, style);
        }
        let hidden = findings.len().saturating_sub(SHOWN_MAX) as u64;
        if hidden > 0 {
            let more = plural(hidden, &format!("more {}", severity.name()));
            let _ = writeln!(out, "\n{more}: see the JSON report");
        }
    }
    infos(out, report, style);
}

fn detailed(out: &mut String, finding: &Finding, style: Style) {
    let title = format!("{}: {}", finding.severity, kind(finding));
    let _ = write!(out, "\n{}", style.severity(finding.level, &title));
    let _ = write!(out, ", {}", plural(finding.count, "time"));
    if finding.unresolved > 0 {
        let _ = write!(out, " ({} still open at the end)", count(finding.unresolved));
    }
    let _ = writeln!(out, ", first after {} in pid {}", duration(finding.first_ns), finding.pid);
    for line in wrap(&visible(&finding.message), WIDTH - 2) {
        let _ = writeln!(out, "  {line}");
    }
    details(out, finding);
    let stacks = &finding.stacks;
    // In a deadlock the offender is no access but what the handler waits for.
    let blocked = finding.kind == Kind::DelDeadlock.name() && !stacks.access.is_empty();
    let (access, label) = if blocked { ("blocked at", 10) } else { ("access", 8) };
    let del = if finding.own_wait { "waits at" } else { "delete" };
    for (name, frames) in [
        (del, &stacks.del),
        ("handler", &stacks.handler),
        ("arm", &stacks.arm),
        ("alloc", &stacks.alloc),
        ("free", &stacks.free),
        (access, &stacks.access),
    ] {
        stack(out, &format!("{name:<label$}"), frames, style);
    }
    for (i, line) in wrap(finding.advice, WIDTH - label - 3).iter().enumerate() {
        let _ = writeln!(out, "  {:<label$} {line}", if i == 0 { "advice" } else { "" });
    }
}

fn kind(finding: &Finding) -> String {
    match finding.consequence {
        "none" => finding.kind.to_owned(),
        consequence => format!("{} ({consequence})", finding.kind),
    }
}

fn details(out: &mut String, finding: &Finding) {
    let mut parts = Vec::new();
    if let Some(base) = finding.access.get("base").and_then(|b| b.as_str()) {
        parts.push(format!("block at {base}"));
    }
    let timer_list = finding.api == Api::TimerList.name();
    // A timer_list's message has the time in it, a line of its own the accesses' times.
    let is_told = timer_list || finding.accesses.as_ref().is_some_and(|a| a.age_ns.count > 0);
    let age = finding.access.get("age_ns").filter(|_| !is_told);
    if let Some(age) = age.and_then(|a| a.as_u64()) {
        parts.push(format!("{} after the free", duration(age)));
    }
    if finding.detected == "late" {
        parts.push("found later, the writer is not known".to_owned());
    }
    if timer_list && finding.policy != DelPolicy::Async.name() {
        parts.push(format!("under del={}", finding.policy));
    }
    if !parts.is_empty() {
        let _ = writeln!(out, "  {}", parts.join(", "));
    }
    if let Some(accesses) = &finding.accesses {
        let _ = writeln!(out, "  {}", stale_accesses(accesses));
    }
    for name in ["before", "after"] {
        if let Some(bytes) = finding.access.get(name).and_then(|b| b.as_str()) {
            let _ = writeln!(out, "  {name:<8} {bytes}");
        }
    }
}

/// What a place did to freed blocks: `12 reads, 3 writes, 1.20 ms to 3.40 s after the
/// free, median 80.0 ms`.
fn stale_accesses(accesses: &Accesses) -> String {
    let counts = [(accesses.reads, "read"), (accesses.writes, "write")];
    let mut parts: Vec<_> =
        counts.iter().filter(|(n, _)| *n > 0).map(|&(n, noun)| plural(n, noun)).collect();
    let ages = &accesses.age_ns;
    if ages.count == 1 {
        parts.push(format!("{} after the free", duration(ages.max)));
    } else if ages.count > 1 {
        let (min, max) = (duration(ages.min), duration(ages.max));
        parts.push(format!("{min} to {max} after the free"));
        parts.push(format!("median {}", duration(ages.p50)));
    }
    parts.join(", ")
}

/// Writes a stack behind its label.
pub fn stack(out: &mut String, label: &str, frames: &[Frame], style: Style) {
    let frames = own_frames(frames);
    let below = " ".repeat(label.len());
    for (i, frame) in frames.iter().take(FRAMES_MAX).enumerate() {
        let _ = writeln!(out, "  {} {}", if i == 0 { label } else { &below }, line(frame, style));
    }
    let hidden = frames.len().saturating_sub(FRAMES_MAX) as u64;
    if hidden > 0 {
        let _ = writeln!(out, "  {below} and {}", plural(hidden, "more frame"));
    }
}

/// The frames up to main: what called it is the same in every program.
fn own_frames(frames: &[Frame]) -> &[Frame] {
    let position = |name| frames.iter().position(|f| f.function.as_deref() == Some(name));
    let end = position("main").map(|main| main + 1);
    let end = end.or_else(|| position("__libc_start_call_main").filter(|&caller| caller > 0));
    &frames[..end.unwrap_or(frames.len())]
}

fn line(frame: &Frame, style: Style) -> String {
    let name = place::function(frame);
    if frame.function.is_none() {
        return name;
    }
    let mut shown: String = name.chars().take(NAME_CHARS - 3).collect();
    shown = if name.chars().count() > NAME_CHARS { shown + "..." } else { name };
    format!("{shown:<NAME_CHARS$} {}", style.dim(&place::position(frame))).trim_end().to_owned()
}

fn infos(out: &mut String, report: &Report, style: Style) {
    let infos: Vec<_> = report.findings.iter().filter(|f| f.level == Severity::Info).collect();
    if !infos.is_empty() {
        let _ = writeln!(out, "\n{}", style.dim("legal, but counted:"));
    }
    for finding in infos.iter().take(INFOS_MAX) {
        let stacks = &finding.stacks;
        let top = [&stacks.del, &stacks.free, &stacks.access, &stacks.handler, &stacks.arm]
            .into_iter()
            .find_map(|frames| frames.first());
        let place = top.map(|f| format!("\n        {}", place::call(f))).unwrap_or_default();
        let tail = if finding.tail { ", in the handler's last instructions" } else { "" };
        let times = plural(finding.count, "time");
        let _ = writeln!(out, "  info: {}, {times}{tail}{place}", kind(finding));
    }
    let hidden = infos.len().saturating_sub(INFOS_MAX) as u64;
    if hidden > 0 {
        let _ = writeln!(out, "  {}: see the JSON report", plural(hidden, "more info"));
    }
}
