//! Guard pages of large blocks: what is told at the access, and what goes on.

mod common;
#[path = "common/segv.rs"]
mod segv;

use std::sync::Barrier;

use common::told;
use deadwalk_alloc::{
    BlockState, Counter, Misuse, MisuseKind, fork_child, fork_parent, fork_prepare, heap, lookup,
    read_counter, sweep, trim,
};
use segv::*;

const PAGE: usize = 4096;
const ALLOC: usize = 0x1000;
const FREE: usize = 0x2000;

fn one(kind: MisuseKind) -> Misuse {
    let told = told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].kind, kind);
    told[0]
}

/// What every misuse told at the access has in common.
fn at_access(kind: MisuseKind, block: *mut u8, size: usize) -> Misuse {
    let misuse = one(kind);
    assert!(misuse.in_signal && !misuse.late);
    assert_eq!((misuse.base, misuse.size, misuse.alloc_site), (block as usize, size, ALLOC));
    assert_eq!(misuse.addr.wrapping_sub(misuse.base) as isize, misuse.offset);
    // The instruction is this program's.
    assert!(misuse.caller.abs_diff(store as *const () as usize) < 64 << 20);
    misuse
}

/// That a block's memory is not handed out again.
fn is_never_used_again(block: *mut u8, size: usize) {
    // SAFETY: the family's own contract.
    unsafe {
        let blocks: Vec<_> = (0..50).map(|_| heap::malloc(size, 0)).collect();
        assert!(blocks.iter().all(|&other| other != block));
        blocks.into_iter().for_each(|block| heap::free(block, 0));
        trim();
        (0..50).for_each(|_| {
            let other = heap::malloc(size, 0);
            assert_ne!(other, block);
            heap::free(other, 0);
        });
    }
    assert_eq!(told(), []);
}

#[test]
fn overflow_of_whole_pages_is_told_at_the_access() {
    let _serial = begin();
    for size in [36_864, 40_960, 204_800, 1 << 20, 8 << 20, 100 << 20] {
        for len in [1, 8, 32] {
            // SAFETY: the write behind the block is the misuse under test.
            unsafe {
                let block = heap::malloc(size, ALLOC);
                *block.add(size - 1) = 1;
                let retired = read_counter(Counter::RetiredSlots);
                store(block.add(size), len);
                let misuse = at_access(MisuseKind::HeapBufferOverflow, block, size);
                assert_eq!((misuse.offset, misuse.len, misuse.free_site), (size as isize, 1, 0));
                assert_eq!(traps(), 1);
                // The page is open, the block as it was.
                store(block.add(size + 64), len);
                assert_eq!((traps(), *block.add(size - 1)), (0, 1));
                heap::free(block, FREE);
                assert_eq!(told(), []);
                if size < 64 << 20 {
                    assert_eq!(read_counter(Counter::RetiredSlots), retired + 1);
                    is_never_used_again(block, size);
                }
            }
        }
    }
}

#[test]
fn overflow_inside_the_last_page_is_told_at_free_and_behind_it_at_the_access() {
    let _serial = begin();
    for size in [40_000_usize, 200_000, (1 << 20) + 16, (70 << 20) + 100] {
        let page_end = size.next_multiple_of(PAGE);
        for (offset, len) in [(size, 1), (size, 8), (size, 32), (page_end - 1, 1)] {
            // SAFETY: the write behind the block is the misuse under test.
            unsafe {
                let block = heap::malloc(size, ALLOC);
                store(block.add(offset), len);
                assert_eq!((told(), traps()), (vec![], 0));
                heap::free(block, FREE);
                let misuse = one(MisuseKind::HeapBufferOverflow);
                assert_eq!((misuse.offset, misuse.len), (offset as isize, len));
                assert!(!misuse.in_signal);

                let block = heap::malloc(size, ALLOC);
                store(block.add(page_end), 1);
                at_access(MisuseKind::HeapBufferOverflow, block, size);
                // Far behind, where the guard goes on: one report per object.
                if size < 64 << 20 {
                    let again = read_counter(Counter::RepeatedMisuses);
                    store(block.add(page_end + PAGE), 1);
                    assert_eq!((told(), traps()), (vec![], 2));
                    assert_eq!(read_counter(Counter::RepeatedMisuses), again + 1);
                }
                traps();
                heap::free(block, FREE);
                assert_eq!(told(), []);
            }
        }
    }
}

