//! A process that gives up `mprotect` finds its freed large blocks open.

mod common;
#[path = "common/segv.rs"]
mod segv;

use common::told;
use deadwalk_alloc::sandbox::{Rules, enter};
use deadwalk_alloc::{Config, configure, freed_intact, heap, sweep};
use segv::*;

#[test]
fn freed_blocks_are_opened_and_poisoned_before_it_and_used_after_it() {
    const SIZE: usize = 300_000;
    let _serial = common::begin();
    configure(Config { guard: true, ..Config::default() });
    install();
    // SAFETY: the family's own contract; the write to a freed block is under test.
    unsafe {
        let block = heap::malloc(SIZE, 0);
        block.write_bytes(0x11, SIZE);
        heap::free(block, 0);
        assert!(!is_readable(block));
        enter(Rules::Strict);
        assert!((0..SIZE).all(|at| *block.add(at) == 0x6b));
        for size in [SIZE, SIZE - 20_000, SIZE] {
            let again = heap::malloc(size, 0);
            assert_eq!(again, block);
            again.write_bytes(0x22, size);
            heap::free(again, 0);
            assert_eq!(freed_intact(block as usize), Some(true));
        }
        assert_eq!((told(), traps()), (vec![], 0));
        block.add(SIZE / 2).write(1);
        assert_eq!((sweep(), told().len()), (1, 1));
    }
}
