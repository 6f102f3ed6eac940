//! The allocator patterns of `programs/speed/patterns`.

use crate::workload::{Group, Job, Workload};
use deadwalk_tests::{Target, find_tool};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// In the table's order.
const NAMES: &[&str] = &[
    "random",
    "larson",
    "producer-consumer",
    "short-threads",
    "realloc-growth",
    "fragmentation",
    "large",
    "cache-local",
    "symbolic",
];

/// Every pattern; none, aloud, without a compiler.
pub fn patterns() -> Vec<Workload> {
    let Some(program) = program() else { return vec![] };
    let workload = |name: &&'static str| Workload {
        name,
        group: Group::Patterns,
        job: Job::Command {
            words: vec![program.display().to_string(), name.to_string()],
            env: &[],
            input: None,
        },
    };
    NAMES.iter().map(workload).collect()
}

/// The program, compiled once.
pub fn program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(compile).clone()
}

fn compile() -> Option<PathBuf> {
    let gcc = find_tool("gcc")?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/speed/patterns");
    let entries = std::fs::read_dir(folder).expect("the patterns are there").flatten();
    let sources =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "c"));
    let out = Target::get().programs();
    std::fs::create_dir_all(&out).expect("the target folder is writable");
    let program = out.join("speed-patterns");
    let status = Command::new(gcc)
        .args(["-g", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(&program)
        .args(sources)
        .status()
        .expect("gcc runs");
    assert!(status.success(), "the patterns do not compile");
    Some(program)
}
