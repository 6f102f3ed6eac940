//! The main part: workloads under everybody.

use crate::arguments::Arguments;
use crate::cost::Cost;
use crate::peers::Peer;
use crate::table::{self, Row};
use crate::workload::Workload;
use crate::{page, patterns, peers, plot, programs};
use std::path::Path;

/// Runs what is wanted of the programs and the patterns.
///
/// # Panics
///
/// If the documentation is to be written and not everything is wanted.
pub fn compare(folder: &Path, arguments: &Arguments) {
    let mut workloads = programs::programs(folder);
    workloads.extend(patterns::patterns());
    let all = workloads.len();
    workloads.retain(|workload| arguments.wants(workload.group.name(), workload.name));
    if workloads.is_empty() {
        return;
    }
    let is_whole = workloads.len() == all && arguments.wants_all_peers();
    assert!(is_whole || !page::blesses(), "the page wants all workloads and all peers");
    let peers = peers::peers(folder, arguments);
    let rows: Vec<_> = workloads
        .into_iter()
        .map(|workload| {
            let row = Row { costs: rounds(&workload, &peers, arguments.rounds), workload };
            eprintln!("{}", table::progress(&row, &peers));
            row
        })
        .collect();
    page::publish("who", &table::who(&peers));
    page::publish("tables", &table::tables(&rows, &peers));
    page::publish_plot(&plot::plot(&rows, &peers));
}

/// The medians of all rounds of one workload; `None` for whom it fails.
///
/// Rounds go over the peers in turn, so that what disturbs the machine disturbs
/// everybody.
pub fn rounds(workload: &Workload, peers: &[Peer], rounds: usize) -> Vec<Option<Cost>> {
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
    runs.into_iter().map(|runs| runs.map(|runs| Cost::median(&runs))).collect()
}
