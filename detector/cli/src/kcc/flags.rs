//! What the compiler is told for kernel-style code. Pure: paths and the caller's
//! arguments in, flags out.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// How the kernel's sources are compiled, as far as it changes what they mean. The
/// caller's flags come later and win.
const DIALECT: [&str; 8] = [
    "-std=gnu11",
    "-fgnu89-inline",
    "-fno-strict-aliasing",
    "-fwrapv",
    "-g",
    "-pthread",
    "-D__KERNEL__",
    "-DMODULE",
];

/// After these the compiler does not link, or (-r) makes one object of several.
const NO_LINK: [&str; 7] = ["-c", "-S", "-E", "-M", "-MM", "-fsyntax-only", "-r"];

/// The next argument of these is no source file.
const TAKES_VALUE: [&str; 10] =
    ["-o", "-I", "-D", "-U", "-L", "-x", "-include", "-isystem", "-MF", "-Xlinker"];

/// The flags, in front of the caller's arguments and behind them.
#[derive(Debug, PartialEq, Eq)]
pub struct Flags {
    /// Language and headers.
    pub before: Vec<OsString>,
    /// The library.
    pub behind: Vec<OsString>,
}

impl Flags {
    /// For headers in `include` and, if the caller links, the library.
    pub fn new(include: &Path, library: Option<&Path>, given: &[OsString]) -> Flags {
        let mut before: Vec<OsString> = DIALECT.iter().map(OsString::from).collect();
        before.extend(module_name(given));
        for folder in [include.join("kernel"), include.to_owned()] {
            before.extend(["-I".into(), folder.into_os_string()]);
        }
        let mut behind: Vec<OsString> = vec![];
        if let Some(library) = library {
            // The program calls nothing of malloc's by our names, but wants us all the
            // same; and it finds us where we lie now.
            let folder = library.parent().unwrap_or(Path::new("/"));
            // It is no source, whatever a -x of the caller's says of those before it.
            behind.extend(["-x".into(), "none".into()]);
            behind.extend(["-Wl,--push-state,--no-as-needed".into(), library.into()]);
            behind.push("-Wl,--pop-state".into());
            for word in [OsStr::new("-rpath"), folder.as_os_str()] {
                behind.extend(["-Xlinker".into(), word.to_owned()]);
            }
        }
        Flags { before, behind }
    }

    /// All of them on one line that a shell reads.
    pub fn line(&self) -> String {
        let words = self.before.iter().chain(&self.behind);
        words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }
}

/// Does the compiler link, with these arguments?
pub fn links(given: &[OsString]) -> bool {
    !given.iter().any(|argument| NO_LINK.iter().any(|flag| argument == flag))
}

/// What `pr_fmt` is mostly made of: the first source file's name, unless the caller
/// gives one.
fn module_name(given: &[OsString]) -> Option<OsString> {
    let has_name = |word: &OsString| word.to_string_lossy().contains("KBUILD_MODNAME");
    if given.iter().any(has_name) {
        return None;
    }
    let is_value =
        |index: usize| index > 0 && TAKES_VALUE.iter().any(|flag| given[index - 1] == *flag);
    let source = given.iter().enumerate().find(|&(index, word)| {
        let path = Path::new(word);
        let is_flag = word.as_encoded_bytes().starts_with(b"-");
        !is_flag && !is_value(index) && path.extension() == Some(OsStr::new("c"))
    });
    let stem = Path::new(source?.1).file_stem()?.to_string_lossy();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    Some(format!("-DKBUILD_MODNAME=\"{name}\"").into())
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,+:@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn name(line: &str) -> Option<String> {
        module_name(&words(line)).map(|word| word.to_string_lossy().into_owned())
    }

    #[test]
    fn the_library_is_for_those_who_link() {
        assert!(links(&words("-O2 a.c -o a")) && links(&words("-shared a.o")));
        for flag in NO_LINK {
            assert!(!links(&words(&format!("a.c {flag}"))), "{flag}");
        }
        let library = Path::new("/l/libdeadwalk.so");
        let flags = Flags::new(Path::new("/i"), Some(library), &[]);
        assert_eq!(flags.before[DIALECT.len()..], ["-I", "/i/kernel", "-I", "/i"]);
        assert_eq!(flags.behind[..2], ["-x", "none"]);
        assert_eq!(flags.behind[flags.behind.len() - 3..], ["-rpath", "-Xlinker", "/l"]);
        assert_eq!(Flags::new(Path::new("/i"), None, &[]).behind, [] as [&str; 0]);
    }

    #[test]
    fn the_module_is_called_as_its_first_source() {
        let name_of = |text: &str| Some(format!("-DKBUILD_MODNAME=\"{text}\""));
        assert_eq!(name("-O2 drivers/my-driver.c other.c"), name_of("my_driver"));
        assert_eq!(name("-include first.c second.c"), name_of("second"));
        assert_eq!(name("-o odd.c main.c"), name_of("main"));
        assert_eq!(name("-DKBUILD_MODNAME=\"own\" a.c"), None);
        assert_eq!(name("a.o b.o"), None);
    }

    #[test]
    fn a_shell_reads_what_is_printed() {
        assert_eq!(quoted("-I/usr/include"), "-I/usr/include");
        assert_eq!(quoted("-DX=\"a b\""), "'-DX=\"a b\"'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
