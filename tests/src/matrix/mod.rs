//! The misuse matrix: programs with one bug each, how to run them and what a
//! report must say of them.
//!
//! `tests/matrix.rs` holds deadwalk to it, `benches/matrix` runs the same cases
//! under other allocators and writes `docs/misuse-matrix.md`.

mod cases;

pub use cases::cases;

use crate::{Program, Run, Severity};
use std::path::{Path, PathBuf};

/// What a program of the matrix returns if it survives.
pub const STATUS: i32 = 7;
/// ... and if the allocator does not let it make its bug.
pub const SKIPPED: i32 = 77;
/// The byte that programs write where they should not.
pub const MARK: u8 = b'A';

/// Bytes of a small block.
pub const SMALL: usize = 16;
/// Bytes of a medium one.
pub const MEDIUM: usize = 1024;
/// Bytes of a large one: whole pages.
pub const LARGE: usize = 1 << 20;
/// A large one that is filled as it is freed; larger ones lose all access.
pub const KEPT: usize = 64 << 10;
/// A large one that ends inside a page.
pub const LARGE_ODD: usize = LARGE - 100;

/// How often the periodic sweep runs in the cases that wait for it.
const SWEEP_MS: u32 = 20;

/// Classes of misuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A write to a freed block.
    WriteAfterFree,
    /// A read of one.
    ReadAfterFree,
    /// A second free.
    DoubleFree,
    /// A free of what is no block.
    InvalidFree,
    /// A write behind a block.
    Overflow,
    /// A write in front of one.
    Underflow,
    /// A block given back to another family of functions.
    Mismatch,
    /// Rust: given back with another layout.
    Layout,
    /// A request that the standard has refused: no bug of the program.
    Refused,
}

/// What is asked of deadwalk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Exactly one finding of the class, with its places.
    Named,
    /// That, or nothing: whether such a read is seen depends on what is guarded.
    NamedOrSilent,
    /// Nothing: a documented limit, or no bug.
    Silent,
}

/// One of the program's calls, by its function and the comment on its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The function.
    pub function: &'static str,
    /// The comment.
    pub comment: &'static str,
}

/// A case: one bug on blocks of one size.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is: the row of the table.
    pub row: &'static str,
    /// Its class.
    pub class: Class,
    /// The program, in `programs/matrix`.
    pub source: &'static str,
    /// The program's name for it.
    pub name: &'static str,
    /// Bytes of a block.
    pub size: usize,
    /// Bytes written.
    pub len: usize,
    /// Where.
    pub place: &'static str,
    /// What finds it: free, realloc, reuse, exit, sweep, or access.
    pub found: &'static str,
    /// What is asked.
    pub asked: Asked,
    /// Offset of the misuse in its block, if it has a block.
    pub offset: Option<isize>,
    /// The block's allocation.
    pub alloc: Option<Site>,
    /// Its free.
    pub free: Option<Site>,
    /// A function on the stack of the access or call.
    pub access: Option<&'static str>,
}

/// The program with its bug, or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// With it.
    Bad,
    /// Without.
    Clean,
}

impl Class {
    /// The kind of finding.
    pub fn kind(self) -> &'static str {
        match self {
            Class::WriteAfterFree => "use-after-free-write",
            Class::ReadAfterFree => "use-after-free-read",
            Class::DoubleFree => "double-free",
            Class::InvalidFree => "invalid-free",
            Class::Overflow => "heap-buffer-overflow",
            Class::Underflow => "heap-buffer-underflow",
            Class::Mismatch => "alloc-dealloc-mismatch",
            Class::Layout => "layout-mismatch",
            Class::Refused => "",
        }
    }

    /// How bad the finding is.
    pub fn severity(self) -> Severity {
        if self == Class::Mismatch { Severity::Warning } else { Severity::Error }
    }
}

impl Case {
    /// Small, medium or large; "" for a block of no bytes.
    pub fn size_name(&self) -> &'static str {
        match self.size {
            0 => "",
            SMALL => "small",
            MEDIUM => "medium",
            _ => "large",
        }
    }

    /// Whether it is of a Rust program, whose allocator deadwalk is itself.
    pub fn is_rust(&self) -> bool {
        self.class == Class::Layout
    }

    /// Whether an option of deadwalk alone makes it what it is.
    pub fn is_ours_alone(&self) -> bool {
        self.found == "sweep"
    }

    /// What deadwalk is told for it.
    pub fn options(&self) -> String {
        match (self.found, self.class) {
            ("sweep", _) => format!("sweep_ms={SWEEP_MS}"),
            (_, Class::Mismatch) => "new_delete=on".to_string(),
            _ => String::new(),
        }
    }

    /// The program's command line.
    pub fn words(&self, twin: Twin) -> String {
        let twin = if twin == Twin::Bad { "bad" } else { "clean" };
        let found = if self.found == "access" { "exit" } else { self.found };
        format!("{} {} {twin} {} {} {found}", self.name, self.size, self.len, self.place)
    }

    /// The compiled program.
    pub fn program(&self) -> Program {
        let name = format!("matrix/{}", self.source);
        match self.class {
            Class::Mismatch => Program::cxx(&name),
            _ => Program::new(&name),
        }
    }

    /// The program's whole command.
    pub fn command(&self, twin: Twin) -> Vec<String> {
        let path = if self.is_rust() { layout_program() } else { self.program().path };
        let words = self.words(twin);
        let words = words.split_whitespace().map(str::to_string);
        std::iter::once(path.display().to_string()).chain(words).collect()
    }

    /// How to run it.
    pub fn run(&self, twin: Twin) -> Run {
        let run = Run::command(self.command(twin));
        match self.options() {
            options if options.is_empty() => run,
            options => run.env("DEADWALK_OPTIONS", options),
        }
    }

    /// File and line of one of the program's calls.
    ///
    /// # Panics
    ///
    /// If not exactly one line has its comment.
    pub fn line_of(&self, site: Site) -> (String, u64) {
        let source = self.program().source;
        let header = source.with_file_name("matrix.h");
        let comment = format!("/* {} */", site.comment);
        let found = [source, header].into_iter().flat_map(|file| {
            let text = std::fs::read_to_string(&file).expect("a source is readable");
            let name = file.file_name().expect("a file").to_string_lossy().into_owned();
            let comment = comment.clone();
            let lines: Vec<_> = (1..)
                .zip(text.lines())
                .filter(|(_, line)| line.contains(&comment))
                .map(|(number, _)| (name.clone(), number))
                .collect();
            lines
        });
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "lines with {comment}: {found:?}");
        found[0].clone()
    }
}

/// The Rust program: built with this package, beside its tests.
fn layout_program() -> PathBuf {
    let exe = std::env::current_exe().expect("the test binary has a path");
    let folder = exe.parent().and_then(Path::parent).expect("it lies in target/<profile>/deps");
    folder.join("matrix_layout")
}
