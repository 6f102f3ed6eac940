//! What only timer_list timers have: the answers to the mail's two open
//! questions, and whether the books balanced. Nothing where there were none.

use std::cmp::Reverse;
use std::fmt::Write;

use deadwalk_detector::Kind;

use super::place;
use super::style::Style;
use super::units::{count, plural};
use super::wrap::wrap;
use super::{INDENT, WIDTH};
use crate::report::Report;
use crate::report::model::Finding;

/// Handlers shown; all of them are in the JSON.
const HANDLERS_MAX: usize = 20;

/// Writes what the first screen says of them.
pub fn summary(out: &mut String, report: &Report, style: Style) {
    let detached = report.total("timers.auto_detached");
    if detached > 0 {
        let timers = plural(detached, "armed timer_list");
        let _ = writeln!(out, "  {timers} detached: freed, initialised again or unloaded.");
    }
    let changed = report.total("timers.fields_changed");
    if changed > 0 {
        let times = plural(changed, "time");
        let _ = writeln!(out, "  Fields of an armed timer_list changed {times}, which is legal.");
    }
    if !report.invariant_ok() {
        books(out, style);
    }
}

/// What was armed is not what became of it.
fn books(out: &mut String, style: Style) {
    let text = "The books of the timer_lists do not balance: those armed are not as many as expired, \
                were refused, deleted or detached, or are still armed. Do not rely on the numbers.";
    for line in wrap(text, WIDTH - 2) {
        let _ = writeln!(out, "  {}", style.bold(&line));
    }
}

/// Writes how timer_lists were trashed, and who frees them in the handler.
pub fn write(out: &mut String, report: &Report, style: Style) {
    trashed(out, report, style);
    free_own(out, report, style);
}

fn trashed(out: &mut String, report: &Report, style: Style) {
    let ways = [
        ("timers.trashed.freed", "freed", "in freed memory"),
        ("timers.trashed.uninit", "uninitialised", "never initialised"),
        ("timers.trashed.copied", "copied", "copied while armed"),
        ("timers.trashed.wiped", "wiped", "zeroed while armed"),
        ("timers.trashed.clobbered", "clobbered", "overwritten while armed"),
    ];
    let counted = ways.map(|(path, name, what)| (report.total(path), name, what));
    if counted.iter().any(|&(number, ..)| number > 0) {
        let _ = writeln!(out, "\n{}", style.dim("how timer_lists were trashed:"));
        for (number, name, what) in counted {
            let _ = writeln!(out, "{:>9}  {name:<15} {what}", count(number));
        }
    }
}

/// A handler, where it frees its timer, and how often.
struct FreeOwn {
    handler: String,
    site: String,
    number: u64,
}

fn free_own(out: &mut String, report: &Report, style: Style) {
    let mut rows: Vec<FreeOwn> = Vec::new();
    for finding in report.findings.iter().filter(|f| f.kind == Kind::FreeOwnHandler.name()) {
        let (handler, site) = places(finding);
        match rows.iter_mut().find(|row| row.handler == handler && row.site == site) {
            Some(row) => row.number = row.number.saturating_add(finding.count),
            None => rows.push(FreeOwn { handler, site, number: finding.count }),
        }
    }
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|row| Reverse(row.number));
    let _ = writeln!(out, "\n{}", style.dim("who frees its timer_list in its handler:"));
    for row in rows.iter().take(HANDLERS_MAX) {
        let _ = writeln!(out, "{:>9}  handler: {}", count(row.number), row.handler);
        let _ = writeln!(out, "{INDENT} frees at {}", row.site);
    }
    let hidden = rows.len().saturating_sub(HANDLERS_MAX) as u64;
    if hidden > 0 {
        let _ = writeln!(out, "{INDENT} and {}", plural(hidden, "more handler"));
    }
}

fn places(finding: &Finding) -> (String, String) {
    let stacks = &finding.stacks;
    let unknown = || "?".to_owned();
    let site = stacks.free.first().or(stacks.access.first());
    (
        stacks.handler.last().map_or_else(unknown, place::entry),
        site.map_or_else(unknown, place::call),
    )
}