#[test]
fn underflow_is_told_at_the_access() {
    let _serial = begin();
    for size in [40_960, 60_000, 200_000, 1 << 20, 80 << 20] {
        for offset in [1, 8, 32] {
            // SAFETY: the write in front is the misuse under test.
            unsafe {
                let blocks: [*mut u8; 4] = std::array::from_fn(|_| heap::malloc(size, ALLOC));
                for block in blocks {
                    store(block.sub(offset), 1);
                    let misuse = at_access(MisuseKind::HeapBufferUnderflow, block, size);
                    assert_eq!(misuse.offset, -(offset as isize));
                    assert_eq!(traps(), 1);
                }
                blocks.into_iter().for_each(|block| heap::free(block, FREE));
                assert_eq!(told(), []);
                if size < 64 << 20 {
                    blocks.into_iter().for_each(|block| is_never_used_again(block, size));
                }
            }
        }
    }
}

#[test]
fn the_slot_in_front_of_an_underflow_is_clean_when_it_is_used_again() {
    let _serial = begin();
    let size: usize = 9 * PAGE;
    // SAFETY: the write in front is the misuse under test.
    unsafe {
        let mut blocks: [*mut u8; 6] = std::array::from_fn(|_| heap::malloc(size, ALLOC));
        blocks.sort();
        let [.., front, block] = blocks;
        // The whole page in front, which is the front slot's last.
        (0..PAGE / 2 - 1).for_each(|back| store(block.sub(back + 1), 1));
        at_access(MisuseKind::HeapBufferUnderflow, block, size);
        heap::free(front, 0);
        let again = (0..20).map(|_| heap::calloc(1, size + 1, 0)).collect::<Vec<_>>();
        for &block in &again {
            assert!((0..size + 1).all(|at| *block.add(at) == 0));
            assert!(!is_readable(block.add(size.next_multiple_of(PAGE) + PAGE)));
        }
        again.into_iter().chain(blocks).filter(|&it| it != front).for_each(|it| heap::free(it, 0));
        assert_eq!(told(), []);
    }
}

#[test]
fn a_freed_block_whose_pages_were_given_back_traps() {
    let _serial = begin();
    for size in [40_000, 204_800, 1 << 20, 6 << 20, 90 << 20] {
        for is_write in [false, true] {
            // SAFETY: the stale access is the misuse under test.
            unsafe {
                let block = heap::malloc(size, ALLOC);
                block.write_bytes(0x11, size);
                heap::free(block, FREE);
                trim();
                let retired = read_counter(Counter::RetiredSlots);
                let at = block.add(size / 2 + 16);
                let kind = if is_write {
                    store(at, 8);
                    assert_eq!(at.read_volatile(), 0x41);
                    MisuseKind::UseAfterFreeWrite
                } else {
                    assert_eq!(at.read_volatile(), 0x6b);
                    MisuseKind::UseAfterFreeRead
                };
                let misuse = at_access(kind, block, size);
                assert_eq!((misuse.offset, misuse.free_site), (size as isize / 2 + 16, FREE));
                assert_eq!(misuse.len, is_write as usize);
                let again = read_counter(Counter::RepeatedMisuses);
                // The page's other bytes are poison; another page traps again.
                assert_eq!(at.wrapping_sub(at as usize % PAGE).read_volatile(), 0x6b);
                assert_eq!(block.read_volatile(), 0x6b);
                assert_eq!((told(), traps()), (vec![], 2));
                assert_eq!(read_counter(Counter::RepeatedMisuses), again + 1);
                heap::free(block, FREE);
                assert_eq!(told(), []);
                if size < 64 << 20 {
                    assert_eq!(read_counter(Counter::RetiredSlots), retired + 1);
                    is_never_used_again(block, size);
                }
            }
        }
    }
}

