//! Deletes, landings and windows as numbers, for assertions.

use core::sync::atomic::Ordering::Relaxed;

use deadwalk_detector::record::layout::READY;
use deadwalk_detector::{Api, DETECTOR, Op};

use super::process::ENGINE;

/// What was counted at one place of the program that deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteSite {
    /// Which call it is.
    pub op: Op,
    /// Deletes.
    pub calls: u64,
    /// ... of a timer that was pending.
    pub returned_pending: u64,
    /// ... that returned while the handler ran on another thread.
    pub while_running: u64,
    /// ... of these, where the handler was in its last instructions.
    pub in_tail: u64,
    /// Deletes that waited for the handler.
    pub sync_waits: u64,
    /// Windows measured: how long handlers went on after the delete.
    pub windows: u64,
    /// The shortest window, ns; `u64::MAX` if there is none.
    pub window_min_ns: u64,
    /// The longest one, ns.
    pub window_max_ns: u64,
}

/// The places that deleted timers so far, in no order. A window is counted when its
/// handler has ended.
///
/// Totals are counters: `deadwalk_detector::counter("del.while_running")`.
pub fn delete_sites() -> Vec<DeleteSite> {
    let Some(body) = DETECTOR.record.body_if_any() else { return Vec::new() };
    let sites = body.sites.iter().filter(|site| {
        site.state.load(Relaxed) == READY && site.api.load(Relaxed) == Api::TimerList as u8
    });
    sites
        .filter_map(|site| {
            Some(DeleteSite {
                op: Op::from_u8(site.op.load(Relaxed))?,
                calls: site.calls.load(Relaxed),
                returned_pending: site.returned_pending.load(Relaxed),
                while_running: site.while_running.load(Relaxed),
                in_tail: site.in_tail.load(Relaxed),
                sync_waits: site.sync_waits.load(Relaxed),
                windows: site.window_count.load(Relaxed),
                window_min_ns: site.window_min_ns.load(Relaxed),
                window_max_ns: site.window_max_ns.load(Relaxed),
            })
        })
        .collect()
}

/// Do the books balance: is what was armed what expired, was refused, deleted or
/// detached, or is still armed?
pub fn is_balanced() -> bool {
    ENGINE.is_balanced()
}
