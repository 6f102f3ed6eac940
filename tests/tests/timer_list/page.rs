//! The page `docs/timer-list-scenarios.md`: the table of the scenarios as the
//! programs and the reports have it.

use crate::table::{Cell, POLICIES, SCENARIOS, Scenario};
use crate::watched;
use deadwalk_tests::{Count, Watched};
use std::path::Path;

const HEAD: &str = "\
# Scenarios of `timer_list`

What the programs of `examples/c` see themselves, and what deadwalk finds, under
each delete policy. The programs take each race in the order that does harm, in
every run. `async`: `del_timer()` returns at once (2.2, and today's
`timer_delete()`). `sync`: it waits until the handler has returned (the patch of
the mail). `running`: it waits for a flag in the timer itself (the mail's other
design). `≥`: how often depends on how the threads are scheduled.

This file is written by a test, from the reports of its runs:
`DEADWALK_BLESS=1 tests/run --test timer_list`.

`examples/run-scenarios` runs them for people.

";

const COLUMNS: &str = "\
| policy | the program saw | while_running | sync_waits | re_deletes | findings |
|---|---|---|---|---|---|
";

fn page() -> String {
    let mut page = HEAD.to_string();
    for (index, scenario) in SCENARIOS.iter().enumerate() {
        page += &format!("## {}\n\n`{}`", scenario.name, scenario.command);
        if !scenario.options.is_empty() {
            page += &format!(" with `DEADWALK_OPTIONS={}`", scenario.options);
        }
        page += "\n\n";
        if !scenario.note.is_empty() {
            page += &format!("{}\n\n", scenario.note);
        }
        page += COLUMNS;
        page += &rows(index, scenario);
        page += "\n";
    }
    page.trim_end().to_string() + "\n"
}

/// A row per policy; neighbours that are alike share one.
fn rows(index: usize, scenario: &Scenario) -> String {
    let mut rows: Vec<(String, String)> = vec![];
    for (p, (policy, cell)) in POLICIES.iter().zip(&scenario.cells).enumerate() {
        let row = row(watched(index, p), cell);
        match rows.last_mut() {
            Some((policies, last)) if *last == row => *policies += &format!(", {policy}"),
            _ => rows.push((policy.to_string(), row)),
        }
    }
    rows.iter().map(|(policies, row)| format!("| {policies} | {row} |\n")).collect()
}

fn row(watched: &Watched, expected: &Cell) -> String {
    let said = watched.outcome.stdout.lines().filter_map(|line| line.strip_prefix("program:"));
    let said: Vec<&str> = said.map(str::trim).collect();
    let count = |path, expected| shown(watched.report.counter(path), expected);
    [
        said.join("; "),
        count("del.while_running", expected.while_running),
        count("del.sync_waits", expected.sync_waits),
        count("del.re_deletes", expected.re_deletes),
        findings(watched, expected),
    ]
    .join(" | ")
}

/// The findings as the report has them, worst first.
fn findings(watched: &Watched, expected: &Cell) -> String {
    let mut found: Vec<_> = watched.report.tally().into_iter().collect();
    found.sort_by_key(|((kind, severity, _), _)| (std::cmp::Reverse(*severity), *kind));
    let lines = found.into_iter().map(|((kind, severity, consequence), n)| {
        let same = |e: &&deadwalk_tests::Expected| {
            (e.kind, e.severity, e.consequence) == (kind, severity, consequence)
        };
        let count = expected.findings.iter().find(same).map_or(Count::Exactly(n), |e| e.count);
        let severity = format!("{severity:?}").to_lowercase();
        let consequence = if consequence.is_empty() { "" } else { &format!(", {consequence}") };
        format!("{severity} `{kind}`{consequence} × {}", shown(n, count))
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { "none".to_string() } else { lines.join("<br>") }
}

/// The number, or its bound where only that is the same in every run.
fn shown(n: u64, expected: Count) -> String {
    match expected {
        Count::AtLeast(_) if expected.allows(n) => expected.to_string(),
        _ => n.to_string(),
    }
}

#[test]
fn the_page_is_what_the_runs_show() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/timer-list-scenarios.md");
    let page = page();
    if std::env::var_os("DEADWALK_BLESS").is_some() {
        std::fs::write(&path, page).expect("docs/ is writable");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/timer-list-scenarios.md is not what the runs show; if they are right, write it \
         with DEADWALK_BLESS=1. They show:\n{page}"
    );
}