#[test]
fn a_freed_block_that_was_unmapped_for_want_of_memory_traps() {
    let _serial = begin();
    // SAFETY: the stale accesses are the misuse under test.
    unsafe {
        let block = heap::malloc(300_000, ALLOC);
        let other = heap::malloc(300_000, ALLOC);
        heap::free(block, FREE);
        heap::free(other, FREE);
        assert!(heap::malloc(5 << 40, 0).is_null());
        assert_eq!(block.add(100).read_volatile(), 0x6b);
        let misuse = at_access(MisuseKind::UseAfterFreeRead, block, 300_000);
        assert_eq!((misuse.offset, misuse.free_site), (100, FREE));
        is_never_used_again(block, 300_000);
        let zero = (0..50).map(|_| heap::calloc(1, 300_000, 0)).collect::<Vec<_>>();
        assert!(zero.contains(&other));
        assert!(zero.iter().all(|&block| (0..300_000).all(|at| *block.add(at) == 0)));
        zero.into_iter().for_each(|block| heap::free(block, 0));
    }
    assert_eq!(told(), []);
}

#[test]
fn a_retained_block_is_told_of_by_its_tail() {
    let _serial = begin();
    // SAFETY: the stale access is the misuse under test.
    unsafe {
        let block = heap::malloc(10 * PAGE, ALLOC);
        heap::free(block, FREE);
        store(block.add(10 * PAGE), 1);
        let misuse = at_access(MisuseKind::UseAfterFreeWrite, block, 10 * PAGE);
        assert_eq!(misuse.free_site, FREE);
        is_never_used_again(block, 10 * PAGE);
    }
}

#[test]
fn two_threads_that_trap_at_once_both_go_on_and_one_is_told() {
    let _serial = begin();
    for _ in 0..100 {
        // SAFETY: the stale access is the misuse under test.
        unsafe {
            let block = heap::malloc(200_000, ALLOC);
            heap::free(block, FREE);
            trim();
            let (start, at) = (Barrier::new(2), block as usize);
            std::thread::scope(|scope| {
                for number in 0..2 {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        store((at + 8 * number) as *mut u8, 8);
                    });
                }
            });
            at_access(MisuseKind::UseAfterFreeWrite, block, 200_000);
        }
    }
}

#[test]
fn threads_that_use_stale_pointers_while_others_reuse_the_memory_go_on() {
    let _serial = begin();
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
    const WANTED: usize = 200;
    let (addr, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // SAFETY: reads of stale pointers are the misuse under test.
        unsafe {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let block = heap::malloc(200_000, ALLOC);
                    addr.store(block as usize, Relaxed);
                    heap::free(block, FREE);
                    trim();
                }
            });
            let mut trapped = 0;
            while trapped < WANTED {
                if let at @ 1.. = addr.load(Relaxed) {
                    (at as *const u8).add(100_000).read_volatile();
                }
                trapped += traps();
            }
            done.store(true, Relaxed);
        }
    });
    // What traps while its memory changes hands is not always told.
    let told = told();
    assert!(told.iter().all(|misuse| misuse.kind == MisuseKind::UseAfterFreeRead), "{told:?}");
}

#[test]
fn calloc_on_memory_that_was_guarded_reads_as_zero() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        for round in 0..200_usize {
            let size = 160_000 + round * 7919 % 30_000;
            let block = heap::calloc(1, size, 0);
            assert!((0..size).all(|at| *block.add(at) == 0), "round {round}");
            block.write_bytes(0xee, size);
            heap::free(block, 0);
            if round % 5 == 0 {
                trim();
            }
        }
    }
    assert_eq!((told(), traps()), (vec![], 0));
}

/// A block whose bytes are all `tag`.
struct Held(*mut u8, usize, u8);

// SAFETY: a plain block that moves with its owner.
unsafe impl Send for Held {}

