//! What guarding costs: a block that is watched, and one in a thousand of all others.

use crate::compare;
use crate::cost::Cost;
use crate::peers::Peer;
use crate::programs;
use deadwalk_tests::Program;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// Blocks made and freed: these stay guarded, or most were given out again.
const COUNTS: [usize; 2] = [100_000, 1_000_000];

/// Two tables, as text.
pub fn guards(folder: &Path, rounds: usize) -> String {
    format!("{}\n{}", watched(folder, rounds), sampled(folder, rounds))
}

/// CPU time of a block, the least of interleaved runs: what else the machine does only
/// adds.
fn watched(folder: &Path, rounds: usize) -> String {
    let program = Program::with_flags("speed/watched", &["-O2"]);
    let kinds = [
        (Peer::glibc(), "plain"),
        (Peer::deadwalk(folder, ""), "plain"),
        (Peer::deadwalk(folder, ""), "watched"),
    ];
    let mut table = String::from(
        "| blocks made and freed | glibc, ns | deadwalk, ns | watched, ns | more, ns |\n\
         |---:|---:|---:|---:|---:|\n",
    );
    for count in COUNTS {
        let mut least = [f64::INFINITY; 3];
        for _ in 0..rounds {
            for ((peer, kind), least) in kinds.iter().zip(&mut least) {
                let mut command = Command::new(&program.path);
                command.args([kind, count.to_string().as_str()]);
                peer.load_into(&mut command);
                let output = command.output().expect("the program runs");
                let text = String::from_utf8_lossy(&output.stdout);
                *least = least.min(text.trim().parse().expect("the program prints a number"));
            }
        }
        let [glibc, plain, watched] = least;
        let _ = writeln!(
            table,
            "| {count} | {glibc:.0} | {plain:.0} | {watched:.0} | {:.0} |",
            watched - plain
        );
    }
    table
}

/// Real programs with `guard_sample=1000` and with `guard=all`, deadwalk without = 1.
fn sampled(folder: &Path, rounds: usize) -> String {
    let peers =
        ["", "guard_sample=1000", "guard=all"].map(|options| Peer::deadwalk(folder, options));
    let mut table = String::from(
        "| deadwalk = 1 | `guard_sample=1000`, CPU | memory | `guard=all`, CPU | memory |\n\
         |---|---:|---:|---:|---:|\n",
    );
    for workload in programs::programs(folder) {
        let costs = compare::rounds(&workload, &peers, rounds);
        let ratio = |peer: usize, of: fn(&Cost) -> f64| match (&costs[peer], &costs[0]) {
            (Some(own), Some(plain)) => format!("{:.2}", of(own) / of(plain)),
            _ => "–".to_string(),
        };
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} |",
            workload.name,
            ratio(1, |cost| cost.cpu_s),
            ratio(1, |cost| cost.peak_kib),
            ratio(2, |cost| cost.cpu_s),
            ratio(2, |cost| cost.peak_kib),
        );
    }
    table
}
