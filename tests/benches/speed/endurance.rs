//! Does memory grow with the number of allocations?

use crate::patterns;
use crate::peers::Peer;
use std::path::Path;
use std::process::{Command, Stdio};

/// The first part of the time, in which caches fill.
const WARM_UP: f64 = 0.1;

/// One thread allocates for so many seconds; `None` without a compiler.
pub fn endurance(folder: &Path, seconds: u32) -> Option<String> {
    let mut command = Command::new(patterns::program()?);
    command.args(["endurance", &seconds.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    Peer::deadwalk(folder, "").load_into(&mut command);
    let output = command.output().expect("it was compiled");
    assert!(output.status.success(), "the endurance pattern failed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let looks: Vec<_> = said.lines().filter_map(look).collect();
    let warm = &looks[(looks.len() as f64 * WARM_UP) as usize..];
    let (&(_, first), &(operations, last)) = (warm.first()?, warm.last()?);
    let most = warm.iter().map(|&(_, kib)| kib).max()?;
    Some(format!(
        "{:.2e} malloc and free pairs in {seconds} s on one thread: {first} KiB resident after a \
         tenth of them, {last} KiB at the end (growth {:+.1} %), {most} KiB at most.\n",
        operations as f64,
        (last as f64 / first as f64 - 1.0) * 100.0
    ))
}

/// "N operations, M KiB".
fn look(line: &str) -> Option<(u64, u64)> {
    let (operations, resident) = line.split_once(" operations, ")?;
    Some((operations.parse().ok()?, resident.strip_suffix(" KiB")?.parse().ok()?))
}
