//! Where this run's records go.

use std::collections::HashSet;
use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use deadwalk_detector::record::layout;
use tempfile::TempDir;

use super::{environment, library};
use crate::output;

/// Only the user may look into a folder of records: they hold command lines
/// and bytes of the heap.
const MODE: u32 = 0o700;

/// The folder that was asked for, or a temporary one that goes when this does.
pub struct Folder {
    temporary: Option<TempDir>,
    kept: Option<PathBuf>,
    earlier: HashSet<PathBuf>,
}

impl Folder {
    /// Makes the folder. If that fails it says so, and the run goes on with
    /// the next best: a temporary folder, or none.
    pub fn prepare(wanted: Option<&Path>) -> Folder {
        let temporary = temporary();
        if let Err(error) = &temporary {
            output::line(&format!("cannot make a temporary folder: {error}"));
        }
        let kept = wanted.and_then(|wanted| match keep(wanted) {
            Ok(folder) => Some(folder),
            Err(why) => {
                let instead = if temporary.is_ok() { "; the records are not kept" } else { "" };
                output::line(&format!("cannot write to {}: {why}{instead}", wanted.display()));
                None
            }
        });
        let earlier = kept.as_deref().map(records_in).unwrap_or_default();
        let folder =
            Folder { temporary: temporary.ok(), kept, earlier: earlier.into_iter().collect() };
        if folder.records().is_none() {
            output::line("nothing can be recorded: there will be no report");
        }
        folder
    }

    /// Where records are written.
    pub fn records(&self) -> Option<&Path> {
        self.kept.as_deref().or_else(|| self.temporary())
    }

    /// The temporary folder.
    pub fn temporary(&self) -> Option<&Path> {
        self.temporary.as_ref().map(TempDir::path)
    }

    /// The records in `folder` that were not there before this run, by name.
    pub fn new_records(&self, folder: &Path) -> Vec<PathBuf> {
        let mut files = records_in(folder);
        files.retain(|file| !self.earlier.contains(file));
        files.sort_unstable();
        files
    }
}

fn temporary() -> std::io::Result<TempDir> {
    let mut base = std::env::temp_dir();
    // The library may have to be linked to from there, and options name it.
    if library::splits(&base) || !environment::can_name(&base) || !base.is_absolute() {
        base = PathBuf::from("/tmp");
    }
    tempfile::Builder::new()
        .prefix("deadwalk-")
        .permissions(Permissions::from_mode(MODE))
        .tempdir_in(base)
}

/// Makes the folder to keep records in, and tries it.
fn keep(wanted: &Path) -> Result<PathBuf, String> {
    let made = DirBuilder::new().mode(MODE).recursive(true).create(wanted);
    made.map_err(|e| e.to_string())?;
    // CMD may change its folder: the path has to be an absolute one.
    let folder = wanted.canonicalize().map_err(|e| e.to_string())?;
    if !environment::can_name(&folder) {
        return Err("its path cannot be written into DEADWALK_OPTIONS".into());
    }
    tempfile::tempfile_in(&folder).map_err(|e| e.to_string())?;
    Ok(folder)
}

fn records_in(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten();
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|file| file.extension().is_some_and(|e| e == layout::SUFFIX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temporary_folder_is_private_and_goes() {
        let folder = Folder::prepare(None);
        let path = folder.records().expect("a folder").to_owned();
        let mode = path.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn earlier_records_are_not_this_run_s() {
        let base = tempfile::tempdir().expect("a folder");
        let wanted = base.path().join("new/deep");
        std::fs::create_dir_all(&wanted).expect("a folder");
        std::fs::write(wanted.join("1.dwrec"), b"").expect("a file");
        let folder = Folder::prepare(Some(&wanted));
        let records = folder.records().expect("a folder");
        std::fs::write(records.join("2.dwrec"), b"").expect("a file");
        std::fs::write(records.join("3.other"), b"").expect("a file");
        assert_eq!(folder.new_records(records), [records.join("2.dwrec")]);
    }
}
