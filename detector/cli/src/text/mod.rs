//! The text report, for people: 100 columns, plain words.
//!
//! The first screen answers "how often did a delete land on a running handler,
//! and what did it cost"; the evidence follows, then what was not seen.

#[cfg(test)]
mod access_tests;
mod crashes;
mod findings;
mod headline;
mod heap;
mod place;
mod processes;
mod sites;
mod style;
#[cfg(test)]
mod tests;
mod timer_list;
#[cfg(test)]
mod timer_list_tests;
pub mod units;
mod wrap;

use crate::report::Report;
use style::Style;

/// Columns that the report keeps to where texts allow it.
const WIDTH: usize = 100;
/// What stands below a row's numbers is indented by this.
const INDENT: &str = "          ";

/// The report as text, with colours or without.
pub fn render(report: &Report, colour: bool) -> String {
    let style = Style::new(colour);
    let mut out = String::new();
    headline::write(&mut out, report, style);
    sites::write(&mut out, report, style);
    timer_list::write(&mut out, report, style);
    findings::write(&mut out, report, style);
    crashes::write(&mut out, report, style);
    heap::live_blocks(&mut out, report, style);
    processes::write(&mut out, report, style);
    out
}
