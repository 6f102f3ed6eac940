//! Blocks that lie alone where the kernel has no guards: protected pages are few.

mod common;
#[path = "common/segv.rs"]
mod segv;

use common::told;
use deadwalk_alloc::{Config, Counter, Isolate, configure, heap, use_mprotect};
use deadwalk_alloc::{read_counter, trap};
use segv::{begin, is_readable};

/// More than can be protected.
const MANY: usize = 20_000;

#[test]
fn who_was_freed_last_is_guarded_and_the_oldest_go() {
    let _serial = begin();
    use_mprotect();
    configure(Config { guard: true, isolate: Isolate::All, ..Config::default() });
    let released = read_counter(Counter::GuardsReleased);
    let mut freed = Vec::new();
    for round in 0..MANY {
        let size = 1 + round % 5 * 2000;
        // SAFETY: the family's own contract.
        unsafe {
            let block = heap::calloc(1, size, 0x1000);
            assert!((0..size).all(|at| *block.add(at) == 0), "round {round}");
            block.write_bytes(0xee, size);
            heap::free(block, 0x2000);
            freed.push(block);
        }
    }
    let last = &freed[MANY - 1000..];
    assert!(last.iter().all(|&block| trap::is_stale(block as usize)));
    assert!(last.iter().all(|&block| !is_readable(block)));
    assert!(read_counter(Counter::GuardsReleased) > released);
    assert_eq!(told(), []);
}
