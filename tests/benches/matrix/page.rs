//! The page `docs/misuse-matrix.md`.

use crate::Verdicts;
use crate::peers::Peer;
use crate::verdict::Verdict;
use deadwalk_tests::matrix::{Case, Class};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where it is.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/misuse-matrix.md")
}

const HEAD: &str = "\
# Who catches what

One-bug programs (`tests/programs/matrix`) under deadwalk and under other
allocators and checkers. Blocks of 16 bytes are small, of 1 KiB medium, of 1 MiB
large. Written by a run:

```sh
tests/run --test matrix     # holds deadwalk to every case
DEADWALK_BLESS=1 cargo bench -p deadwalk-tests --bench matrix
```

A cell is **caught / named / survived**: of the row's cases, in how many anything
was said or the program died; in how many what was said names the class of the
misuse (a message that fits more than one class counts if this one is among
them); and how many programs went on to their end, unharmed. Dying is being
caught without a name, and surviving without being caught is luck.
";

const TAIL: &str = "\
Requests that the standard has refused are no misuse: there the figure is how
many were answered as the standard says. The periodic sweep is an option of
deadwalk's. In the rows of Rust deadwalk is the program's own allocator, and with
the others it is std's, which does not look at layouts. The clean twin of
`foreign` frees a block of libc's own malloc, as a program does with what an
object gives it that binds to libc alone.

What is found is described in [findings.md](findings.md), what is not in
[limits.md](limits.md).
";

/// The page.
///
/// `bad` has the verdicts on `cases`, `clean` those on the clean twins of `twins`.
pub fn page(
    peers: &[Peer],
    cases: &[Case],
    bad: &Verdicts,
    twins: &[Case],
    clean: &Verdicts,
) -> String {
    let mut page = HEAD.to_string();
    page += "\n| | run |\n|---|---|\n";
    for peer in peers {
        let _ = writeln!(page, "| {}{} | {} |", peer.name, version(peer), peer.run_as);
    }
    let names: Vec<_> = peers.iter().map(|peer| peer.name).collect();
    let _ = writeln!(page, "\n| | size | cases | {} |", names.join(" | "));
    let _ = writeln!(page, "|---|---|---{}|", "|---".repeat(peers.len()));
    for (row, size) in rows(cases) {
        let of_row = |case: &Case| case.row == row && case.size_name() == size;
        line(&mut page, row, size, cases, bad, of_row);
    }
    let is_everybodys = |case: &Case| case.class != Class::Refused && !case.is_ours_alone();
    line(&mut page, "**all misuse that everybody is run on**", "", cases, bad, is_everybodys);
    line(&mut page, "**found by the sweep**", "", cases, bad, Case::is_ours_alone);
    alarms(&mut page, peers, twins, clean);
    page + "\n" + TAIL
}

/// Rows and sizes, in the order of the cases.
fn rows(cases: &[Case]) -> Vec<(&'static str, &'static str)> {
    let mut rows = vec![];
    for case in cases {
        let row = (case.row, case.size_name());
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let first = |row: &str| rows.iter().position(|(other, _)| *other == row);
    let mut sorted = rows.clone();
    sorted.sort_by_key(|(row, _)| first(row));
    sorted
}

fn line(
    page: &mut String,
    row: &str,
    size: &str,
    cases: &[Case],
    verdicts: &Verdicts,
    of_row: impl Fn(&Case) -> bool,
) {
    let at: Vec<usize> = (0..cases.len()).filter(|&at| of_row(&cases[at])).collect();
    let refused = at.iter().all(|&at| cases[at].class == Class::Refused);
    let cells = verdicts.iter().map(|own| {
        let made = at.iter().filter_map(|&at| own[at]).filter(|verdict| verdict.made);
        cell(&made.collect::<Vec<_>>(), at.len(), refused)
    });
    let cells: Vec<_> = cells.collect();
    let _ = writeln!(page, "| {row} | {size} | {} | {} |", at.len(), cells.join(" | "));
}

fn cell(made: &[Verdict], all: usize, refused: bool) -> String {
    if made.is_empty() {
        return "–".to_string();
    }
    let count = |what: fn(&Verdict) -> bool| made.iter().filter(|verdict| what(verdict)).count();
    let survived = count(|verdict| verdict.survived);
    let figures = match refused {
        true => survived.to_string(),
        false => {
            let (caught, named) = (count(|verdict| verdict.caught), count(|verdict| verdict.named));
            format!("{caught} / {named} / {survived}")
        }
    };
    // Not every case can be made everywhere, nor is it everybody's.
    if made.len() == all { figures } else { format!("{figures} of {}", made.len()) }
}

/// The last line: clean twins that were accused or did not survive; below the
/// table, which.
fn alarms(page: &mut String, peers: &[Peer], twins: &[Case], clean: &Verdicts) {
    let mut cells = vec![];
    let mut which = String::new();
    for (peer, own) in peers.iter().zip(clean) {
        let harmed = own.iter().zip(twins);
        let harmed = harmed.filter(|(verdict, _)| verdict.is_some_and(|v| v.made && v.caught));
        let mut names: Vec<_> = harmed.map(|(_, twin)| twin.name).collect();
        cells.push(names.len().to_string());
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            let _ = write!(which, "; {}: {}", peer.name, names.join(", "));
        }
    }
    let (count, cells) = (twins.len(), cells.join(" | "));
    let _ = writeln!(page, "| **clean twins accused or killed** | | {count} | {cells} |");
    if let Some(which) = which.strip_prefix("; ") {
        let _ = writeln!(page, "\nClean twins accused or killed: {which}.");
    }
}

/// The package's version, where Debian knows one.
fn version(peer: &Peer) -> String {
    let output = Command::new("dpkg-query").args(["-W", "-f=${Version}", peer.package]).output();
    let text = output.ok().filter(|output| output.status.success());
    text.map_or(String::new(), |output| format!(" {}", String::from_utf8_lossy(&output.stdout)))
}
