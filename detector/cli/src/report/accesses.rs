//! Accesses to freed blocks by the place in the code that makes them.

use std::collections::HashMap;

use deadwalk_detector::Kind;
use deadwalk_detector::histogram::BUCKETS;
use deadwalk_detector::record::layout::StackRole;

use super::frames::Frames;
use super::model::{Accesses, Window};
use crate::collect::{AddressId, FindingTotal};

/// What one place did, in all findings.
struct Total {
    reads: u64,
    writes: u64,
    first_ns: u64,
    last_ns: u64,
    min_ns: u64,
    max_ns: u64,
    ages: Vec<u64>,
}

/// The totals of all places.
pub struct Sites(HashMap<AddressId, Total>);

impl Sites {
    /// Adds the findings up.
    pub fn new(findings: &[FindingTotal], frames: &Frames<'_>) -> Sites {
        let mut sites = Sites(HashMap::new());
        for finding in findings {
            if let Some(site) = site(finding, frames) {
                sites.0.entry(site).or_insert_with(Total::new).add(finding);
            }
        }
        sites
    }

    /// What the place of this finding did; `None` if it is no access to a freed block.
    pub fn of(&self, finding: &FindingTotal, frames: &Frames<'_>) -> Option<Accesses> {
        self.0.get(&site(finding, frames)?).map(Total::told)
    }
}

/// Where the access was made, if that is known.
fn site(finding: &FindingTotal, frames: &Frames<'_>) -> Option<AddressId> {
    let key = &finding.key;
    let is_access = matches!(key.kind, Kind::UseAfterFreeRead | Kind::UseAfterFreeWrite);
    let stack = key.stacks[StackRole::Access as usize].filter(|_| is_access && !key.late)?;
    frames.top(stack)
}

impl Total {
    fn new() -> Total {
        Total {
            reads: 0,
            writes: 0,
            first_ns: u64::MAX,
            last_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
            ages: vec![0; BUCKETS],
        }
    }

    fn add(&mut self, finding: &FindingTotal) {
        let count = finding.verdicts.iter().fold(finding.unresolved, |a, &n| a.saturating_add(n));
        let is_read = finding.key.kind == Kind::UseAfterFreeRead;
        let sum = if is_read { &mut self.reads } else { &mut self.writes };
        *sum = sum.saturating_add(count);
        self.first_ns = self.first_ns.min(finding.first.first_ns);
        self.last_ns = self.last_ns.max(finding.last_ns);
        let ages = &finding.ages;
        if ages.min_ns != 0 {
            self.min_ns = self.min_ns.min(ages.min_ns);
        }
        self.max_ns = self.max_ns.max(ages.max_ns);
        for &(bucket, count) in &ages.buckets {
            self.ages[bucket] = self.ages[bucket].saturating_add(count);
        }
    }

    fn told(&self) -> Accesses {
        Accesses {
            reads: self.reads,
            writes: self.writes,
            first_ns: self.first_ns,
            last_ns: self.last_ns,
            age_ns: Window::new(&self.ages, self.min_ns, self.max_ns),
        }
    }
}
