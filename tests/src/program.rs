//! C and C++ programs: found, compiled, kept.

use crate::Target;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// One compiled program.
#[derive(Clone, Debug)]
pub struct Program {
    /// The executable, or the shared library.
    pub path: PathBuf,
    /// Its source.
    pub source: PathBuf,
}

impl Program {
    /// `programs/<name>.c` as it is.
    pub fn new(name: &str) -> Program {
        Program::with_flags(name, &[])
    }

    /// One of a pattern's variants: `BAD`, `FIXED`, `LOOKALIKE`, or `BAD=2`.
    pub fn variant(name: &str, variant: &str) -> Program {
        Program::with_flags(name, &[&format!("-D{variant}")])
    }

    /// `programs/<name>.c` with extra flags for the compiler.
    pub fn with_flags(name: &str, flags: &[&str]) -> Program {
        let folder = sources();
        compile(&folder.join(name).with_extension("c"), flags, Linked::Alone)
    }

    /// `programs/<name>.cc`, C++.
    pub fn cxx(name: &str) -> Program {
        Program::cxx_with_flags(name, &[])
    }

    /// [`cxx`](Self::cxx) with extra flags for the compiler.
    pub fn cxx_with_flags(name: &str, flags: &[&str]) -> Program {
        let folder = sources();
        compile(&folder.join(name).with_extension("cc"), flags, Linked::Alone)
    }

    /// `programs/<name>.c` as a shared library.
    pub fn library(name: &str, flags: &[&str]) -> Program {
        Program::with_flags(name, &[&["-shared", "-fPIC"], flags].concat())
    }

    /// `examples/c/<name>.c`.
    pub fn example(name: &str) -> Program {
        compile(&examples().join(name).with_extension("c"), &[], Linked::Alone)
    }

    /// `programs/<name>.c`, written in the kernel's manner: with deadwalk's C
    /// headers, linked with the library under test.
    pub fn kernel(name: &str) -> Program {
        Program::kernel_with_flags(name, &[])
    }

    /// [`kernel`](Self::kernel) with extra flags for the compiler.
    pub fn kernel_with_flags(name: &str, flags: &[&str]) -> Program {
        let folder = sources();
        compile(&folder.join(name).with_extension("c"), flags, Linked::WithLibrary)
    }

    /// `programs/<name>.c`, with deadwalk's C headers but without the library.
    pub fn with_headers(name: &str, flags: &[&str]) -> Program {
        let folder = sources();
        compile(&folder.join(name).with_extension("c"), flags, Linked::HeadersOnly)
    }

    /// `examples/c/<name>.c`, compiled as [`kernel`](Self::kernel) does.
    pub fn kernel_example(name: &str) -> Program {
        compile(&examples().join(name).with_extension("c"), &[], Linked::WithLibrary)
    }

    /// The folder of deadwalk's C headers.
    pub fn include_folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shim/include")
    }

    /// What the compiler is told for kernel-style code: the kernel's names, which lie
    /// in a folder of their own, and deadwalk's.
    pub fn include_flags() -> Vec<OsString> {
        let folder = Program::include_folder();
        [folder.join("kernel"), folder].iter().map(|folder| joined("-I", folder)).collect()
    }

    /// The name of the executable's file.
    pub fn file_name(&self) -> &str {
        self.path.file_name().and_then(OsStr::to_str).expect("named by us")
    }

    /// The number of the only source line that contains `text`: no test has
    /// line numbers of its own.
    ///
    /// # Panics
    ///
    /// If no line or more than one has it.
    pub fn line_of(&self, text: &str) -> u64 {
        let source = std::fs::read_to_string(&self.source).expect("the source is readable");
        let mut lines = (1..).zip(source.lines()).filter(|(_, line)| line.contains(text));
        let (number, _) = lines.next().unwrap_or_else(|| panic!("no line has {text:?}"));
        assert!(lines.next().is_none(), "more than one line has {text:?}");
        number
    }
}

/// What of ours a program is made with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Linked {
    Alone,
    HeadersOnly,
    /// With deadwalk's headers and the library under test, found there at run
    /// time too.
    WithLibrary,
}

