//! Delete sites and findings added up over processes.

use deadwalk_detector::histogram::BUCKETS;
use deadwalk_detector::record::reader;
use deadwalk_detector::{Api, Consequence, Kind, Op, Subject};

use super::pool::{AddressId, StackId};

/// Threads named per finding.
const THREADS_MAX: usize = 16;
/// Handlers named per delete site.
const HANDLERS_MAX: usize = 64;

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
    /// The delete's name says that it does not wait.
    pub declared_async: bool,
    /// The delete policy in force.
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
    pub re_deletes: u64,
    pub readds_by_handler: u64,
    pub readds_by_other: u64,
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
    /// How long after the free its accesses were.
    pub ages: reader::Ages,
    /// When, wall clock, ns since 1970.
    pub first_unix_ns: u64,
}

impl SiteTotal {
    /// A site without a call.
    pub fn new(api: Api, op: Op, address: AddressId) -> SiteTotal {
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
            re_deletes: 0,
            readds_by_handler: 0,
            readds_by_other: 0,
            consequences: [0; Consequence::ALL.len()],
            window_min_ns: u64::MAX,
            window_max_ns: 0,
            windows: vec![0; BUCKETS],
        }
    }

    /// Adds a record's numbers.
    pub fn add(&mut self, site: &reader::Site, handlers: &[AddressId]) {
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
            (&mut self.re_deletes, site.re_deletes),
            (&mut self.readds_by_handler, site.readds_by_handler),
            (&mut self.readds_by_other, site.readds_by_other),
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
    /// Adds a record's numbers.
    pub fn add(&mut self, finding: &reader::Finding) {
        self.unresolved = self.unresolved.saturating_add(finding.unresolved);
        for (sum, &value) in self.verdicts.iter_mut().zip(&finding.verdicts) {
            *sum = sum.saturating_add(value);
        }
        self.last_ns = self.last_ns.max(finding.last_ns);
        let (ages, more) = (&mut self.ages, &finding.ages);
        if more.min_ns != 0 {
            let is_first = ages.min_ns == 0;
            ages.min_ns = if is_first { more.min_ns } else { ages.min_ns.min(more.min_ns) };
        }
        ages.max_ns = ages.max_ns.max(more.max_ns);
        // A bucket may stand there twice: who adds them up does not mind.
        ages.buckets.extend_from_slice(&more.buckets);
        for &thread in &finding.threads {
            if self.threads.len() < THREADS_MAX && !self.threads.contains(&thread) {
                self.threads.push(thread);
            }
        }
    }
}
