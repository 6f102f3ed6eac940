//! What changes with the number of threads and of live blocks.

use crate::compare;
use crate::cost::{Cost, median};
use crate::patterns;
use crate::peers::Peer;
use crate::workload::{Group, Job, Workload};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const THREADS: [u32; 4] = [1, 2, 4, 8];

/// Both tables; `None` without a compiler.
pub fn scaling(folder: &Path, rounds: usize) -> Option<String> {
    let program = patterns::program()?;
    let peers = [Peer::glibc(), Peer::deadwalk(folder, "")];
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    let mut text = format!(
        "Millions of malloc and free pairs on {processors} processors, with the same work shared \
         by more threads:\n\n\
         | pattern | threads | a CPU second, glibc | deadwalk | ratio | a second, glibc | deadwalk \
         | ratio |\n|---|---:|---:|---:|---:|---:|---:|---:|\n"
    );
    for pattern in ["larson", "random"] {
        for threads in THREADS {
            eprintln!("scaling: {pattern}, {threads} threads");
            let mut rates: [Vec<(f64, f64)>; 2] = [vec![], vec![]];
            for _ in 0..rounds {
                for (peer, rates) in peers.iter().zip(&mut rates) {
                    rates.push(rate(&program, pattern, threads, peer));
                }
            }
            let middle = |rates: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
                median(rates.iter().map(of).collect())
            };
            let [cpu, wall] = [|rate: &(f64, f64)| rate.0, |rate: &(f64, f64)| rate.1];
            let _ = write!(text, "| {pattern} | {threads} |");
            for of in [cpu, wall] {
                let (glibc, own) = (middle(&rates[0], of), middle(&rates[1], of));
                let _ = write!(text, " {glibc:.1} | {own:.1} | {:.2} |", own / glibc);
            }
            text.push('\n');
        }
    }
    text.push_str(&live(&program, &peers, rounds));
    Some(text)
}

/// Pairs, in millions, per second of CPU time and per second.
fn rate(program: &Path, pattern: &str, threads: u32, peer: &Peer) -> (f64, f64) {
    let mut command = Command::new(program);
    let percent = 100 / threads;
    command.args([pattern, &percent.to_string(), &threads.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    peer.load_into(&mut command);
    let since = Instant::now();
    let mut child = crate::cost::start(&mut command);
    let out = child.stdout.take().expect("piped");
    let said = std::io::read_to_string(out).expect("it prints text");
    let wall_s = since.elapsed().as_secs_f64();
    let cost = Cost::of_child(child, crate::cost::LIMIT);
    let cost = cost.unwrap_or_else(|| panic!("{pattern} failed under {}", peer.name));
    let millions = operations(&said).expect("it prints its operations") / 1e6;
    (millions / cost.cpu_s, millions / wall_s)
}

/// The number before the last "operations".
fn operations(said: &str) -> Option<f64> {
    let before = said.rsplit_once(" operations")?.0;
    before.split_whitespace().last()?.parse().ok()
}

fn live(program: &Path, peers: &[Peer], rounds: usize) -> String {
    let job = Job::Command {
        words: vec![program.display().to_string(), "live".to_string()],
        env: &[],
        input: None,
    };
    let workload = Workload { name: "live", group: Group::Patterns, job };
    let costs = compare::rounds(&workload, peers, rounds);
    let mut text = "\nTen million small blocks that live at once:\n\n\
                    | | CPU, s | memory, MB |\n|---|---:|---:|\n"
        .to_string();
    for (peer, cost) in peers.iter().zip(costs) {
        let cost = cost.unwrap_or_else(|| panic!("live blocks failed under {}", peer.name));
        let megabytes = cost.peak_kib * 1024.0 / 1e6;
        let _ = writeln!(text, "| {} | {:.2} | {megabytes:.0} |", peer.name, cost.cpu_s);
    }
    text
}