fn check_guarded(held: &Held) {
    let Held(block, size, tag) = *held;
    // SAFETY: inside the block.
    assert!(unsafe { (0..size).step_by(509).all(|at| *block.add(at) == tag) }, "{size}");
    assert!(is_readable(block.wrapping_add(size - 1)));
    assert!(!is_readable(block.wrapping_add(size.next_multiple_of(PAGE))), "{size}");
}

#[test]
fn realloc_moves_the_guard_with_the_blocks_end() {
    let _serial = begin();
    let mut random = 7_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize
    };
    // SAFETY: the family's own contract.
    unsafe {
        let mut held = Held(heap::malloc(300_000, 0), 300_000, 1);
        held.0.write_bytes(1, held.1);
        for step in 0..1000 {
            let size = match next() % 4 {
                0 => 33_000 + next() % 900_000,
                1 => held.1 + next() % 9000,
                2 => held.1.saturating_sub(next() % 9000).max(33_000),
                _ => (held.1 / PAGE * PAGE + next() % 30 * PAGE).max(36_864),
            };
            let size = size.min(1 << 20);
            let block = heap::realloc(held.0, size, 0);
            let kept = size.min(held.1);
            assert!((0..kept).step_by(97).all(|at| *block.add(at) == held.2), "step {step}");
            held = Held(block, size, step as u8);
            block.write_bytes(held.2, size);
            check_guarded(&held);
        }
        heap::free(held.0, 0);
    }
    sweep();
    assert_eq!((told(), traps()), (vec![], 0));
}

#[test]
fn blocks_of_all_sizes_in_any_order_keep_their_content_and_their_guards() {
    let _serial = begin();
    std::thread::scope(|scope| {
        for seed in 1..3_u64 {
            scope.spawn(move || {
                let mut random = seed;
                let mut next = move || {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (random >> 33) as usize
                };
                let mut all: Vec<Held> = Vec::new();
                for step in 0..3000 {
                    let size = 32_768 + next() % (1 << (16 + next() % 6));
                    // SAFETY: the family's own contract.
                    unsafe {
                        if all.len() < 30 && next() % 2 == 0 {
                            let block = heap::calloc(1, size, 0);
                            assert!((0..size).step_by(61).all(|at| *block.add(at) == 0));
                            block.write_bytes(step as u8, size);
                            all.push(Held(block, size, step as u8));
                        } else if !all.is_empty() {
                            let held = all.swap_remove(next() % all.len());
                            check_guarded(&held);
                            heap::free(held.0, 0);
                        }
                    }
                    if next() % 300 == 0 {
                        trim();
                    }
                }
                // SAFETY: as above.
                all.into_iter().for_each(|held| unsafe { heap::free(held.0, 0) });
            });
        }
    });
    sweep();
    assert_eq!((told(), traps()), (vec![], 0));
}

#[test]
fn a_block_of_the_same_number_of_pages_finds_its_guard_in_place() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        heap::free(heap::malloc(200_000, 0), 0);
        let pages = read_counter(Counter::GuardPages);
        for round in 0..1000 {
            let block = heap::malloc(200_000 - round % 100, 0);
            assert!(!is_readable(block.add(200_704)));
            heap::free(block, 0);
        }
        assert_eq!(read_counter(Counter::GuardPages), pages);
    }
    assert_eq!(told(), []);
}

#[test]
fn giving_back_frees_the_memory() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        let before = resident_kb();
        let blocks: Vec<_> = (0..40).map(|_| heap::malloc(1 << 20, 0)).collect();
        blocks.iter().for_each(|&block| block.write_bytes(1, 1 << 20));
        assert!(resident_kb() > before + (30 << 10));
        blocks.iter().for_each(|&block| heap::free(block, 0));
        trim();
        assert!(resident_kb() < before + (5 << 10), "{} {before}", resident_kb());
    }
}

