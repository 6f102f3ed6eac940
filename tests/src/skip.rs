//! Tests that this machine cannot run, aloud.

use std::io::Write;
use std::path::PathBuf;

/// Says that the test is skipped and why: on the real stderr, since the test
/// runner swallows what passing tests print.
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("?");
    let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {why}");
}

/// The path of an installed tool: Debian's own before a wrapper of that name.
/// Skips aloud and returns `None` if there is none.
pub fn find_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = PathBuf::from("/usr/bin").join(name);
    let mut places =
        std::iter::once(first).chain(std::env::split_paths(&path).map(|dir| dir.join(name)));
    let found = places.find(|file| file.is_file());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found
}

/// Whether we may mount, change ids and set priorities.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}
