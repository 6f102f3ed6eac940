//! The page `docs/posix-matrix.md`.

use crate::peers::Peer;
use crate::score::{Said, Scores};
use crate::{Job, PEER_RUNS, RUNS};
use deadwalk_tests::Severity;
use deadwalk_tests::posix::{Api, Named, PATTERNS, Pattern, Twin};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where it is.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/posix-matrix.md")
}

/// The page.
pub fn page(jobs: &[Job], peers: &[Peer], scores: &Scores) -> String {
    let mut page = head();
    patterns_by_timers(&mut page, jobs, scores);
    bad_programs(&mut page, jobs, peers, scores);
    clean_programs(&mut page, jobs, scores);
    page
}

fn head() -> String {
    format!(
        "\
# Patterns of misuse by every kind of POSIX timer

Sixteen patterns of timer misuse (`tests/programs/posix`), each as a bad program, a
fixed one and legal ones that look like it, each by every kind of timer. Which thread
does what when is directed by gates, so that each takes the same path in every run.
Written by a run:

```sh
tests/run --test posix_patterns     # holds deadwalk to every cell
DEADWALK_BLESS=1 cargo bench -p deadwalk-tests --bench posix
```

A bad program counts in a run in which every finding that the second table names for it
was made, with that severity at least, no warning or error of another kind, and the
program ended as it should. A fixed one or a look-alike counts in a run without a
warning or error. {RUNS} runs of each program.

## Patterns by timers

A cell is bad / fixed / look-alike: in how many of the runs of its programs it was as it
should be. What is not found in any run, [limits.md](limits.md) says too.
"
    )
}

fn patterns_by_timers(page: &mut String, jobs: &[Job], scores: &Scores) {
    let names: Vec<_> = Api::ALL.iter().map(|api| api.name()).collect();
    let _ = writeln!(page, "\n| | pattern | {} |", names.join(" | "));
    let _ = writeln!(page, "|---|---{}|", "|---".repeat(names.len()));
    let mut reasons: Vec<&str> = vec![];
    for pattern in PATTERNS {
        let cells = Api::ALL.map(|api| {
            let parts = Twin::ALL.map(|twin| part(pattern, api, twin, jobs, scores));
            let reason = pattern.reason(api).map(|reason| 1 + number(&mut reasons, reason));
            match (parts.iter().all(|part| part == NONE), reason) {
                (true, Some(reason)) => format!("n/a ({reason})"),
                (false, Some(reason)) => format!("{} ({reason})", parts.join(" / ")),
                (_, None) => parts.join(" / "),
            }
        });
        let _ = writeln!(page, "| {} | {} | {} |", pattern.name, pattern.title, cells.join(" | "));
    }
    page.push('\n');
    for (at, reason) in (1..).zip(&reasons) {
        let _ = writeln!(page, "{at}. {reason}");
    }
}

const NONE: &str = "–";

/// The place of `reason` among those given so far.
fn number(reasons: &mut Vec<&'static str>, reason: &'static str) -> usize {
    reasons.iter().position(|other| *other == reason).unwrap_or_else(|| {
        reasons.push(reason);
        reasons.len() - 1
    })
}

fn part(pattern: &Pattern, api: Api, twin: Twin, jobs: &[Job], scores: &Scores) -> String {
    let (mut right, mut runs) = (0, 0);
    for (job, score) in jobs.iter().zip(scores) {
        if job.pattern.name == pattern.name && job.api == api && job.variant.twin == twin {
            right += score.right;
            runs += score.runs;
        }
    }
    if runs == 0 { NONE.to_string() } else { format!("{right} of {runs}") }
}

fn bad_programs(page: &mut String, jobs: &[Job], peers: &[Peer], scores: &Scores) {
    page.push_str("\n## Bad programs, and who else says something\n\n");
    let _ = writeln!(
        page,
        "The same programs under other checkers, {PEER_RUNS} runs each. Their words are taken in\n\
         their favour, whatever they are about. Gates that only direct a race are hidden from\n\
         them (`-DUNSEEN` in `timers.h`), for a race detector would take them for the\n\
         synchronisation that the program lacks. *crashes*: the program died of SIGSEGV, and\n\
         nothing was said. With a figure where it was not so in every run.\n"
    );
    let _ = writeln!(page, "| | run |\n|---|---|");
    for peer in peers {
        let _ = writeln!(page, "| {} | {} |", peer.name, peer.run_as);
    }
    let names: Vec<_> = peers.iter().map(|peer| peer.name).collect();
    let _ = writeln!(
        page,
        "\n| | bad program | timer | findings that are asked for | deadwalk | {} |",
        names.join(" | ")
    );
    let _ = writeln!(page, "|---|---|---|---|---{}|", "|---".repeat(names.len()));
    for (job, score) in jobs.iter().zip(scores) {
        let Some(named) = job.variant.named(job.api).filter(|named| !named.is_empty()) else {
            continue;
        };
        let named: Vec<_> = named.iter().map(finding).collect();
        let right = score.right;
        let said: Vec<_> = score.peers.iter().map(|runs| words(runs)).collect();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {right} of {} | {} |",
            job.pattern.name,
            job.variant.what,
            job.api.name(),
            named.join(", "),
            score.runs,
            said.join(" | ")
        );
    }
}

fn finding(named: &Named) -> String {
    let severity = match named.at_least {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    match named.consequence {
        [] => format!("{severity} `{}`", named.kind),
        so => format!("{severity} `{}` ({})", named.kind, so.join(" or ")),
    }
}

/// What most of the runs came to.
fn words(runs: &[Said]) -> String {
    let count = |said: Said| runs.iter().filter(|other| **other == said).count();
    let Some(most) = runs.iter().copied().max_by_key(|said| count(*said)) else {
        return NONE.to_string();
    };
    let name = match most {
        Said::This(name) => name,
        Said::Crashed => "*crashes*",
        Said::Nothing => NONE,
    };
    if count(most) == runs.len() {
        name.to_string()
    } else {
        format!("{name} ({} of {})", count(most), runs.len())
    }
}

fn clean_programs(page: &mut String, jobs: &[Job], scores: &Scores) {
    page.push_str("\n## Fixed programs and look-alikes\n\n| | | program | timers | clean |\n");
    page.push_str("|---|---|---|---|---|\n");
    for pattern in PATTERNS {
        for variant in pattern.variants.iter().filter(|variant| variant.twin != Twin::Bad) {
            let of_it = jobs.iter().zip(scores).filter(|(job, _)| {
                std::ptr::eq(job.pattern, pattern) && std::ptr::eq(job.variant, variant)
            });
            let of_it: Vec<_> = of_it.collect();
            let names: Vec<_> = of_it.iter().map(|(job, _)| job.api.name()).collect();
            let right: usize = of_it.iter().map(|(_, score)| score.right).sum();
            let runs: usize = of_it.iter().map(|(_, score)| score.runs).sum();
            let twin = if variant.twin == Twin::Fixed { "fixed" } else { "look-alike" };
            let _ = writeln!(
                page,
                "| {} | {twin} | {} | {} | {right} of {runs} |",
                pattern.name,
                variant.what,
                names.join(", ")
            );
        }
    }
    page.push_str(
        "\nWhat is found is described in [findings.md](findings.md), what is not in\n\
         [limits.md](limits.md).\n",
    );
}
