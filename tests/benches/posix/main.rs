//! The POSIX matrix, many times: how often each bad program is named and each clean
//! one left in peace, and what other checkers say of the bad ones.
//!
//! `tests/run --no-run && cargo bench -p deadwalk-tests --bench posix`
//!
//! Prints the page; with `DEADWALK_BLESS=1` writes it to `docs/posix-matrix.md`. What
//! is not installed is left out, aloud. `DEADWALK_MATRIX_LOG=FILE` writes a line per
//! run there that was not as it should be, and what the others said.

mod page;
mod peers;
mod score;

use deadwalk_tests::posix::{Api, PATTERNS, Pattern, Twin, Variant};
use peers::{Peer, peers};
use score::{Score, Scores};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs of each program under deadwalk.
const RUNS: usize = 20;
/// Runs of each bad program under each of the others.
const PEER_RUNS: usize = 2;
/// Runs at a time: more than small machines have processors, for many wait.
const WORKERS: usize = 4;

/// A program by one kind of timer.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pattern: &'static Pattern,
    variant: &'static Variant,
    api: Api,
}

fn main() {
    let (jobs, peers) = (jobs(), peers());
    // Compiled one after another, so that no run waits for a compiler.
    for job in &jobs {
        job.variant.command(job.api, &[]);
        for peer in peers.iter().filter(|_| job.variant.twin == Twin::Bad) {
            job.variant.command(job.api, peer.flags);
        }
    }
    let scores = run_all(&jobs, &peers);
    let page = page::page(&jobs, &peers, &scores);
    match std::env::var_os("DEADWALK_BLESS") {
        Some(_) => std::fs::write(page::path(), page).expect("docs/ is writable"),
        None => print!("{page}"),
    }
}

fn jobs() -> Vec<Job> {
    let mut jobs = vec![];
    for pattern in PATTERNS {
        for variant in pattern.variants {
            let apis = Api::ALL.into_iter().filter(|api| variant.named(*api).is_some());
            jobs.extend(apis.map(|api| Job { pattern, variant, api }));
        }
    }
    jobs
}

fn run_all(jobs: &[Job], peers: &[Peer]) -> Scores {
    let next = AtomicUsize::new(0);
    let scores = Mutex::new(vec![Score::new(peers.len()); jobs.len()]);
    let log = std::env::var_os("DEADWALK_MATRIX_LOG").map(|path| {
        let open = std::fs::File::options().create(true).append(true).open(path);
        Mutex::new(open.expect("the log is writable"))
    });
    let note = |job: &Job, who: &str, what: &str| {
        if let Some(log) = &log {
            let mut log = log.lock().expect("no worker panics");
            let (define, api) = (job.variant.define, job.api.name());
            let what = what.replace('\n', " | ");
            writeln!(log, "{} {define} {api}: {who}: {what}", job.variant.source)
                .expect("the log is writable");
        }
    };
    // Round by round, so that what disturbs the machine for a while disturbs all.
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (round, at) = (number / jobs.len(), number % jobs.len());
            if round >= RUNS {
                return;
            }
            let job = &jobs[at];
            if let Some(wrong) =
                job.variant.complaints(job.api, &job.variant.run(job.api).watched())
            {
                let mut scores = scores.lock().expect("no worker panics");
                scores[at].runs += 1;
                scores[at].right += usize::from(wrong.is_empty());
                drop(scores);
                if !wrong.is_empty() {
                    note(job, "deadwalk", &wrong.join("; "));
                }
            }
            if round >= PEER_RUNS || job.variant.twin != Twin::Bad {
                continue;
            }
            for (who, peer) in peers.iter().enumerate() {
                let said = peer.run(job.variant, job.api);
                note(job, peer.name, &format!("{said:?}"));
                scores.lock().expect("no worker panics")[at].peers[who].push(said);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    scores.into_inner().expect("no worker panics")
}
