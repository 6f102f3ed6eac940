//! Finds libdeadwalk.so.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// The library's file name.
const NAME: &str = "libdeadwalk.so";
/// Names its path.
const VARIABLE: &str = "DEADWALK_LIB";
/// Where it may lie, from the executable's folder.
const PLACES: [&str; 3] = [".", "../lib/deadwalk", "../lib"];

/// The library's absolute path.
///
/// # Errors
///
/// If `$DEADWALK_LIB` is set and is no file, or there is none in any place.
pub fn find() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|v| !v.is_empty()) {
        let path = PathBuf::from(path);
        return absolute(&path)
            .ok_or_else(|| Failure::own(format!("{VARIABLE}: no library at {}", path.display())));
    }
    let executable = std::env::current_exe()
        .map_err(|e| Failure::own(format!("cannot find the own executable: {e}")))?;
    let folder = executable.parent().unwrap_or(Path::new("/"));
    PLACES.iter().find_map(|place| absolute(&folder.join(place).join(NAME))).ok_or_else(|| {
        let folder = folder.display();
        Failure::own(format!(
            "{NAME} is neither beside the executable in {folder} nor in ../lib/deadwalk or ../lib (set {VARIABLE})"
        ))
    })
}

fn absolute(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|p| p.is_file())
}

/// A path of the library that LD_PRELOAD can hold: it splits at spaces and
/// colons, so such a path goes through a symlink in the temporary folder.
///
/// # Errors
///
/// If there is no temporary folder, or its own path has a space or a colon.
pub fn preloadable(library: &Path, temporary: Option<&Path>) -> Result<PathBuf, Failure> {
    if !splits(library) {
        return Ok(library.to_owned());
    }
    let cannot = |why: String| Failure::own(format!("cannot preload {}: {why}", library.display()));
    let folder = temporary.ok_or_else(|| {
        cannot("LD_PRELOAD splits such a path, and there is no temporary folder".into())
    })?;
    let link = folder.join(NAME);
    symlink(library, &link).map_err(|e| cannot(e.to_string()))?;
    if splits(&link) {
        return Err(cannot("the temporary folder's path has a space or a colon too".into()));
    }
    Ok(link)
}

/// Whether ld.so takes the path for several, or expands it.
pub fn splits(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().any(|b| b.is_ascii_whitespace() || matches!(b, b':' | b'$'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_splits_goes_through_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let odd = folder.path().join("a b:c");
        std::fs::create_dir(&odd).expect("a folder");
        let library = odd.join(NAME);
        std::fs::write(&library, b"x").expect("a file");
        let path = preloadable(&library, Some(folder.path())).expect("a path");
        assert!(!splits(&path));
        assert_eq!(std::fs::read(&path).expect("the library"), b"x");
        assert_eq!(
            preloadable(Path::new("/lib/x.so"), None).expect("itself"),
            Path::new("/lib/x.so")
        );
        assert!(preloadable(&library, None).is_err());
    }
}