impl Linked {
    fn flags(self) -> Vec<OsString> {
        let include = Program::include_flags();
        match self {
            Linked::Alone => vec![],
            Linked::HeadersOnly => include,
            Linked::WithLibrary => {
                let library = Target::get().library();
                let folder = library.parent().expect("the library lies in a folder");
                let (find, run) = (joined("-L", folder), joined("-Wl,-rpath,", folder));
                [include, vec![find, run, "-ldeadwalk".into()]].concat()
            }
        }
    }

    /// Tells the executables apart.
    fn suffix(self) -> &'static str {
        match self {
            Linked::Alone => "",
            Linked::HeadersOnly => "-bare",
            Linked::WithLibrary => "-linked",
        }
    }

    /// Folders of headers that the program is made from, beside its own.
    fn headers(self) -> Vec<PathBuf> {
        match self {
            Linked::Alone => vec![],
            Linked::HeadersOnly | Linked::WithLibrary => ["deadwalk", "kernel/linux", "kernel/asm"]
                .map(|sub| Program::include_folder().join(sub))
                .to_vec(),
        }
    }
}

/// `prefix` with a path behind it.
fn joined(prefix: &str, folder: &Path) -> OsString {
    let mut flag = OsString::from(prefix);
    flag.push(folder);
    flag
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/c")
}

/// Compiles, unless an up-to-date result is there. Two tests may want the same program
/// at once: the second waits, for what is replaced while it runs has no lines in its
/// report. What is there is always whole.
fn compile(source: &Path, flags: &[&str], linked: Linked) -> Program {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let folder = Target::get().programs();
    std::fs::create_dir_all(&folder).expect("the target folder is writable");

    let stem = source.file_stem().and_then(OsStr::to_str).expect("a source has a name");
    // Programs in a folder of their own may have other programs' names.
    let own = source.strip_prefix(sources()).ok().and_then(Path::parent);
    let folders = own.into_iter().flatten().filter_map(OsStr::to_str);
    let mut name = folders.chain([stem]).collect::<Vec<_>>().join("-") + linked.suffix();
    for flag in flags {
        name.push('-');
        name.extend(flag.chars().filter(|c| c.is_ascii_alphanumeric()));
    }
    let path = folder.join(&name);
    let program = Program { path: path.clone(), source: source.to_path_buf() };
    let lock = std::fs::File::create(folder.join(format!(".{name}.lock")));
    // Unlocked as it is closed.
    let lock = lock.expect("the target folder is writable");
    lock.lock().expect("files can be locked");
    if is_fresh(&path, source, &linked.headers()) {
        return program;
    }
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let fresh = folder.join(format!(".{name}.{}.{serial}", std::process::id()));
    let output = Command::new(compiler(source))
        .args(["-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"])
        .args(flags)
        .arg(source)
        .arg("-o")
        .arg(&fresh)
        .args(linked.flags())
        .output()
        .expect("a compiler is installed");
    assert!(
        output.status.success(),
        "{} does not compile:\n{}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::rename(&fresh, &path).expect("the target folder is writable");
    program
}

/// `$CC` or `cc`; for C++ `$CXX` or `c++`.
fn compiler(source: &Path) -> String {
    let is_cxx = source.extension() == Some(OsStr::new("cc"));
    let (variable, usual) = if is_cxx { ("CXX", "c++") } else { ("CC", "cc") };
    std::env::var(variable).unwrap_or_else(|_| usual.to_string())
}

/// Whether `path` is newer than its source, every header beside it or above, and those
/// in `folders`.
fn is_fresh(path: &Path, source: &Path, folders: &[PathBuf]) -> bool {
    let Some(built) = modified(path) else { return false };
    let own = source.parent().expect("a source lies in a folder").to_path_buf();
    // Programs in a folder of their own have headers of all programs above it.
    let above = own.parent().expect("that folder lies in one").to_path_buf();
    [&own, &above]
        .into_iter()
        .chain(folders)
        .flat_map(|folder| std::fs::read_dir(folder).expect("a folder of sources is readable"))
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| file == source || file.extension() == Some(OsStr::new("h")))
        .all(|file| modified(&file).is_some_and(|changed| changed < built))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|data| data.modified()).ok()
}
