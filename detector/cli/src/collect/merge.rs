//! Adds up records: sites that agree in call and place, findings that agree in
//! what they say and in all their stacks.

use std::collections::HashMap;

use deadwalk_detector::counters::COUNTER_COUNT;
use deadwalk_detector::record::reader::{self, Record};
use deadwalk_detector::{Api, Op};

use super::heap::HeapTotal;
use super::pool::{AddressId, Places, Pool};
use super::process::{self, ProcessTotal};
use super::totals::{FindingKey, FindingTotal, SiteTotal};

/// All records together.
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
    /// The heap by size class and by site.
    pub heap: HeapTotal,
    /// What could not be read, a line each.
    pub problems: Vec<String>,
    site_ids: HashMap<SiteKey, usize>,
    finding_ids: HashMap<FindingKey, usize>,
}

type SiteKey = (Api, Op, AddressId);

impl Default for Merged {
    fn default() -> Merged {
        Merged {
            pool: Pool::default(),
            processes: Vec::new(),
            totals: [0; COUNTER_COUNT],
            sites: Vec::new(),
            findings: Vec::new(),
            heap: HeapTotal::default(),
            problems: Vec::new(),
            site_ids: HashMap::new(),
            finding_ids: HashMap::new(),
        }
    }
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
        for class in &record.classes {
            self.heap.add_class(class);
        }
        for site in &record.heap_sites {
            let address = site.frame.map(|frame| self.pool.address(frame, &places));
            self.heap.add_site(address, site);
        }
        self.processes.push(ProcessTotal::new(record, &places));
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
        let key = FindingKey {
            kind: finding.kind,
            consequence: finding.consequence,
            api: finding.api,
            subject: finding.subject,
            late: finding.late,
            declared_async: finding.declared_async,
            policy: process::options(&record.process).del.name(),
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
                ages: reader::Ages::default(),
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
