//! The figures as Markdown.

use crate::cost::{Cost, geometric_mean};
use crate::peers::Peer;
use crate::workload::{Group, Workload};
use std::fmt::Write;
use std::process::Command;

/// What of a cost is compared.
pub type Measure = fn(&Cost) -> f64;

/// A workload with what it cost under every peer; `None` where it failed.
pub struct Row {
    /// What ran.
    pub workload: Workload,
    /// In the order of the peers, glibc first.
    pub costs: Vec<Option<Cost>>,
}

impl Row {
    /// The peer's cost over glibc's.
    pub fn ratio(&self, peer: usize, of: Measure) -> Option<f64> {
        let (own, glibc) = (self.costs[peer].as_ref()?, self.costs[0].as_ref()?);
        Some(of(own) / of(glibc))
    }
}

/// The geometric mean of a group's ratios.
pub fn mean(rows: &[Row], group: Group, peer: usize, of: Measure) -> Option<f64> {
    let own = rows.iter().filter(|row| row.workload.group == group);
    geometric_mean(&own.filter_map(|row| row.ratio(peer, of)).collect::<Vec<_>>())
}

/// One line for who waits.
pub fn progress(row: &Row, peers: &[Peer]) -> String {
    let mut line = format!("{:18}", row.workload.name);
    for (at, peer) in peers.iter().enumerate().skip(1) {
        let figure = |of| cell(row.ratio(at, of));
        let (cpu, memory) = (figure(|cost| cost.cpu_s), figure(|cost| cost.peak_kib));
        let _ = write!(line, " {} {cpu} {memory}", peer.name);
    }
    if let Some(glibc) = row.costs[0] {
        let _ = write!(line, " (glibc {:.2} s, {:.1} MB)", glibc.cpu_s, glibc.peak_kib / 1e3);
    }
    line
}

/// Both tables.
pub fn tables(rows: &[Row], peers: &[Peer]) -> String {
    let cpu = table("CPU time", "s", rows, peers, |cost| cost.cpu_s);
    let memory = table("Peak memory", "MB", rows, peers, |cost| cost.peak_kib * 1024.0 / 1e6);
    format!("{cpu}\n{memory}")
}

fn table(what: &str, unit: &str, rows: &[Row], peers: &[Peer], of: Measure) -> String {
    let names: Vec<_> = peers.iter().skip(1).map(|peer| peer.name).collect();
    let mut text = format!("| {what} | glibc, {unit} | {} |\n", names.join(" | "));
    let _ = writeln!(text, "|---|{}", "---:|".repeat(peers.len()));
    for group in [Group::Programs, Group::Patterns] {
        let mut own = rows.iter().filter(|row| row.workload.group == group).peekable();
        if own.peek().is_none() {
            continue;
        }
        for row in own {
            let glibc =
                row.costs[0].as_ref().map_or("–".to_string(), |cost| format!("{:.2}", of(cost)));
            let cells: Vec<_> = (1..peers.len()).map(|at| cell(row.ratio(at, of))).collect();
            let _ = writeln!(text, "| {} | {glibc} | {} |", row.workload.name, cells.join(" | "));
        }
        let means = (1..peers.len()).map(|at| format!("**{}**", cell(mean(rows, group, at, of))));
        let means: Vec<_> = means.collect();
        let name = group.name();
        let _ = writeln!(text, "| **{name}, geometric mean** | | {} |", means.join(" | "));
    }
    text
}

/// Who was compared, and how each is run.
pub fn who(peers: &[Peer]) -> String {
    let mut text = String::from("| | package | run |\n|---|---|---|\n");
    for peer in peers {
        let (package, run_as) = (peer.package, peer.run_as);
        let _ = writeln!(text, "| {} | {package}{} | {run_as} |", peer.name, version(package));
    }
    text
}

/// The package's version, where Debian knows one.
fn version(package: &str) -> String {
    let output = Command::new("dpkg-query").args(["-W", "-f=${Version}", package]).output();
    let text = output.ok().filter(|output| output.status.success());
    text.map_or(String::new(), |output| format!(" {}", String::from_utf8_lossy(&output.stdout)))
}

fn cell(ratio: Option<f64>) -> String {
    ratio.map_or("–".to_string(), |ratio| format!("{ratio:.2}"))
}
