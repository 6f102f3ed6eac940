//! The findings a report must have: these, and no others.

use crate::{Report, Severity};
use std::collections::BTreeMap;
use std::fmt;

/// How often something is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So often, in every run.
    Exactly(u64),
    /// So often or more: it depends on how threads are scheduled.
    AtLeast(u64),
}

/// The findings of one kind, severity and consequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The kebab-case kind.
    pub kind: &'static str,
    /// Their severity.
    pub severity: Severity,
    /// What came of a landing; "" for `none`, and for other kinds.
    pub consequence: &'static str,
    /// How often, over all sites.
    pub count: Count,
}

impl Count {
    /// Whether `n` is as expected.
    pub fn allows(self, n: u64) -> bool {
        match self {
            Count::Exactly(count) => n == count,
            Count::AtLeast(count) => n >= count,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Exactly(count) => write!(out, "{count}"),
            Count::AtLeast(count) => write!(out, "≥ {count}"),
        }
    }
}

/// One error of that kind.
pub const fn error(kind: &'static str) -> Expected {
    Expected { kind, severity: Severity::Error, consequence: "", count: Count::Exactly(1) }
}

/// One warning of that kind.
pub const fn warning(kind: &'static str) -> Expected {
    Expected { severity: Severity::Warning, ..error(kind) }
}

/// One info of that kind.
pub const fn info(kind: &'static str) -> Expected {
    Expected { severity: Severity::Info, ..error(kind) }
}

impl Expected {
    /// With that consequence.
    pub const fn so(self, consequence: &'static str) -> Expected {
        Expected { consequence, ..self }
    }

    /// So often.
    pub const fn times(self, n: u64) -> Expected {
        Expected { count: Count::Exactly(n), ..self }
    }

    /// So often or more.
    pub const fn at_least(self, n: u64) -> Expected {
        Expected { count: Count::AtLeast(n), ..self }
    }
}

impl Report {
    /// Kind, severity, consequence and count of everything found, over all sites.
    pub fn tally(&self) -> BTreeMap<(&str, Severity, &str), u64> {
        let mut tally = BTreeMap::new();
        for finding in self.findings() {
            let consequence = match finding.text("consequence") {
                "none" => "",
                consequence => consequence,
            };
            let key = (finding.kind(), finding.severity(), consequence);
            *tally.entry(key).or_default() += finding.count();
        }
        tally
    }

    /// What differs between the findings and those expected, a line each; none
    /// if nothing does. Findings that are not expected differ, whatever their
    /// severity.
    pub fn differences(&self, expected: &[Expected]) -> Vec<String> {
        let mut found = self.tally();
        let mut differences = vec![];
        for wanted in expected {
            let key = (wanted.kind, wanted.severity, wanted.consequence);
            let count = found.remove(&key).unwrap_or(0);
            if !wanted.count.allows(count) {
                differences.push(format!("{key:?}: {count}, expected {}", wanted.count));
            }
        }
        differences.extend(found.iter().map(|(key, n)| format!("{key:?}: {n}, expected none")));
        differences
    }

    /// Asserts that there are these findings and no others.
    #[track_caller]
    pub fn assert_exactly(&self, expected: &[Expected]) {
        let differences = self.differences(expected);
        assert!(differences.is_empty(), "{}\n{self}", differences.join("\n"));
    }
}
