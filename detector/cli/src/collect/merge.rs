//! Adds up records: sites that agree in call and place, findings that agree in
//! what they say and in all their stacks.

use std::collections::HashMap;

use deadwalk_detector::counters::COUNTER_COUNT;
use deadwalk_detector::histogram::BUCKETS;
use deadwalk_detector::options::{DelPolicy, Options};
use deadwalk_detector::record::reader::{self, Record};
use deadwalk_detector::{Api, Consequence, Kind, Op, Subject};

use super::pool::{AddressId, Places, Pool, StackId};
use super::process::{self, ProcessTotal};

/// Threads named per finding.
const THREADS_MAX: usize = 16;
/// Handlers named per delete site.
const HANDLERS_MAX: usize = 64;

/// All records together.
#[derive(Default)]
pub struct Merged {
    /// What the rest refers to.
    pub pool: Pool,
    /// One per record, by start.
    pub processes: Vec<ProcessTotal>,
    /// Counters added up, by [`deadwalk_detector::counters::Counter`].
    pub totals: [u64; COUNTER_COUNT],
    /// Delete sites.
    pub sites: Vec<SiteTotal>,
    /// Findings.
    pub findings: Vec<FindingTotal>,
    /// What could not be read, a line each.
    pub problems: Vec<String>,
    site_ids: HashMap<SiteKey, usize>,
    finding_ids: HashMap<FindingKey, usize>,
}

type SiteKey = (Api, Op, AddressId);

/// What two occurrences have in common to be one finding.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FindingKey {
    /// What it says.
    pub kind: Kind,
    /// The worst that followed.
    pub consequence: Consequence,
    /// API family.
    pub api: Api,
    /// What an access hit.
    pub subject: Subject,
    /// Found later than it happened.
    pub late: bool,
    /// `del` in force: `async` or `sync`.
    pub policy: &'static str,
    /// By [`deadwalk_detector::record::layout::StackRole`].
    pub stacks: [Option<StackId>; 6],
}

/// A delete site in all processes. The fields are those of [`reader::Site`].
pub struct SiteTotal {
    pub api: Api,
    pub op: Op,
    pub address: AddressId,
    pub handlers: Vec<AddressId>,
    pub handlers_dropped: u64,
    pub calls: u64,
    pub returned_pending: u64,
    pub while_running: u64,
    pub in_tail: u64,
    pub self_deletes: u64,
    pub sync_waits: u64,
    pub sync_wait_total_ns: u64,
    pub sync_wait_max_ns: u64,
    pub consequences: [u64; Consequence::ALL.len()],
    pub window_min_ns: u64,
    pub window_max_ns: u64,
    /// Windows by bucket of [`deadwalk_detector::histogram`].
    pub windows: Vec<u64>,
}

/// A finding in all processes.
pub struct FindingTotal {
    /// What makes it one.
    pub key: FindingKey,
    /// Occurrences without a verdict.
    pub unresolved: u64,
    /// Occurrences by verdict.
    pub verdicts: [u64; 4],
    /// The first occurrence's process, and the occurrence as its record has it.
    pub pid: u32,
    /// Its details; stack indexes in it have no meaning here.
    pub first: reader::Finding,
    /// Last occurrence, ns since its process's start.
    pub last_ns: u64,
    /// Threads seen.
    pub threads: Vec<u32>,
    first_unix_ns: u64,
}

impl Merged {
    /// Adds a record.
    pub fn add(&mut self, record: &Record) {
        for (total, &value) in self.totals.iter_mut().zip(&record.counters) {
            *total = total.saturating_add(value);
        }
        let places = self.pool.add(record);
        for site in &record.sites {
            self.add_site(site, &places);
        }
        for finding in &record.findings {
            self.add_finding(finding, record, &places);
        }
        self.processes.push(ProcessTotal::new(record));
    }

    /// Settles what only all records together tell.
    pub fn finish(&mut self) {
        process::settle(&mut self.processes);
    }

