//! Files of the kernel's own, as Debian packages them: taken out of the archive
//! when a test wants them, and compiled as they are.
//!
//! Beside the files themselves come the headers that are their protocol's own.
//! Every other header they name is deadwalk's (`shim/include`) or a stub
//! (`linux/include`).

use crate::{Program, Target, find_tool, skip};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

/// What Debian's package installs, and the folder that all its members lie in.
const ARCHIVE: &str = "/usr/src/linux-source-6.1.tar.xz";
const TOP: &str = "linux-source-6.1";

/// All that a test may ask for: one pass over the archive takes them out.
const MEMBERS: [&str; 19] = [
    "drivers/isdn/mISDN/core.h",
    "drivers/isdn/mISDN/timerdev.c",
    "include/linux/lapb.h",
    "include/net/ax25.h",
    "include/net/lapb.h",
    "include/net/rose.h",
    "net/ax25/ax25_addr.c",
    "net/ax25/ax25_std_subr.c",
    "net/ax25/ax25_std_timer.c",
    "net/ax25/ax25_subr.c",
    "net/ax25/ax25_timer.c",
    "net/lapb/lapb_iface.c",
    "net/lapb/lapb_in.c",
    "net/lapb/lapb_out.c",
    "net/lapb/lapb_subr.c",
    "net/lapb/lapb_timer.c",
    "net/rose/rose_link.c",
    "net/rose/rose_route.c",
    "net/rose/rose_timer.c",
];

/// Beside those of `deadwalk kcc`: warnings as the kernel has them, each an error; what
/// is never called is left out, and what only that needs need not be there; and a
/// second of the kernel's is one tick (see `linux/harness.h`).
const FLAGS: &str = "-O1 -Wall -Werror -Wno-pointer-sign \
    -ffunction-sections -fdata-sections -Wl,--gc-sections -DHZ=1";

/// The extracted files.
#[derive(Debug)]
pub struct LinuxSource {
    folder: PathBuf,
}

impl LinuxSource {
    /// The files, taken out of the archive if that was not done before. Skips
    /// aloud and returns `None` where the package or a tool is missing.
    pub fn find() -> Option<&'static LinuxSource> {
        static SOURCE: OnceLock<Option<LinuxSource>> = OnceLock::new();
        if !Path::new(ARCHIVE).is_file() {
            skip(&format!("{ARCHIVE} is not there (package linux-source-6.1)"));
            return None;
        }
        find_tool("xz")?;
        SOURCE.get_or_init(|| Some(LinuxSource { folder: extract() })).as_ref()
    }

    /// `linux/<harness>.c` together with files of the kernel's, as they are.
    ///
    /// # Panics
    ///
    /// If they do not compile, with every warning an error.
    pub fn compile(&self, harness: &str, files: &[&str], flags: &[&str]) -> Program {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("linux");
        let source = ours.join(harness).with_extension("c");
        let letters = flags.concat().replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let path = self.folder.join(format!("{harness}-{letters}"));
        let fresh = path.with_extension(std::process::id().to_string());
        let output = Command::new(Target::get().command())
            .arg("kcc")
            .args(FLAGS.split_whitespace())
            .args(flags)
            .arg("-I")
            .arg(ours.join("include"))
            .arg("-I")
            .arg(self.folder.join("include"))
            .arg(&source)
            .args(files.iter().map(|file| self.folder.join(file)))
            .arg("-o")
            .arg(&fresh)
            .output()
            .expect("the command runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{harness} {files:?} {flags:?}:\n{said}");
        std::fs::rename(&fresh, &path).expect("the target folder is writable");
        Program { path, source }
    }

    /// The number of the only line of a file that is `text`, but for blanks in front
    /// if `text` has none.
    ///
    /// # Panics
    ///
    /// If no line or more than one is so.
    pub fn line_of(&self, file: &str, text: &str) -> u64 {
        let source = std::fs::read_to_string(self.folder.join(file)).expect("it is readable");
        let is_it =
            |line: &str| if text.starts_with('\t') { line == text } else { line.trim() == text };
        let mut lines = (1..).zip(source.lines()).filter(|(_, line)| is_it(line));
        let (number, _) = lines.next().unwrap_or_else(|| panic!("{file}: no line is {text:?}"));
        assert!(lines.next().is_none(), "{file}: more than one line is {text:?}");
        number
    }
}

/// The folder with the members. Its name has the archive's age and size: another
/// version of the package gets another one. Two tests may do this at once: each
/// fills a folder of its own and renames it.
fn extract() -> PathBuf {
    let archive = std::fs::metadata(ARCHIVE).expect("the archive is readable");
    let modified = archive.modified().expect("the system keeps times");
    let age = modified.duration_since(UNIX_EPOCH).expect("it is not that old").as_secs();
    let folder = Target::get().programs().join(format!("{TOP}-{age}-{}", archive.len()));
    if MEMBERS.iter().all(|member| folder.join(member).is_file()) {
        return folder;
    }
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(Target::get().programs()).expect("the target folder is writable");
    let fresh = tempfile::tempdir_in(Target::get().programs()).expect("a folder");
    // On all processors, and no further than to the last member.
    let status = Command::new("tar")
        .env("XZ_DEFAULTS", "-T0")
        .args(["-xJf", ARCHIVE, "--occurrence=1", "--strip-components=1", "-C"])
        .arg(fresh.path())
        .args(MEMBERS.map(|member| format!("{TOP}/{member}")))
        .status();
    assert!(status.is_ok_and(|status| status.success()), "tar takes {MEMBERS:?} out of {ARCHIVE}");
    if let Err(error) = std::fs::rename(fresh.path(), &folder) {
        // Another process was faster.
        assert!(folder.is_dir(), "{}: {error}", folder.display());
    }
    folder
}
