//! Delete sites of the report.

use deadwalk_detector::{Consequence, histogram, statistics};

use super::frames::Frames;
use super::model::{DelSite, SyncWait, Window};
use crate::collect::SiteTotal;

/// The statistics of one site, with its rate's interval and its windows.
pub fn del_site(site: &SiteTotal, frames: &mut Frames<'_>) -> DelSite {
    let (low, high) = statistics::wilson_95(site.while_running, site.calls);
    let counted = Consequence::ALL.iter().zip(site.consequences);
    DelSite {
        api: site.api.name(),
        op: site.op.name(),
        site: frames.call(site.address),
        handlers: site.handlers.iter().map(|&h| frames.function(h)).collect(),
        handlers_dropped: site.handlers_dropped,
        calls: site.calls,
        returned_pending: site.returned_pending,
        while_running: site.while_running,
        in_tail: site.in_tail,
        self_deletes: site.self_deletes,
        sync_waits: site.sync_waits,
        sync_wait_ns: SyncWait { total: site.sync_wait_total_ns, max: site.sync_wait_max_ns },
        re_deletes: site.re_deletes,
        readds_by_handler: site.readds_by_handler,
        readds_by_other: site.readds_by_other,
        rate: statistics::rate(site.while_running, site.calls),
        rate_ci95: [low, high],
        window_ns: window(site),
        consequences: counted.clone().map(|(c, n)| (c.name(), n)).collect(),
        worst: counted.filter(|(_, n)| *n > 0).map(|(c, _)| *c).max(),
    }
}

fn window(site: &SiteTotal) -> Window {
    let counts = &site.windows;
    let count = counts.iter().fold(0u64, |sum, &n| sum.saturating_add(n));
    let (min, max) = if count == 0 { (0, 0) } else { (site.window_min_ns, site.window_max_ns) };
    let at = |share| histogram::quantile(counts, share, min, max);
    let filled = counts.iter().enumerate().filter(|(_, n)| **n > 0);
    Window {
        count,
        min: min.min(max),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max,
        buckets: filled
            .map(|(bucket, &n)| {
                let (low, high) = histogram::bounds(bucket);
                [low, high, n]
            })
            .collect(),
    }
}
