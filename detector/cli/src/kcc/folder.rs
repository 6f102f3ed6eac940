//! Finds the folder of the C headers.

use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Names its path.
const VARIABLE: &str = "DEADWALK_INCLUDE";
/// Where it may lie, from the executable's folder: beside it, installed, and in the
/// source tree, whose build folder is `target/PROFILE`.
const PLACES: [&str; 4] =
    ["include", "../lib/deadwalk/include", "../share/deadwalk/include", "../../shim/include"];
/// The source tree that this was built from, which may build elsewhere.
const SOURCE_TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shim/include");
/// By these it is known.
const HEADERS: [&str; 2] = ["deadwalk/timer.h", "kernel/linux/timer.h"];

/// The folder's absolute path.
///
/// # Errors
///
/// If `$DEADWALK_INCLUDE` is set and is no such folder, or there is none in any place.
pub fn find() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        let path = PathBuf::from(path);
        return headers_in(&path).ok_or_else(|| {
            Failure::own(format!("{VARIABLE}: no headers of deadwalk in {}", path.display()))
        });
    }
    let executable = std::env::current_exe()
        .map_err(|error| Failure::own(format!("cannot find the own executable: {error}")))?;
    let folder = executable.parent().unwrap_or(Path::new("/"));
    let places = PLACES.iter().map(|place| folder.join(place));
    places.chain([PathBuf::from(SOURCE_TREE)]).find_map(|place| headers_in(&place)).ok_or_else(
        || {
            Failure::own(format!(
                "kcc: the C headers are in none of {} from {} (set {VARIABLE})",
                PLACES.join(", "),
                folder.display()
            ))
        },
    )
}

fn headers_in(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    HEADERS.iter().all(|header| folder.join(header).is_file()).then_some(folder)
}
