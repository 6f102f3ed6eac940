//! Says why a program left no record: never silence.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use deadwalk_detector::record::layout;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};

use crate::collect::open_regular;

/// Bytes of a program that are looked at: headers stand in front.
const HEAD_BYTES: u64 = 64 * 1024;
/// Scripts whose interpreter is a script: followed so often.
const SCRIPT_DEPTH: usize = 4;

/// One line: nothing was seen of `program`, and why.
pub fn explain(program: &OsStr, folder: Option<&Path>, others_seen: bool) -> String {
    let name = Path::new(program).display();
    let reason = find_program(program)
        .and_then(|path| reason(&path, SCRIPT_DEPTH))
        .or_else(|| no_space(folder?))
        .unwrap_or_else(|| {
            "it ended before the library started, or cleared LD_PRELOAD or DEADWALK_OPTIONS, or could not write its record".into()
        });
    let what = if others_seen {
        "nothing was seen of it, only of its children"
    } else {
        "nothing was seen"
    };
    format!("{name} left no record, {what}: {reason}")
}

/// Whether there is no room for a record now.
fn no_space(folder: &Path) -> Option<String> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let full = disk.f_bavail.saturating_mul(disk.f_frsize) < layout::FULL_BYTES as u64;
    full.then(|| format!("there is no space left in {}", folder.display()))
}

/// The file that a shell would run.
pub fn find_program(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(PathBuf::from(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| {
        file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    })
}

/// Why the file at `path` cannot be preloaded into, if its looks tell.
fn reason(path: &Path, depth: usize) -> Option<String> {
    let shown = path.display();
    let metadata = path.metadata().ok()?;
    if metadata.mode() & 0o6000 != 0 {
        return Some(format!("{shown} is set-id, the loader ignores LD_PRELOAD for it"));
    }
    if rustix::fs::getxattr(path, c"security.capability", &mut [0u8; 64]).is_ok() {
        return Some(format!(
            "{shown} has file capabilities, the loader ignores LD_PRELOAD for it"
        ));
    }
    let mut head = Vec::new();
    open_regular(path).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    if let Some(script) = head.strip_prefix(b"#!") {
        return script_reason(path, script, depth);
    }
    elf_reason(&head).map(|why| format!("{shown} is {why}"))
}

/// The reason that a script's interpreter gives.
fn script_reason(path: &Path, script: &[u8], depth: usize) -> Option<String> {
    let line = script.split(|&b| b == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let interpreter = Path::new(words.next()?);
    // `env NAME`: the program that counts is NAME.
    let program = if interpreter.file_name().is_some_and(|n| n == "env") {
        find_program(words.find(|w| !w.starts_with('-') && !w.contains('='))?.as_ref())?
    } else {
        interpreter.to_owned()
    };
    let why = reason(&program, depth.checked_sub(1)?)?;
    Some(format!("{} is a script, and {why}", path.display()))
}

/// What is special about an ELF file, by its first bytes.
fn elf_reason(head: &[u8]) -> Option<String> {
    if !head.starts_with(b"\x7fELF") {
        return Some("no ELF file".into());
    }
    if head.get(4) == Some(&1) {
        return Some("a 32-bit program, the library is 64-bit".into());
    }
    let header = elf::FileHeader64::<Endianness>::parse(head).ok()?;
    let endian = header.endian().ok()?;
    if header.e_machine(endian) != elf::EM_X86_64 {
        return Some("built for another processor".into());
    }
    let segments = header.program_headers(endian, head).ok()?;
    let loader = segments.iter().find_map(|s| s.interpreter(endian, head).ok()?);
    match loader {
        None => Some("statically linked, there is no loader to preload into it".into()),
        Some(loader) => {
            let loader = String::from_utf8_lossy(loader);
            let glibc = loader.contains("ld-linux");
            (!glibc).then(|| format!("linked with another C library (its loader is {loader})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of an ELF file of a class and machine without segments.
    fn head(class: u8, machine: u16) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head
    }

    #[test]
    fn programs_without_our_loader_are_told_apart() {
        let why = |head: &[u8]| elf_reason(head).unwrap_or_default();
        assert!(why(&head(1, 3)).contains("32-bit"));
        assert!(why(&head(2, 183)).contains("another processor"));
        assert!(why(&head(2, 62)).contains("statically linked"));
        assert!(why(b"MZ").contains("no ELF"));
        assert_eq!(why(b"\x7fELF"), "");
    }

    #[test]
    fn an_ordinary_program_has_no_visible_reason() {
        let own = std::env::current_exe().expect("a path");
        assert_eq!(reason(&own, 1), None);
        assert!(
            explain(own.as_os_str(), None, false).contains("nothing was seen: it ended before")
        );
    }

    #[test]
    fn set_id_programs_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("setid");
        std::fs::write(&program, head(2, 62)).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o4755);
        std::fs::set_permissions(&program, mode).expect("own file");
        assert!(reason(&program, 1).expect("a reason").contains("set-id"));
    }

    #[test]
    fn a_script_s_interpreter_counts_and_loops_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("a file");
            path
        };
        let program = file("static", &head(2, 62));
        let script = file("script", format!("#! {}\n", program.display()).as_bytes());
        let why = reason(&script, SCRIPT_DEPTH).expect("a reason");
        assert!(why.contains("is a script") && why.contains("statically linked"), "{why}");
        let circle = folder.path().join("circle");
        std::fs::write(&circle, format!("#!{}", circle.display())).expect("a file");
        assert_eq!(reason(&circle, SCRIPT_DEPTH), None);
    }
}
