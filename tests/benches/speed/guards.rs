//! What guarding costs: a block that is watched, and programs by what is guarded.

use crate::compare;
use crate::cost::Cost;
use crate::peers::Peer;
use crate::programs;
use crate::workload::{Job, Workload};
use deadwalk_tests::{Program, find_tool};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

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
        (Peer::glibc(), "kernel"),
        (Peer::glibc(), "plain"),
        (Peer::deadwalk(folder, ""), "plain"),
        (Peer::deadwalk(folder, ""), "watched"),
    ];
    let mut table = String::from(
        "| blocks made and freed | glibc, ns | deadwalk, ns | watched, ns | more, ns | the kernel for a page, ns |\n\
         |---:|---:|---:|---:|---:|---:|\n",
    );
    for count in COUNTS {
        let mut least = [f64::INFINITY; 4];
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
        let [kernel, glibc, plain, watched] = least;
        let _ = writeln!(
            table,
            "| {count} | {glibc:.0} | {plain:.0} | {watched:.0} | {:.0} | {kernel:.0} |",
            watched - plain
        );
    }
    table
}

/// What is compared with `guard=off`; `guard=all` is no setting to live with.
const OPTIONS: [&str; 2] = ["guard=timers", "guard_sample=1000"];

/// Real programs, which have no timers, by option.
fn sampled(folder: &Path, rounds: usize) -> String {
    let options = std::iter::once("guard=off").chain(OPTIONS);
    let peers: Vec<_> = options.map(|options| Peer::deadwalk(folder, options)).collect();
    let heads = OPTIONS.map(|options| format!(" `{options}`, CPU | memory |"));
    let mut table = format!(
        "| `guard=off` = 1 |{}\n|---|{}\n",
        heads.concat(),
        "---:|".repeat(2 * OPTIONS.len())
    );
    for workload in programs::programs(folder) {
        let costs = compare::rounds(&workload, &peers, rounds);
        let _ = write!(table, "| {} |", workload.name);
        for own in &costs[1..] {
            for of in [|cost: &Cost| cost.cpu_s, |cost: &Cost| cost.peak_kib] {
                let _ = match (own, &costs[0]) {
                    (Some(own), Some(off)) => write!(table, " {:.2} |", of(own) / of(off)),
                    _ => write!(table, " – |"),
                };
            }
        }
        table.push('\n');
    }
    table
}

/// The same by the instructions of the program and the library, which a busy machine
/// does not change; `None` without valgrind.
pub fn instructions(folder: &Path) -> Option<String> {
    let valgrind = find_tool("valgrind")?;
    let heads = OPTIONS.map(|options| format!(" `{options}` |"));
    let mut table =
        format!("| `guard=off` = 1 |{}\n|---|{}\n", heads.concat(), "---:|".repeat(OPTIONS.len()));
    for workload in programs::programs(folder) {
        let count = |options| {
            let peer = Peer::deadwalk(folder, options);
            count_instructions(&valgrind, &workload, &peer)
        };
        let Some(off) = count("guard=off") else { continue };
        let _ = write!(table, "| {} |", workload.name);
        for own in OPTIONS.map(count) {
            let _ = match own {
                Some(own) => write!(table, " {:.4} |", own / off),
                None => write!(table, " – |"),
            };
        }
        table.push('\n');
    }
    Some(table)
}

/// `None` for what is no single command, and if it failed.
fn count_instructions(valgrind: &Path, workload: &Workload, peer: &Peer) -> Option<f64> {
    let Job::Command { words, env, input } = &workload.job else { return None };
    let mut command = Command::new(valgrind);
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).args(words);
    // Python's tables are another order in each run.
    command.envs(env.iter().copied()).env("PYTHONHASHSEED", "0");
    command.stdout(Stdio::null()).stdin(Stdio::null());
    if let Some(input) = input {
        command.stdin(std::fs::File::open(input).expect("our file"));
    }
    peer.load_into(&mut command);
    let output = command.output().ok().filter(|output| output.status.success())?;
    let said = String::from_utf8_lossy(&output.stderr);
    let (_, count) = said.split_once("Collected : ")?;
    count.lines().next()?.trim().parse().ok()
}
