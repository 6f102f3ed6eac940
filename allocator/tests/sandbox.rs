//! What submitting to a filter does to the heap: memory is mapped in advance,
//! and everything goes on.

mod common;

use deadwalk_alloc::sandbox::{Instruction, Rules, enter};
use deadwalk_alloc::{Config, configure, heap};

/// Sizes of neighbouring classes: their sets lie side by side at first.
const SIZES: [usize; 6] = [8, 24, 40, 56, 72, 88];

/// Allocates blocks with their number in them, and frees them if they still have it.
fn fill_and_free(count: usize, bytes: usize) {
    let blocks: Vec<*mut u64> = (0..count)
        .map(|number| {
            // SAFETY: the family's own contract; 8 bytes hold a number.
            unsafe {
                let block = heap::malloc(bytes, 0).cast::<u64>();
                block.write(number as u64);
                block
            }
        })
        .collect();
    for (number, &block) in blocks.iter().enumerate() {
        // SAFETY: allocated above, freed once.
        unsafe {
            assert_eq!(block.read(), number as u64, "no block was handed out twice");
            heap::free(block.cast(), 0);
        }
    }
}

#[test]
fn a_heap_with_memory_mapped_in_advance_grows_as_before() {
    let _serial = common::begin();
    const ALLOW_ALL: [Instruction; 1] =
        [Instruction { code: 0x06, jump_true: 0, jump_false: 0, k: libc::SECCOMP_RET_ALLOW }];
    // Freed blocks go to the sets, not to a quarantine.
    configure(Config { quarantine_bytes: 0, ..Config::default() });
    // Fewer blocks than the sets have room for at first, before and after.
    SIZES.iter().for_each(|&bytes| fill_and_free(1000, bytes));
    enter(Rules::Filter(&ALLOW_ALL));
    SIZES.iter().for_each(|&bytes| fill_and_free(3000, bytes));
    // And more, with memory mapped in advance once again.
    enter(Rules::Filter(&ALLOW_ALL));
    SIZES.iter().for_each(|&bytes| fill_and_free(20_000, bytes));
}
