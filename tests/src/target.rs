//! Where the build put what is under test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder with the command, the library and our compiled C programs.
#[derive(Debug)]
pub struct Target {
    dir: PathBuf,
}

impl Target {
    /// The target folder of the profile this test was built in.
    ///
    /// Says once per test binary which profile is under test, past the test
    /// runner's capture.
    ///
    /// # Panics
    ///
    /// If the command or the library is not there: both are built by `tests/run`.
    pub fn get() -> &'static Target {
        static TARGET: OnceLock<Target> = OnceLock::new();
        TARGET.get_or_init(|| {
            let target = Target { dir: locate() };
            for file in [target.command(), target.library()] {
                assert!(
                    file.is_file(),
                    "{} is missing: `cargo test` does not build it, run tests/run",
                    file.display()
                );
            }
            let _ = writeln!(std::io::stderr(), "under test: {}", target.dir.display());
            target
        })
    }

    /// The `deadwalk` command.
    pub fn command(&self) -> PathBuf {
        self.dir.join("deadwalk")
    }

    /// The library it preloads.
    pub fn library(&self) -> PathBuf {
        self.dir.join("libdeadwalk.so")
    }

    /// Where compiled C programs are kept between test binaries.
    pub fn programs(&self) -> PathBuf {
        self.dir.join("programs")
    }
}

/// A test binary is `target/<profile>/deps/<name>-<hash>`.
fn locate() -> PathBuf {
    if let Some(dir) = std::env::var_os("DEADWALK_TEST_BIN") {
        return PathBuf::from(dir);
    }
    let exe = std::env::current_exe().expect("the test binary has a path");
    let profile = exe.parent().and_then(Path::parent);
    profile.expect("the test binary lies in target/<profile>/deps").to_path_buf()
}
