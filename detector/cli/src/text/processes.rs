//! What was dropped, and the processes.

use std::fmt::Write;

use super::heap;
use super::style::Style;
use super::units::{count, duration, plural};
use crate::escape::visible;
use crate::report::Report;
use crate::report::model::Process;

/// Processes listed; all of them are in the JSON.
const PROCESSES_MAX: usize = 10;
/// Lines about missing symbols.
const PROBLEMS_MAX: usize = 10;
/// Columns of a program's name.
const NAME_CHARS: usize = 34;

/// Writes drops, the heap's numbers and the processes.
pub fn write(out: &mut String, report: &Report, style: Style) {
    dropped(out, report, style);
    heap::write(out, report);
    let number = plural(report.processes.len() as u64, "record");
    let _ = writeln!(out, "{number} (one per process, one more per exec):");
    // Those with deletes first: they are what the report is about.
    let mut processes: Vec<&Process> = report.processes.iter().collect();
    processes.sort_by_key(|p| std::cmp::Reverse((p.del.while_running, p.del.calls)));
    for process in processes.iter().take(PROCESSES_MAX) {
        line(out, process);
    }
    let hidden = processes.len().saturating_sub(PROCESSES_MAX) as u64;
    if hidden > 0 {
        let _ = writeln!(out, "  and {} more", count(hidden));
    }
}

fn line(out: &mut String, process: &Process) {
    let name = visible(process.exe.rsplit('/').next().unwrap_or_default());
    let name: String = name.chars().take(NAME_CHARS).collect();
    let ended = ended(process);
    let _ = write!(out, "  pid {:<8} {name:<NAME_CHARS$} {ended}", process.pid);
    let _ = write!(out, " after {}", duration(process.duration_ns));
    if process.del.calls > 0 {
        let (landed, calls) = (count(process.del.while_running), count(process.del.calls));
        let _ = write!(out, ", {landed} of {calls} landed");
    }
    let _ = writeln!(out);
}

fn ended(process: &Process) -> String {
    match process.ended {
        "exit" => format!("exit {}", process.code),
        "signal" => format!("killed by signal {}", process.code),
        "running" => "still running".to_owned(),
        _ if process.replaced_by_exec => "replaced by exec".to_owned(),
        _ => "end not recorded".to_owned(),
    }
}

/// What found no place in a table: never silence.
fn dropped(out: &mut String, report: &Report, style: Style) {
    let sum = |name: &str| {
        let values = report.processes.iter().filter_map(|p| p.dropped.get(name)?.as_u64());
        values.fold(0, u64::saturating_add)
    };
    let lines = [
        ("events", "event", "found no place in the tables; counts of findings are too low"),
        ("sites", "delete call", "found no place in the table of sites; the totals have them"),
        ("timers", "timer", "found no place and ran unwatched"),
        ("children", "child process", "could not write a record; their deletes are missing"),
    ];
    let mut text = String::new();
    let untold = report.total("heap.untold_misuses");
    if untold > 0 {
        let what = "of the heap came too many at once to be described";
        let _ = writeln!(text, "  {} {what}", plural(untold, "misuse"));
    }
    for (name, noun, what) in lines {
        let number = sum(name);
        if number > 0 {
            let number = if noun == "child process" && number > 1 {
                format!("{} child processes", count(number))
            } else {
                plural(number, noun)
            };
            let _ = writeln!(text, "  {number} {what}");
        }
    }
    for problem in report.symbol_problems.iter().take(PROBLEMS_MAX) {
        let _ = writeln!(text, "  {}", visible(problem));
    }
    let hidden = report.symbol_problems.len().saturating_sub(PROBLEMS_MAX);
    if hidden > 0 {
        let _ = writeln!(text, "  no symbols for {hidden} more files");
    }
    if !text.is_empty() {
        let _ = write!(out, "\n{}\n{text}", style.bold("not seen:"));
    }
}
