//! Writes the listing of blocks that are live at the end.

use core::sync::atomic::Ordering::{Relaxed, Release};

use super::layout::{HEAP_SITES, READY};
use super::writer::Recorder;
use crate::platform::Platform;

/// What one site had allocated and is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapSite {
    /// Return address of the allocation call; 0 for what is not known.
    pub site: usize,
    /// How many blocks.
    pub blocks: u64,
    /// Bytes asked for.
    pub bytes: u64,
}

impl Recorder {
    /// Records the listing, the most important first: what finds no place is
    /// added up in the last entry. To be called once, by one thread.
    pub fn heap_sites(&self, platform: &dyn Platform, sites: impl Iterator<Item = HeapSite>) {
        let body = self.body(platform);
        let (last, first) = body.heap_sites.split_last().expect("there is room");
        let mut rest = HeapSite { site: 0, blocks: 0, bytes: 0 };
        for (number, site) in sites.enumerate() {
            let known = first.get(number).filter(|_| site.site != 0);
            let Some(entry) = known else {
                rest.blocks = rest.blocks.saturating_add(site.blocks);
                rest.bytes = rest.bytes.saturating_add(site.bytes);
                continue;
            };
            entry.frame.store(self.frame(platform, site.site.wrapping_sub(1)), Relaxed);
            entry.blocks.store(site.blocks, Relaxed);
            entry.bytes.store(site.bytes, Relaxed);
            entry.state.store(READY, Release);
        }
        if rest.blocks > 0 {
            last.blocks.store(rest.blocks, Relaxed);
            last.bytes.store(rest.bytes, Relaxed);
            last.state.store(READY, Release);
        }
    }
}

const _: () = assert!(HEAP_SITES > 1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::layout::{EMPTY, HeapSiteEntry};
    use crate::tests::host::Host;

    #[test]
    fn what_finds_no_place_is_added_up_in_the_last_entry() {
        let detector = Host::new().detector();
        let platform = detector.platform().expect("active");
        let sites = (0..HEAP_SITES + 9).map(|number| HeapSite {
            // One of them is not known.
            site: if number == 5 { 0 } else { 0x1000 + number },
            blocks: 2,
            bytes: 10,
        });
        detector.record.heap_sites(platform, sites);
        let entries = &detector.record.body(platform).heap_sites;
        let (last, first) = entries.split_last().expect("entries");
        let of = |entry: &HeapSiteEntry| {
            (entry.frame.load(Relaxed), entry.blocks.load(Relaxed), entry.bytes.load(Relaxed))
        };
        assert_eq!(of(last), (0, 2 * 11, 10 * 11));
        for (number, entry) in first.iter().enumerate() {
            let state = if number == 5 { EMPTY } else { READY };
            assert_eq!(entry.state.load(Relaxed), state);
            if state == READY {
                assert_eq!((entry.blocks.load(Relaxed), entry.bytes.load(Relaxed)), (2, 10));
            }
        }
    }
}
