//! Freed large blocks that stay in memory without access, and blocks that grow.

mod common;
#[path = "common/segv.rs"]
mod segv;

use common::told;
use deadwalk_alloc::{Counter, MisuseKind, freed_intact, heap, read_counter, sweep, trim};
use segv::*;

const PAGE: usize = 4096;
/// A block that is shut as it is freed.
const SIZE: usize = 300_000;

fn page_faults() -> i64 {
    // SAFETY: the kernel fills the structure.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage.ru_minflt
    }
}

#[test]
fn reads_and_writes_of_a_freed_block_are_told_at_the_access() {
    let _serial = begin();
    for is_write in [false, true] {
        // SAFETY: the stale access is the misuse under test.
        unsafe {
            let block = heap::malloc(SIZE, 1);
            block.write_bytes(0x11, SIZE);
            heap::free(block, 2);
            assert_eq!(freed_intact(block as usize), Some(true));
            assert_eq!(sweep(), 0);
            let kind = if is_write {
                store(block.add(SIZE / 2), 1);
                MisuseKind::UseAfterFreeWrite
            } else {
                assert_eq!(block.add(SIZE / 2).read_volatile(), 0x6b);
                MisuseKind::UseAfterFreeRead
            };
            let told = told();
            assert_eq!((told.len(), told[0].kind, told[0].free_site), (1, kind, 2));
            assert!(told[0].in_signal);
            for _ in 0..50 {
                let other = heap::malloc(SIZE, 0);
                assert_ne!(other, block);
                heap::free(other, 0);
            }
        }
    }
    assert_eq!(told(), []);
}

#[test]
fn blocks_of_other_sizes_take_the_slot_without_a_fault_and_end_at_a_guard() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        let block = heap::malloc(SIZE, 0);
        block.write_bytes(1, SIZE);
        heap::free(block, 0);
        let (faults, guards) = (page_faults(), read_counter(Counter::GuardPages));
        for round in 0..1000 {
            let size = SIZE - round * 7919 % 40_000;
            let block = heap::malloc(size, 0);
            block.write_bytes(round as u8, size);
            assert!(!is_readable(block.add(size.next_multiple_of(PAGE))), "{size}");
            heap::free(block, 0);
            assert!(!is_readable(block) && !is_readable(block.add(size - 1)));
        }
        assert!(page_faults() < faults + 50, "{}", page_faults() - faults);
        assert_eq!(read_counter(Counter::GuardPages), guards);
        let zero = heap::calloc(1, SIZE, 0);
        assert!((0..SIZE).all(|at| *zero.add(at) == 0));
        heap::free(zero, 0);
    }
    assert_eq!((told(), traps()), (vec![], 0));
}

#[test]
fn what_the_program_never_touched_stays_untouched() {
    let _serial = begin();
    let before = resident_kb();
    // SAFETY: the family's own contract.
    unsafe {
        for size in [100_000, SIZE, 3 << 20] {
            let blocks: Vec<_> = (0..200).map(|_| heap::malloc(size, 0)).collect();
            blocks.iter().for_each(|&block| block.write(1));
            blocks.into_iter().for_each(|block| heap::free(block, 0));
            let zero = heap::calloc(1, size, 0);
            assert_eq!((*zero, *zero.add(size - 1)), (0, 0));
            heap::free(zero, 0);
        }
    }
    // 200 blocks of 3.4 MB altogether: 680 MB.
    assert!(resident_kb() < before + (24 << 10), "{} {before}", resident_kb());
    assert_eq!(told(), []);
}

#[test]
fn however_many_are_freed_a_few_thousand_mappings_serve() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        let before = mappings();
        for _ in 0..2 {
            let blocks: Vec<_> = (0..6000).map(|_| heap::malloc(SIZE, 0)).collect();
            blocks.iter().for_each(|&block| block.write_bytes(1, 2 * PAGE));
            // Not in the order of their addresses.
            let (odd, even): (Vec<_>, Vec<_>) =
                blocks.into_iter().enumerate().partition(|(at, _)| at % 2 == 1);
            for (_, block) in odd.into_iter().chain(even) {
                heap::free(block, 0);
            }
            assert!(mappings() < before + 2 * 2048 + 50, "{before} {}", mappings());
        }
        trim();
        assert!(mappings() < before + 50, "{before} {}", mappings());
    }
    assert_eq!((told(), traps()), (vec![], 0));
}

#[test]
fn a_block_that_grows_step_by_step_is_watched_all_the_way() {
    let _serial = begin();
    for damage in [None, Some(0), Some(3000)] {
        // SAFETY: the write behind the block is the misuse under test.
        unsafe {
            let mut size = 40_000;
            let mut block = heap::malloc(size, 0);
            block.write_bytes(7, size);
            for _ in 0..300 {
                block = heap::realloc(block, size + 4096, 0);
                assert_eq!((*block, *block.add(size - 1)), (7, 7));
                block.add(size).write_bytes(7, 4096);
                size += 4096;
            }
            // Its guard is near, if not at its end.
            assert!(!is_readable(block.add(size.next_multiple_of(PAGE) + 16 * PAGE)));
            assert_eq!(told(), []);
            if let Some(offset) = damage {
                store(block.add(size + offset), 1);
            }
            heap::free(block, 0);
            let told = told();
            match damage {
                None => assert_eq!(told, []),
                Some(offset) => {
                    assert_eq!((told.len(), told[0].kind), (1, MisuseKind::HeapBufferOverflow));
                    assert_eq!(told[0].offset, (size + offset) as isize);
                }
            }
        }
    }
}
