//! The report: from merged records to the model that is printed.

mod accesses;
mod build;
mod crash;
mod findings;
mod frames;
mod heap;
mod message;
pub mod model;
mod sites;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timer_list_tests;
mod totals;
mod words;

use crate::arguments::{Format, ReportArguments};
use crate::collect::{self, Merged};
use crate::exit::Failure;
use crate::{escape, output, text};

pub use build::build;
pub use model::Report;

/// `deadwalk report`.
///
/// # Errors
///
/// If no record was readable, or stdout is not writable.
pub fn command(arguments: &ReportArguments) -> Result<u8, Failure> {
    if matches!(arguments.format, Format::Html | Format::Sarif) {
        return Err(Failure::own("--format html and sarif are not available yet"));
    }
    let merged = collect::collect(&arguments.records);
    if merged.processes.is_empty() {
        return Err(Failure::own(unreadable(&merged)));
    }
    let report = build(&merged);
    output::lines(&report.problems);
    let out = match arguments.format {
        Format::Json => json(&report),
        _ => text::render(&report, output::wants_colour(&std::io::stdout())),
    };
    output::to_stdout(&out).map(|()| 0)
}

/// One line for all that could not be read.
fn unreadable(merged: &Merged) -> String {
    match merged.problems.as_slice() {
        [] => "no record".into(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} (and {} more like it)", rest.len()),
    }
}

/// The report as JSON, `deadwalk.report/1`.
pub fn json(report: &Report) -> String {
    let document = serde_json::to_string_pretty(report).unwrap_or_default();
    escape::json(&document) + "\n"
}
