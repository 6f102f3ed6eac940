//! Whose blocks are to lie alone, by the names of functions and objects.
//!
//! What an object calls its functions stands in its file, if it was not stripped of it:
//! nothing of that is loaded. So the files of the objects that the program starts with
//! are read once, at the start.
//!
//! Contexts: the constructor, one thread; our own memory.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSymbol, SymbolKind};
use wildmatch::WildMatch;

use crate::say::Line;
use crate::{elf, modules, start};

/// Blocks that functions or objects whose names are like `pattern` allocate lie alone
/// from now on. Says so if there are none, or too many.
pub fn choose(pattern: &str) {
    let pattern = WildMatch::new(pattern);
    let mut found = Found::default();
    for (path, bias, code) in loaded() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if pattern.matches(&name) {
            found.add(code);
        } else {
            functions_like(&pattern, &path, bias, &mut found);
        }
    }
    match found {
        Found { refused: 1.., .. } => {
            let all = found.chosen + found.refused;
            Line::new()
                .text("guard_sites: too many functions: ")
                .number(found.refused)
                .text(" of ")
                .number(all)
                .text(" are left out")
                .say();
        }
        Found { chosen: 0, .. } => {
            Line::new().text("guard_sites: no function or object has such a name").say();
        }
        _ => {}
    }
}

/// How many functions there are.
#[derive(Default)]
struct Found {
    chosen: u64,
    refused: u64,
}

impl Found {
    fn add(&mut self, code: std::ops::Range<usize>) {
        let count =
            if deadwalk_alloc::choose_code(code) { &mut self.chosen } else { &mut self.refused };
        *count += 1;
    }
}

/// The files of the loaded objects but this library, where they are loaded, and their
/// mapping.
fn loaded() -> Vec<(PathBuf, usize, std::ops::Range<usize>)> {
    let mut all = Vec::new();
    elf::each(&mut |object, is_own| {
        if !is_own && let Some(code) = modules::range_of(object.dynamic_at()) {
            let path = match object.path() {
                b"" => start::exe(),
                path => path,
            };
            all.push((
                Path::new(std::ffi::OsStr::from_bytes(path)).to_path_buf(),
                object.bias(),
                code,
            ));
        }
        true
    });
    all
}

fn functions_like(pattern: &WildMatch, path: &Path, bias: usize, found: &mut Found) {
    // The kernel's object has no file.
    let Ok(bytes) = std::fs::read(path) else { return };
    let Ok(file) = object::File::parse(&*bytes) else { return };
    let all = file.symbols().chain(file.dynamic_symbols());
    let mut functions: Vec<_> = all
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0)
        .filter(|symbol| symbol.name().is_ok_and(|name| is_like(pattern, name)))
        .map(|symbol| (symbol.address() as usize, symbol.size() as usize))
        .collect();
    functions.sort_unstable();
    functions.dedup_by_key(|function| function.0);
    for (at, len) in functions {
        found.add(bias + at..bias + at + len);
    }
}

/// As it is, or as Rust's source has it.
fn is_like(pattern: &WildMatch, name: &str) -> bool {
    let demangled = || rustc_demangle::try_demangle(name).ok();
    pattern.matches(name) || demangled().is_some_and(|name| pattern.matches(&format!("{name:#}")))
}
