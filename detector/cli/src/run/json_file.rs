//! The file of `--json`.
//!
//! It is opened before CMD starts, so that a path that cannot be written is
//! told at once. CMD runs all the same; the exit status is 125 then, because a
//! script that asked for the file must not take its absence for success.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::output;
use crate::report::{self, Report};

/// The file, if one was asked for.
pub struct JsonFile {
    path: Option<PathBuf>,
    file: Option<File>,
}

impl JsonFile {
    /// Opens `path`; says so if that fails.
    pub fn create(path: Option<&Path>) -> JsonFile {
        let file = path.and_then(|path| {
            File::create(path)
                .inspect_err(|e| output::line(&format!("cannot write {}: {e}", path.display())))
                .ok()
        });
        JsonFile { path: path.map(Path::to_owned), file }
    }

    /// Writes the report; whether the file is as it was asked for.
    pub fn write(self, report: Option<&Report>) -> bool {
        let Some(path) = self.path else { return true };
        let (Some(mut file), Some(report)) = (self.file, report) else { return false };
        match file.write_all(report::json(report).as_bytes()) {
            Ok(()) => true,
            Err(error) => {
                output::line(&format!("cannot write {}: {error}", path.display()));
                false
            }
        }
    }
}