    fn add_site(&mut self, site: &reader::Site, places: &Places) {
        let address = self.pool.address(site.frame, places);
        let handlers: Vec<AddressId> =
            site.handlers.iter().map(|&h| self.pool.address(h, places)).collect();
        let sites = &mut self.sites;
        let index = *self.site_ids.entry((site.api, site.op, address)).or_insert_with(|| {
            sites.push(SiteTotal::new(site.api, site.op, address));
            sites.len() - 1
        });
        sites[index].add(site, &handlers);
    }

    fn add_finding(&mut self, finding: &reader::Finding, record: &Record, places: &Places) {
        let mut options = Options::default();
        options.apply(&record.process.options, |_| {});
        let key = FindingKey {
            kind: finding.kind,
            consequence: finding.consequence,
            api: finding.api,
            subject: finding.subject,
            late: finding.late,
            policy: DelPolicy::name(options.del),
            stacks: finding.stacks.map(|s| s.and_then(|s| places.stacks.get(s).copied())),
        };
        let first_unix_ns = record.process.start_unix_ns.saturating_add(finding.first_ns);
        let findings = &mut self.findings;
        let index = *self.finding_ids.entry(key.clone()).or_insert_with(|| {
            findings.push(FindingTotal {
                key,
                unresolved: 0,
                verdicts: [0; 4],
                pid: record.process.pid,
                first: finding.clone(),
                last_ns: 0,
                threads: Vec::new(),
                first_unix_ns,
            });
            findings.len() - 1
        });
        let total = &mut findings[index];
        if first_unix_ns < total.first_unix_ns {
            total.first_unix_ns = first_unix_ns;
            total.pid = record.process.pid;
            total.first = finding.clone();
        }
        total.add(finding);
    }
}

impl SiteTotal {
    fn new(api: Api, op: Op, address: AddressId) -> SiteTotal {
        SiteTotal {
            api,
            op,
            address,
            handlers: Vec::new(),
            handlers_dropped: 0,
            calls: 0,
            returned_pending: 0,
            while_running: 0,
            in_tail: 0,
            self_deletes: 0,
            sync_waits: 0,
            sync_wait_total_ns: 0,
            sync_wait_max_ns: 0,
            consequences: [0; Consequence::ALL.len()],
            window_min_ns: u64::MAX,
            window_max_ns: 0,
            windows: vec![0; BUCKETS],
        }
    }

    fn add(&mut self, site: &reader::Site, handlers: &[AddressId]) {
        for &handler in handlers {
            if self.handlers.contains(&handler) {
                continue;
            }
            if self.handlers.len() < HANDLERS_MAX {
                self.handlers.push(handler);
            } else {
                self.handlers_dropped = self.handlers_dropped.saturating_add(1);
            }
        }
        for (sum, value) in [
            (&mut self.handlers_dropped, site.handlers_dropped),
            (&mut self.calls, site.calls),
            (&mut self.returned_pending, site.returned_pending),
            (&mut self.while_running, site.while_running),
            (&mut self.in_tail, site.in_tail),
            (&mut self.self_deletes, site.self_deletes),
            (&mut self.sync_waits, site.sync_waits),
            (&mut self.sync_wait_total_ns, site.sync_wait_total_ns),
        ] {
            *sum = sum.saturating_add(value);
        }
        self.sync_wait_max_ns = self.sync_wait_max_ns.max(site.sync_wait_max_ns);
        for (sum, &value) in self.consequences.iter_mut().zip(&site.consequences) {
            *sum = sum.saturating_add(value);
        }
        self.window_min_ns = self.window_min_ns.min(site.window_min_ns);
        self.window_max_ns = self.window_max_ns.max(site.window_max_ns);
        for &(bucket, count) in &site.windows {
            self.windows[bucket] = self.windows[bucket].saturating_add(count);
        }
    }
}

impl FindingTotal {
    fn add(&mut self, finding: &reader::Finding) {
        self.unresolved = self.unresolved.saturating_add(finding.unresolved);
        for (sum, &value) in self.verdicts.iter_mut().zip(&finding.verdicts) {
            *sum = sum.saturating_add(value);
        }
        self.last_ns = self.last_ns.max(finding.last_ns);
        for &thread in &finding.threads {
            if self.threads.len() < THREADS_MAX && !self.threads.contains(&thread) {
                self.threads.push(thread);
            }
        }
    }
}
