//! The heap's numbers, and what was live at the end.

use std::fmt::Write;

use serde_json::Value;

use super::place;
use super::style::Style;
use super::units::{bytes, count, plural};
use crate::report::Report;

/// Size classes named.
const CLASSES_MAX: usize = 4;
/// Sites listed; all of them are in the JSON.
const SITES_MAX: usize = 20;

/// Writes the heap's totals.
pub fn write(out: &mut String, report: &Report) {
    let _ = writeln!(
        out,
        "\nheap: {} and {}, {} verified before reuse",
        plural(report.total("heap.allocs"), "allocation"),
        plural(report.total("heap.frees"), "free"),
        bytes(report.total("heap.verified_bytes")),
    );
    classes(out, report);
    guards(out, report);
    let repeated = report.total("heap.repeated_misuses");
    if repeated > 0 {
        let what = "of objects of which one had been reported";
        let _ = writeln!(out, "  {} {what}", plural(repeated, "further misuse"));
    }
    let calls = report.total("heap.signal_calls");
    if calls > 0 {
        let what = "by signal handlers that had interrupted the heap";
        let _ = writeln!(out, "  {} {what}", plural(calls, "heap call"));
    }
    let released = report.total("heap.guards_released");
    if released > 0 {
        let what = "of freed blocks guarded no longer, or not at all, for want of room";
        let _ = writeln!(out, "  {} {what}", plural(released, "page"));
    }
    let refused = report.total("heap.guards_refused");
    if refused > 0 {
        let what = "with others, for want of room to lie alone (guard_live, or few addresses)";
        let _ = writeln!(out, "  {} {what}", plural(refused, "block"));
    }
}

/// How many pages were guarded, and how.
fn guards(out: &mut String, report: &Report) {
    let pages = report.total("heap.guard_pages");
    if pages == 0 {
        return;
    }
    let means = [("madvise", "the kernel's guards"), ("mprotect", "page protection")];
    let is_used = |name| report.processes.iter().any(|process| process.guard_means == name);
    let used: Vec<&str> =
        means.into_iter().filter(|&(name, _)| is_used(name)).map(|(_, means)| means).collect();
    let _ = writeln!(out, "  {} guarded, by {}", plural(pages, "page"), used.join(" and "));
}

/// The classes that hold the most bytes.
fn classes(out: &mut String, report: &Report) {
    let number = |class: &Value, name: &str| class[name].as_u64().unwrap_or(0);
    let classes = report.totals.get("heap").and_then(|heap| heap["classes"].as_array());
    let mut live: Vec<(u64, u64)> = classes
        .into_iter()
        .flatten()
        .map(|class| (number(class, "slot_bytes"), number(class, "live")))
        .filter(|&(_, live)| live > 0)
        .collect();
    if live.is_empty() {
        return;
    }
    // Directly mapped blocks, which have no slot size, are the largest.
    live.sort_by_key(|&(slot, live)| {
        std::cmp::Reverse(if slot == 0 { u64::MAX } else { slot.saturating_mul(live) })
    });
    let blocks = live.iter().fold(0, |sum: u64, &(_, live)| sum.saturating_add(live));
    let named = live.iter().take(CLASSES_MAX).map(|&(slot, live)| match slot {
        0 => format!("{} mapped directly", count(live)),
        slot => format!("{} of {}", count(live), bytes(slot)),
    });
    let more = if live.len() > CLASSES_MAX { ", ..." } else { "" };
    let named: Vec<String> = named.collect();
    let blocks = plural(blocks, "block");
    let _ = writeln!(out, "  live at the end: {blocks}; by slot: {}{more}", named.join(", "));
}

/// Writes what was live at the end, by allocation site, if that was asked for.
pub fn live_blocks(out: &mut String, report: &Report, style: Style) {
    let sites = &report.heap_sites;
    if sites.is_empty() {
        return;
    }
    let sum = |value: fn(&crate::report::model::HeapSite) -> u64| {
        sites.iter().map(value).fold(0, u64::saturating_add)
    };
    let head = format!(
        "live at exit: {}, {}, at {}",
        plural(sum(|s| s.blocks), "block"),
        plural(sum(|s| s.bytes), "byte"),
        plural(sites.iter().filter(|s| s.is_known).count() as u64, "site"),
    );
    let _ = writeln!(out, "\n{}", style.bold(&head));
    let _ = writeln!(out, "{}", style.dim(&format!("{:>9} {:>10}", "BLOCKS", "BYTES")));
    for site in sites.iter().take(SITES_MAX) {
        let place = if site.is_known { place::call(&site.site) } else { "elsewhere".to_owned() };
        let _ = writeln!(out, "{:>9} {:>10}  {place}", count(site.blocks), count(site.bytes));
    }
    let hidden = sites.len().saturating_sub(SITES_MAX) as u64;
    if hidden > 0 {
        let _ = writeln!(out, "  and {}: see the JSON report", plural(hidden, "more site"));
    }
}
