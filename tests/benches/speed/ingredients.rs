//! What each ingredient costs: options of the library, and parts of the heap that
//! have no option.

use crate::cost::{Cost, geometric_mean};
use crate::peers::Peer;
use crate::table::Measure;
use crate::{compare, patterns, programs};
use deadwalk_tests::skip;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Workloads that differ most in what they ask of a heap; all take too long.
const WORKLOADS: &[&str] = &["random", "larson", "large", "cache-local", "perl", "sqlite3"];

/// Name and options. The quarantine's default is 256 KiB.
const OPTIONS: &[(&str, &str)] = &[
    ("default", ""),
    ("quarantine 0", "quarantine=0"),
    ("quarantine 64 KiB", "quarantine=64k"),
    ("quarantine 1 MiB", "quarantine=1m"),
    ("quarantine 4 MiB", "quarantine=4m"),
    ("sweep every 100 ms", "sweep_ms=100"),
    ("no look for timers in freed blocks", "hook_free=off"),
];

/// Name and parts that are on (`programs/speed/heap.rs`).
const PARTS: &[(&str, &str)] = &[
    ("heap alone, everything on", "poison,guard"),
    ("heap alone, no guards of large blocks", "poison"),
    ("heap alone, no poison (fill, verify, canaries)", "guard"),
    ("heap alone, neither", ""),
];

/// The table.
pub fn ingredients(folder: &Path, rounds: usize) -> String {
    let mut peers = vec![Peer::glibc()];
    peers.extend(
        OPTIONS.iter().map(|&(name, options)| Peer { name, ..Peer::deadwalk(folder, options) }),
    );
    if let Some(library) = heap() {
        peers.extend(PARTS.iter().map(|&(name, parts)| Peer {
            name,
            preload: Some(library.clone()),
            env: vec![("HEAP_PARTS", parts.to_string())],
            ..Peer::glibc()
        }));
    }
    let workloads = programs::programs(folder).into_iter().chain(patterns::patterns());
    let costs: Vec<Vec<Option<Cost>>> = workloads
        .filter(|workload| WORKLOADS.contains(&workload.name))
        .map(|workload| {
            eprintln!("ingredients: {}", workload.name);
            compare::rounds(&workload, &peers, rounds)
        })
        .collect();
    let mut text = format!(
        "Geometric means over {}, glibc = 1:\n\n| | CPU | memory |\n|---|---:|---:|\n",
        WORKLOADS.join(", ")
    );
    for (at, peer) in peers.iter().enumerate().skip(1) {
        let (cpu, memory) =
            (mean(&costs, at, |cost| cost.cpu_s), mean(&costs, at, |cost| cost.peak_kib));
        let _ = writeln!(text, "| {} | {cpu} | {memory} |", peer.name);
    }
    text
}

/// A peer's mean, a line if it failed somewhere: means of different workloads
/// compare nothing.
fn mean(costs: &[Vec<Option<Cost>>], peer: usize, of: Measure) -> String {
    let ratio = |row: &Vec<Option<Cost>>| Some(of(row[peer].as_ref()?) / of(row[0].as_ref()?));
    let ratios: Option<Vec<_>> = costs.iter().map(ratio).collect();
    let mean = ratios.and_then(|ratios| geometric_mean(&ratios));
    mean.map_or("–".to_string(), |mean| format!("{mean:.2}"))
}

/// The heap alone, built now: cargo builds no examples for a bench.
fn heap() -> Option<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "-p", "deadwalk-tests", "--example", "speed_heap"])
        .status();
    let library = std::env::current_exe().ok()?.parent()?.parent()?.join("examples");
    let library = library.join("libspeed_heap.so");
    let built = status.is_ok_and(|status| status.success()) && library.is_file();
    if !built {
        skip(&format!("the heap alone: cargo built no {}", library.display()));
    }
    built.then_some(library)
}
