//! The heap by size class and by allocation site.

use serde_json::{Value, json};

use super::frames::Frames;
use super::model::{Frame, HeapSite};
use crate::collect::HeapTotal;

/// `totals.heap.classes`: the classes that were used, by slot size.
pub fn classes(heap: &HeapTotal) -> Value {
    let classes = heap.classes.values().map(|class| {
        json!({
            "slot_bytes": class.slot_bytes,
            "allocs": class.allocs,
            "frees": class.frees,
            "live": class.live,
        })
    });
    classes.collect()
}

/// What was live at the end, the most bytes first.
pub fn sites(heap: &HeapTotal, frames: &mut Frames<'_>) -> Vec<HeapSite> {
    let mut totals: Vec<_> = heap.sites.iter().collect();
    totals.sort_by_key(|(address, total)| {
        (std::cmp::Reverse((total.bytes, total.blocks)), address.is_none(), **address)
    });
    let sites = totals.into_iter().map(|(address, total)| HeapSite {
        site: address.map_or_else(Frame::unknown, |address| frames.call(address)),
        is_known: address.is_some(),
        blocks: total.blocks,
        bytes: total.bytes,
    });
    sites.collect()
}
