//! What deadwalk costs: CPU time and peak memory of real programs and allocator
//! patterns as ratios to glibc's, beside allocators that check nothing and
//! beside what checks.
//!
//! `cargo build --release --workspace && cargo bench -p deadwalk-tests --bench speed`
//!
//! Everything takes about 25 minutes; arguments after `--` choose:
//!
//! | argument | runs |
//! |---|---|
//! | `programs`, `patterns` | that group |
//! | a workload's name, as `larson` | it alone |
//! | `--peers none` | glibc and deadwalk only; also `all`, `mimalloc,scudo` |
//! | `--rounds N` | so many rounds, of which the medians count (5) |
//!
//! `-- larson --peers none --rounds 3` answers within half a minute. The library
//! is preloaded with a folder for its record, so that the `deadwalk` command is
//! not in the figures.

mod arguments;
mod cost;
mod patterns;
mod peers;
mod programs;
mod redis;
mod table;
mod workload;

use arguments::Arguments;
use cost::Cost;
use peers::Peer;
use table::Row;
use workload::Workload;

fn main() {
    let arguments = Arguments::parse(std::env::args().skip(1));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let peers = peers::peers(folder.path(), &arguments);
    let mut workloads = programs::programs(folder.path());
    workloads.extend(patterns::patterns());
    workloads.retain(|workload| arguments.wants(workload.group.name(), workload.name));
    let rows: Vec<_> = workloads
        .into_iter()
        .map(|workload| {
            let row = run(workload, &peers, arguments.rounds);
            eprintln!("{}", table::progress(&row, &peers));
            row
        })
        .collect();
    print!("{}\n{}", table::who(&peers), table::tables(&rows, &peers));
}

/// All rounds of one workload. Rounds go over the peers in turn, so that what
/// disturbs the machine disturbs everybody.
fn run(workload: Workload, peers: &[Peer], rounds: usize) -> Row {
    let mut runs: Vec<Option<Vec<Cost>>> = vec![Some(vec![]); peers.len()];
    for round in 0..rounds {
        for (peer, runs) in peers.iter().zip(&mut runs) {
            if round >= peer.rounds(rounds) {
                continue;
            }
            // Who failed once is out.
            if let Some(own) = runs {
                match workload.measure(peer) {
                    Some(cost) => own.push(cost),
                    None => *runs = None,
                }
            }
        }
    }
    let costs = runs.into_iter().map(|runs| runs.map(|runs| Cost::median(&runs))).collect();
    Row { workload, costs }
}
