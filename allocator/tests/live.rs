//! The walk over live blocks sees each of them once.

mod common;

use std::collections::HashMap;

use common::*;
use deadwalk_alloc::{LiveBlock, each_live, heap};

const SITE: usize = 0x7_1234_5678;

fn of_site() -> HashMap<usize, LiveBlock> {
    let mut found = HashMap::new();
    // The map is of the test's own heap.
    each_live(&mut |block| {
        if block.alloc_site == SITE as u32 {
            assert!(found.insert(block.base, *block).is_none(), "seen once");
        }
    });
    found
}

#[test]
fn every_live_block_is_seen_and_no_other() {
    let _serial = begin();
    let sizes = [0, 1, 16, 300, 5000, 32_767, 32_768, 1 << 20, 70 << 20];
    // SAFETY: the family's own contract.
    unsafe {
        let blocks: Vec<_> = sizes.iter().map(|&size| heap::malloc(size, SITE)).collect();
        let found = of_site();
        assert_eq!(found.len(), sizes.len());
        for (&block, &size) in blocks.iter().zip(&sizes) {
            let alloc_site = SITE as u32;
            let base = block as usize;
            assert_eq!(found[&base], LiveBlock { base, size, alloc_site });
        }
        let (freed, held) = blocks.split_at(4);
        freed.iter().for_each(|&block| heap::free(block, 0));
        let found = of_site();
        assert_eq!(found.len(), held.len());
        assert!(held.iter().all(|block| found.contains_key(&(*block as usize))));
        held.iter().for_each(|&block| heap::free(block, 0));
        assert_eq!(of_site(), HashMap::new());
    }
    assert_eq!(told(), []);
}
