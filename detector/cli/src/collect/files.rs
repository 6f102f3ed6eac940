//! Opens files whose paths are not to be trusted.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use deadwalk_detector::record::layout;
use nix::libc;

/// The record files that `path` stands for: itself, or those in the folder, by name.
///
/// # Errors
///
/// A line for stderr if there is nothing there.
pub fn list_records(path: &Path) -> Result<Vec<PathBuf>, String> {
    let shown = path.display();
    let metadata = path.metadata().map_err(|e| format!("{shown}: {e}"))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = path.read_dir().map_err(|e| format!("{shown}: {e}"))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|e| e == layout::SUFFIX))
        .collect();
    if files.is_empty() {
        return Err(format!("{shown}: no record files (*.{}) in this folder", layout::SUFFIX));
    }
    files.sort_unstable();
    Ok(files)
}

/// Opens a file for reading if it is a regular one; never waits for a FIFO's
/// writer, never takes a terminal.
///
/// # Errors
///
/// Why not, without the path.
pub fn open_regular(path: &Path) -> Result<File, String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .map_err(|e| e.to_string())?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err("not a regular file".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// The bytes of a record file, no more than the layout uses.
///
/// # Errors
///
/// A line for stderr.
pub fn read_record(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let file = open_regular(path).map_err(|e| format!("{shown}: {e}"))?;
    let mut bytes = Vec::new();
    let limit = layout::FULL_BYTES as u64;
    file.take(limit).read_to_end(&mut bytes).map_err(|e| format!("{shown}: {e}"))?;
    Ok(bytes)
}