#[test]
fn long_blocks_that_are_given_back_trap_and_come_back_as_zero() {
    let _serial = begin();
    // SAFETY: the stale accesses are the misuse under test.
    unsafe {
        for round in 0..10_usize {
            let size = (20 << 20) + round * 50_000;
            let block = heap::calloc(1, size, ALLOC);
            assert!((0..size).step_by(1000).all(|at| *block.add(at) == 0));
            block.write_bytes(7, size);
            check_guarded(&Held(block, size, 7));
            heap::free(block, FREE);
            trim();
            assert!(!is_readable(block) && !is_readable(block.add(size - 1)));
            if round % 4 == 3 {
                store(block.add(size - 1), 1);
                at_access(MisuseKind::UseAfterFreeWrite, block, size);
                assert_eq!(traps(), 1);
            }
        }
    }
    assert_eq!((told(), traps()), (vec![], 0));
}

#[test]
fn sixty_thousand_guarded_blocks_need_no_mappings_of_their_own() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        let before = mappings();
        let blocks: Vec<_> = (0..60_000).map(|_| heap::malloc(200_000, 0)).collect();
        assert!(blocks.iter().all(|block| !block.is_null()));
        assert!(blocks.iter().step_by(1000).all(|block| !is_readable(block.add(200_704))));
        assert!(mappings() < before + 20);
        blocks.into_iter().for_each(|block| heap::free(block, 0));
        assert!(mappings() < before + 20);
    }
    assert_eq!(told(), []);
}

#[test]
fn a_fork_child_has_the_guards() {
    let _serial = begin();
    // SAFETY: the misuses are under test; the child leaves at once.
    unsafe {
        let live = heap::malloc(10 * PAGE, ALLOC);
        let freed = heap::malloc(200_000, ALLOC);
        heap::free(freed, FREE);
        trim();
        fork_prepare();
        let child = libc::fork();
        if child == 0 {
            fork_child();
            store(live.add(10 * PAGE), 1);
            freed.read_volatile();
            let told = told();
            let kinds = told.iter().map(|misuse| misuse.kind);
            let wanted = [MisuseKind::HeapBufferOverflow, MisuseKind::UseAfterFreeRead];
            libc::_exit(!kinds.eq(wanted) as i32);
        }
        fork_parent();
        let mut status = 0;
        assert_eq!((libc::waitpid(child, &mut status, 0), status), (child, 0));
        assert_eq!(told(), []);
        heap::free(live, 0);
    }
}

#[test]
fn what_is_no_guard_is_left_to_the_program() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        let block = heap::malloc(200_000, ALLOC);
        let small = heap::malloc(100, ALLOC);
        let huge = heap::malloc(80 << 20, ALLOC);
        for addr in [block, small, huge, huge.wrapping_add(1 << 30), std::ptr::null_mut()] {
            // Who asks after guards were moved lately is sent back a few times.
            let is_ours = || deadwalk_alloc::trap::trap(addr as usize, true, 0);
            assert!((0..17).any(|_| !is_ours()));
        }
        assert!(!deadwalk_alloc::trap::trap(&raw const status_word as usize, true, 0));
        assert_eq!(lookup(block as usize).unwrap().state, BlockState::Live);
        [block, small, huge].into_iter().for_each(|block| heap::free(block, 0));
    }
    assert_eq!(told(), []);
}

#[allow(non_upper_case_globals)]
static status_word: u8 = 0;

#[test]
fn a_huge_block_that_moved_or_shrank_traps_where_it_was() {
    let _serial = begin();
    // SAFETY: the stale access is the misuse under test.
    unsafe {
        let block = heap::malloc(80 << 20, ALLOC);
        let _wall = heap::malloc(80 << 20, 0);
        let moved = heap::realloc(block, 200 << 20, FREE);
        assert_ne!(moved, block);
        assert_eq!(block.read_volatile(), 0x6b);
        let misuse = at_access(MisuseKind::UseAfterFreeRead, block, 80 << 20);
        assert_eq!(misuse.free_site, FREE);
        let shrunk = heap::realloc(moved, 100 << 20, ALLOC);
        assert_eq!(shrunk, moved);
        store(shrunk.add(150 << 20), 1);
        at_access(MisuseKind::HeapBufferOverflow, shrunk, 100 << 20);
        heap::free(shrunk, 0);
        assert_eq!(told(), []);
    }
}
