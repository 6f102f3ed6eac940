//! From paths to one merged set of records.

mod files;
mod heap;
mod merge;
mod pool;
mod process;
mod totals;

use std::path::{Path, PathBuf};

use deadwalk_detector::record::reader::Record;

pub use files::{list_records, open_regular, read_record};
pub use heap::HeapTotal;
pub use merge::Merged;
pub use pool::{Address, AddressId, Module, Pool, StackId};
pub use process::{Ended, ProcessTotal, options, start_ticks};
pub use totals::{FindingTotal, SiteTotal};

/// Reads and merges the records at `paths`, which are files or folders.
///
/// One record is in memory at a time; what stays is the merged tables and a few
/// numbers and texts per process, so ten thousand records are no trouble.
/// What cannot be read stands in [`Merged::problems`]. A record that was not begun
/// is no problem as long as there are others: a process was killed as it started.
pub fn collect(paths: &[PathBuf]) -> Merged {
    let mut merged = Merged::default();
    let mut not_begun = Vec::new();
    for path in paths {
        match list_records(path) {
            Ok(files) => files.iter().for_each(|file| add(&mut merged, file, &mut not_begun)),
            Err(problem) => merged.problems.push(problem),
        }
    }
    if merged.processes.is_empty() {
        merged.problems.append(&mut not_begun);
    }
    merged.finish();
    merged
}

fn add(merged: &mut Merged, file: &Path, not_begun: &mut Vec<String>) {
    let bytes = read_record(file);
    let is_not_begun = bytes.as_ref().is_ok_and(|bytes| Record::is_not_begun(bytes));
    let record = bytes
        .and_then(|bytes| Record::parse(&bytes).map_err(|e| format!("{}: {e}", file.display())));
    match record {
        Err(problem) if is_not_begun => not_begun.push(problem),
        Ok(record) => {
            let problems = record.problems.iter().map(|p| format!("{}: {p}", file.display()));
            merged.problems.extend(problems);
            merged.add(&record);
        }
        Err(problem) => merged.problems.push(problem),
    }
}
