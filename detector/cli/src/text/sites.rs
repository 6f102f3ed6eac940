//! The table of delete sites.

use std::fmt::Write;

use deadwalk_detector::Consequence;
use deadwalk_detector::histogram::bucket;

use super::place;
use super::style::Style;
use super::units::{count, duration, percent, plural};
use super::wrap::wrap;
use super::{INDENT, WIDTH};
use crate::report::Report;
use crate::report::model::{DelSite, Window};

/// Sites shown; all of them are in the JSON.
const SITES_MAX: usize = 20;
/// Handlers shown per site.
const HANDLERS_MAX: usize = 4;
/// Columns of the histogram.
const BARS: usize = 16;

/// Writes the table, if there is a site.
pub fn write(out: &mut String, report: &Report, style: Style) {
    if report.del_sites.is_empty() {
        return;
    }
    let head = format!(
        "{:>9} {:>9} {:>8}  {:<15} {:>10} {:>8}  {}",
        "CALLS", "LANDED", "RATE", "WORST", "WINDOW p50", "max", "HOW LONG THE HANDLER WENT ON"
    );
    let _ = writeln!(out, "\n{}", style.dim(&head));
    for site in report.del_sites.iter().take(SITES_MAX) {
        row(out, site, style);
    }
    let hidden = report.del_sites.get(SITES_MAX..).unwrap_or_default();
    if !hidden.is_empty() {
        let calls = hidden.iter().fold(0u64, |sum, s| sum.saturating_add(s.calls));
        let more = plural(hidden.len() as u64, "more delete site");
        let _ = writeln!(out, "{INDENT}and {more} with {}", plural(calls, "call"));
    }
}

fn row(out: &mut String, site: &DelSite, style: Style) {
    let window = &site.window_ns;
    let (p50, max) = if window.count == 0 {
        ("-".to_owned(), "-".to_owned())
    } else {
        (duration(window.p50), duration(window.max))
    };
    let numbers = format!(
        "{:>9} {:>9} {:>6} %  {:<15} {:>10} {:>8}  {}",
        count(site.calls),
        count(site.while_running),
        percent(site.rate),
        worst(site),
        p50,
        max,
        histogram(window),
    );
    let numbers = numbers.trim_end();
    let landed = site.while_running > 0;
    let _ = writeln!(out, "{}", if landed { style.bold(numbers) } else { numbers.to_owned() });
    let _ = writeln!(out, "{INDENT}{} at {}", site.op, place::call(&site.site));
    for handler in site.handlers.iter().take(HANDLERS_MAX) {
        let _ = writeln!(out, "{INDENT}handler: {}", place::entry(handler));
    }
    let hidden = site.handlers.len().saturating_sub(HANDLERS_MAX) as u64;
    let more = hidden.saturating_add(site.handlers_dropped);
    if more > 0 {
        let _ = writeln!(out, "{INDENT}and {}", plural(more, "more handler"));
    }
    remarks(out, site);
    armed_again(out, site);
}

fn worst(site: &DelSite) -> &'static str {
    match site.worst {
        Some(Consequence::None) => "no harm seen",
        Some(consequence) => consequence.name(),
        None => "-",
    }
}

fn remarks(out: &mut String, site: &DelSite) {
    let mut remarks = Vec::new();
    if site.in_tail > 0 {
        remarks.push(format!("{} landed in the handler's last instructions", count(site.in_tail)));
    }
    if site.sync_waits > 0 {
        let longest = duration(site.sync_wait_ns.max);
        remarks.push(format!("{} waited ({longest} at most)", count(site.sync_waits)));
    }
    if site.self_deletes > 0 {
        remarks.push(format!("{} by the timer's own handler", count(site.self_deletes)));
    }
    if !remarks.is_empty() {
        for line in wrap(&remarks.join("; "), WIDTH - INDENT.len()) {
            let _ = writeln!(out, "{INDENT}{line}");
        }
    }
}

/// What a timer_list's waiting delete had to do more than wait.
fn armed_again(out: &mut String, site: &DelSite) {
    let mut by = Vec::new();
    if site.readds_by_handler > 0 {
        by.push(format!("{} by the handler", count(site.readds_by_handler)));
    }
    if site.readds_by_other > 0 {
        by.push(format!("{} by another thread", count(site.readds_by_other)));
    }
    let mut parts = Vec::new();
    if !by.is_empty() {
        parts.push(format!("armed again while the handler ran: {}", by.join(", ")));
    }
    if site.re_deletes > 0 {
        parts.push(format!("deleted again: {}", count(site.re_deletes)));
    }
    if !parts.is_empty() {
        let _ = writeln!(out, "{INDENT}{}", parts.join("; "));
    }
}

/// `512 us ▁▃█▂ 4.1 ms`: the windows between the two durations. The columns
/// are equal in ratio, not in time.
pub fn histogram(window: &Window) -> String {
    let (Some(first), Some(last)) = (window.buckets.first(), window.buckets.last()) else {
        return String::new();
    };
    let (low, high) = (bucket(first[0]), bucket(last[0]));
    let span = high.saturating_sub(low) + 1;
    let mut bars = vec![0u64; span.min(BARS)];
    let columns = bars.len();
    for &[start, _, number] in &window.buckets {
        let column = bucket(start).saturating_sub(low) * columns / span;
        bars[column] = bars[column].saturating_add(number);
    }
    let most = bars.iter().copied().max().unwrap_or(1).max(1);
    let drawn: String = bars.iter().map(|&number| bar(number, most)).collect();
    format!("{} {drawn} {}", duration(first[0]), duration(last[1]))
}

fn bar(number: u64, most: u64) -> char {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if number == 0 {
        return '·';
    }
    let height = (number as f64 / most as f64 * HEIGHTS.len() as f64).ceil() as usize;
    HEIGHTS[height.clamp(1, HEIGHTS.len()) - 1]
}
