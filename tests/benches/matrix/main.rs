//! The misuse matrix under deadwalk and under other allocators and checkers:
//! who catches what, who says what it was, and who lets the program go on.
//!
//! `tests/run --no-run && cargo bench -p deadwalk-tests --bench matrix`
//!
//! Prints the page; with `DEADWALK_BLESS=1` writes it to `docs/misuse-matrix.md`.
//! What is not installed is left out, aloud. `DEADWALK_MATRIX_LOG=FILE` writes a
//! line per run there: peer, case, verdict, status, and what was said.

mod page;
mod peers;
mod verdict;

use deadwalk_tests::matrix::{Case, Twin, cases};
use peers::{Peer, peers};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use verdict::{Verdict, judge};

/// Runs at a time: more than small machines have processors, for some wait.
const WORKERS: usize = 4;

fn main() {
    let (cases, peers) = (cases(), peers());
    let bad = run_all(&peers, &cases, Twin::Bad);
    // Of cases that differ in where they write, one clean twin is enough here.
    let mut twins = cases.clone();
    twins.dedup_by_key(|case| (case.row, case.name, case.size));
    let clean = run_all(&peers, &twins, Twin::Clean);
    let page = page::page(&peers, &cases, &bad, &twins, &clean);
    match std::env::var_os("DEADWALK_BLESS") {
        Some(_) => std::fs::write(page::path(), page).expect("docs/ is writable"),
        None => print!("{page}"),
    }
}

/// The verdicts by peer and case; `None` where the case is not the peer's.
type Verdicts = Vec<Vec<Option<Verdict>>>;

fn run_all(peers: &[Peer], cases: &[Case], twin: Twin) -> Verdicts {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(vec![vec![None; cases.len()]; peers.len()]);
    let log = std::env::var_os("DEADWALK_MATRIX_LOG").map(|path| {
        let open = std::fs::File::options().create(true).append(true).open(path);
        Mutex::new(open.expect("the log is writable"))
    });
    let work = || {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            let (at, who) = (job / peers.len(), job % peers.len());
            let Some(case) = cases.get(at) else { return };
            let peer = &peers[who];
            if case.is_ours_alone() && !peer.is_deadwalk() {
                continue;
            }
            let (verdict, said) = judge(peer, case, twin);
            if let Some(log) = &log {
                let said = said.replace('\n', " | ");
                let words = case.words(twin);
                let mut log = log.lock().expect("no worker panics");
                writeln!(log, "{}: {}: {words}: {verdict:?}: {said}", peer.name, case.row)
                    .expect("the log is writable");
            }
            verdicts.lock().expect("no worker panics")[who][at] = Some(verdict);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    verdicts.into_inner().expect("no worker panics")
}
