//! ELF files, opened without trust: the path comes from a record, and whatever
//! lies there now may be another file, a FIFO or made to harm the reader.
//!
//! Only what is asked for is read (no mapping: a file that shrinks under a map
//! is a SIGBUS), and nothing larger than [`SECTION_BYTES_MAX`].

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::read::{ReadCache, ReadRef};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::debug_info::DebugInfo;
use super::names::Names;
use crate::collect::open_regular;

/// Larger files are not looked into: no program is that large.
const FILE_BYTES_MAX: u64 = 8 << 30;
/// Larger sections are left out: a browser's largest one has 1 GiB.
const SECTION_BYTES_MAX: u64 = 2 << 30;

/// An ELF file.
pub struct Elf {
    path: PathBuf,
    cache: ReadCache<File>,
}

impl Elf {
    /// Opens the file if it is a regular one with this build id.
    ///
    /// # Errors
    ///
    /// Why there are no symbols, without the path.
    pub fn open(path: &Path, build_id: Option<&[u8]>) -> Result<Elf, String> {
        let file = open_regular(path)?;
        if file.metadata().is_ok_and(|m| m.len() > FILE_BYTES_MAX) {
            return Err("the file is too large".into());
        }
        let elf = Elf { path: path.to_owned(), cache: ReadCache::new(file) };
        let object = elf.object()?;
        let found = object.build_id().map_err(|e| e.to_string())?.unwrap_or(&[]);
        if build_id.is_some_and(|wanted| wanted != found) {
            return Err("the build id differs, it was rebuilt or replaced since".into());
        }
        Ok(elf)
    }

    fn object(&self) -> Result<object::File<'_, &ReadCache<File>>, String> {
        object::File::parse(&self.cache).map_err(|e| e.to_string())
    }

    /// Adds the functions of `.symtab` and `.dynsym`.
    pub fn add_names(&self, names: &mut Names) {
        let Ok(object) = self.object() else { return };
        for symbol in object.symbols().chain(object.dynamic_symbols()) {
            if symbol.is_definition()
                && symbol.kind() == SymbolKind::Text
                && let Ok(name) = symbol.name()
            {
                names.push(symbol.address(), symbol.size(), name);
            }
        }
    }

    /// The DWARF debug information, if there is any that can be read.
    pub fn debug_info(&self) -> Option<DebugInfo> {
        let object = self.object().ok()?;
        object.section_by_name(".debug_info")?;
        let supplement = self.supplement(&object);
        let sections = |object: &object::File<'_, &ReadCache<File>>, name: &str| {
            section(object, name).unwrap_or_default()
        };
        let extra = supplement.as_ref().and_then(|s| s.object().ok());
        DebugInfo::load(
            |name| sections(&object, name),
            extra.as_ref().map(|extra| |name: &str| sections(extra, name)),
        )
    }

    /// The file that dwz moved common parts to: by the path that stands in this
    /// one, from its folder, or by build id.
    fn supplement<'a, R: ReadRef<'a>>(&self, object: &object::File<'a, R>) -> Option<Elf> {
        let (name, build_id) = object.gnu_debugaltlink().ok()??;
        let path = self.path.parent()?.join(OsStr::from_bytes(name));
        Elf::open(&path, Some(build_id)).ok().or_else(|| separate_debug_file(build_id))
    }
}

fn section<'a, R: ReadRef<'a>>(object: &object::File<'a, R>, name: &str) -> Option<Vec<u8>> {
    let section = object.section_by_name(name)?;
    let data = section.compressed_data().ok()?;
    if data.uncompressed_size > SECTION_BYTES_MAX {
        return None;
    }
    data.decompress().ok().map(|d| d.into_owned())
}

/// The debug file that distributions install apart, found by build id.
pub fn separate_debug_file(build_id: &[u8]) -> Option<Elf> {
    Elf::open(&debug_file_path(build_id)?, Some(build_id)).ok()
}

fn debug_file_path(build_id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    let rest: String = rest.iter().map(|b| format!("{b:02x}")).collect();
    Some(PathBuf::from(format!("/usr/lib/debug/.build-id/{first:02x}/{rest}.debug")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> PathBuf {
        std::env::current_exe().expect("a path")
    }

    #[test]
    fn only_regular_elf_files_of_the_same_build() {
        assert!(Elf::open(&own(), None).is_ok());
        let other = Elf::open(&own(), Some(b"other"));
        assert!(other.err().expect("refused").contains("build id"));
        let why = |path: &str| Elf::open(path.as_ref(), None).err().expect("refused");
        assert_eq!(why("/dev/zero"), "not a regular file");
        assert_eq!(why("/"), "not a regular file");
        why("/etc/passwd");
        why("/proc/self/mem");
    }

    #[test]
    fn a_fifo_does_not_block() {
        let folder = tempfile::tempdir().expect("a folder");
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).expect("a FIFO");
        assert_eq!(Elf::open(&fifo, None).err().expect("refused"), "not a regular file");
    }

    #[test]
    fn build_ids_name_debug_files() {
        let path = debug_file_path(&[0xab, 0x01, 0xff]).expect("a path");
        assert_eq!(path, Path::new("/usr/lib/debug/.build-id/ab/01ff.debug"));
        assert_eq!(debug_file_path(&[]), None);
    }
}
