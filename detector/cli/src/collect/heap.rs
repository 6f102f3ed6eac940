//! The heap's numbers added up over processes.

use std::collections::{BTreeMap, HashMap};

use deadwalk_detector::record::reader::{HeapClass, HeapSite};

use super::pool::AddressId;

/// What all processes did with their heaps.
#[derive(Default)]
pub struct HeapTotal {
    /// By slot size; 0 stands for blocks that are mapped directly.
    pub classes: BTreeMap<u64, HeapClass>,
    /// Live blocks by site; `None` for all whose site is not known.
    pub sites: HashMap<Option<AddressId>, Blocks>,
}

/// A number of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// How many.
    pub blocks: u64,
    /// Bytes asked for.
    pub bytes: u64,
}

impl HeapTotal {
    /// Adds a record's class.
    pub fn add_class(&mut self, class: &HeapClass) {
        let empty = HeapClass { slot_bytes: class.slot_bytes, allocs: 0, frees: 0, live: 0 };
        let total = self.classes.entry(class.slot_bytes).or_insert(empty);
        for (sum, value) in [
            (&mut total.allocs, class.allocs),
            (&mut total.frees, class.frees),
            (&mut total.live, class.live),
        ] {
            *sum = sum.saturating_add(value);
        }
    }

    /// Adds a record's live blocks of one site.
    pub fn add_site(&mut self, address: Option<AddressId>, site: &HeapSite) {
        let total = self.sites.entry(address).or_default();
        total.blocks = total.blocks.saturating_add(site.blocks);
        total.bytes = total.bytes.saturating_add(site.bytes);
    }
}
