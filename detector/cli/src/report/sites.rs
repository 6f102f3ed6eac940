//! Delete sites of the report.

use deadwalk_detector::{Consequence, statistics};

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
        window_ns: Window::new(&site.windows, site.window_min_ns, site.window_max_ns),
        consequences: counted.clone().map(|(c, n)| (c.name(), n)).collect(),
        worst: counted.filter(|(_, n)| *n > 0).map(|(c, _)| *c).max(),
    }
}
