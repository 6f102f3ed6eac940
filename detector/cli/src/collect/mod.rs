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
/// What cannot be read stands in [`Merged::problems`].
pub fn collect(paths: &[PathBuf]) -> Merged {
    let mut merged = Merged::default();
    for path in paths {
        match list_records(path) {
            Ok(files) => files.iter().for_each(|file| add(&mut merged, file)),
            Err(problem) => merged.problems.push(problem),
        }
    }
    merged.finish();
    merged
}

fn add(merged: &mut Merged, file: &Path) {
    let record = read_record(file)
        .and_then(|bytes| Record::parse(&bytes).map_err(|e| format!("{}: {e}", file.display())));
    match record {
        Ok(record) => {
            let problems = record.problems.iter().map(|p| format!("{}: {p}", file.display()));
            merged.problems.extend(problems);
            merged.add(&record);
        }
        Err(problem) => merged.problems.push(problem),
    }
}
