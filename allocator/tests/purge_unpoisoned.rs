//! Without poison memory goes back just so, and `calloc` gives zeros, though nobody
//! looks whether something was written there. In a process of its own.

mod common;

use deadwalk_alloc::{Config, configure, heap, sweep, trim};

const SIZE: usize = 500;
const COUNT: usize = (32 << 20) / SIZE;
const PAGE: usize = 4096;

fn is_resident(addr: usize) -> bool {
    let mut answer = 0_u8;
    // SAFETY: one byte for one page.
    let asked = unsafe { libc::mincore((addr & !(PAGE - 1)) as *mut _, PAGE, &mut answer) };
    assert_eq!(asked, 0);
    answer & 1 != 0
}

#[test]
fn memory_goes_back_and_zeros_are_zeros() {
    let _serial = common::begin();
    configure(Config { poison: false, ..Config::default() });
    for trims in [false, true] {
        // SAFETY: the family's own contract.
        let blocks: Vec<*mut u8> = (0..COUNT).map(|_| unsafe { heap::malloc(SIZE, 0) }).collect();
        for &block in &blocks {
            // SAFETY: a live block.
            unsafe {
                block.write_bytes(7, SIZE);
                heap::free(block, 0);
            }
        }
        if trims {
            assert!(trim());
        }
        let gone = blocks.iter().filter(|&&block| !is_resident(block as usize)).count();
        assert!(gone > COUNT / 2, "{gone} of {COUNT} blocks went back");
        let victim = *blocks.iter().find(|&&block| !is_resident(block as usize)).unwrap();
        // SAFETY: memory of a free slot; a stale write.
        unsafe { victim.add(100).write(1) };
        // SAFETY: the family's own contract.
        let zeros: Vec<*mut u8> = (0..COUNT).map(|_| unsafe { heap::calloc(1, SIZE, 0) }).collect();
        for &block in &zeros {
            // SAFETY: a live block.
            unsafe {
                assert!((0..SIZE).all(|at| *block.add(at) == 0));
                heap::free(block, 0);
            }
        }
    }
    assert_eq!(sweep(), 0);
    assert_eq!(common::told(), []);
}
