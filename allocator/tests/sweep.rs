//! The sweep finds what happened around live blocks, and accuses nobody who did
//! nothing, whatever other threads are doing.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

use common::*;
use deadwalk_alloc::{Misuse, MisuseKind, Sweeper, heap, lookup, sweep};

const ALLOC: usize = 0xa110c;
const FREE: usize = 0xf4ee;

fn one(kind: MisuseKind) -> Misuse {
    let told = told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].kind, kind, "{told:?}");
    told[0]
}

/// Allocates and frees until everything freed before left the quarantine.
fn turn_over(size: usize) {
    for _ in 0..20_000 {
        // SAFETY: the family's own contract.
        unsafe { heap::free(heap::malloc(size, 0), 0) };
    }
}

#[test]
fn an_overflow_of_a_live_block_is_told_once_and_its_slot_retired() {
    let _serial = begin();
    for size in [0, 1, 15, 16, 40, 1000, 4000, 6000, 30_000] {
        for len in [1, 4] {
            // SAFETY: writing behind the block is the misuse under test; the
            // bytes are its slot's.
            unsafe {
                let block = heap::malloc(size, ALLOC);
                let len = len.min(16 - size % 16);
                block.add(size).write_bytes(0x41, len);
                assert_eq!(sweep(), 1);
                let misuse = one(MisuseKind::HeapBufferOverflow);
                assert_eq!((misuse.base, misuse.size), (block as usize, size));
                assert_eq!((misuse.offset, misuse.len), (size as isize, len));
                assert_eq!((misuse.alloc_site, misuse.caller), (ALLOC, 0));
                assert_eq!(misuse.found[size % 16], 0x41);
                assert!(misuse.late);
                assert_eq!(sweep(), 0, "told once");
                heap::free(block, FREE);
                turn_over(size);
                let again: Vec<_> = (0..500).map(|_| heap::malloc(size, 0)).collect();
                assert!(again.iter().all(|&other| other != block), "{size}");
                again.into_iter().for_each(|block| heap::free(block, 0));
                assert_eq!(told(), []);
            }
        }
    }
}

#[test]
fn damage_up_to_the_slots_end_is_told() {
    let _serial = begin();
    for (size, at) in [(24, 31), (1000, 1023), (1000, 1010), (3600, 3800)] {
        // SAFETY: as above.
        unsafe {
            let block = heap::malloc(size, ALLOC);
            *block.add(at) = 0x41;
            assert_eq!(sweep(), 1, "{size} {at}");
            let told = told();
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(told[0].addr, block as usize + at);
            assert!(told[0].late);
            heap::free(block, FREE);
            turn_over(size);
            assert_eq!(common::told(), []);
        }
    }
}

#[test]
fn an_underflow_of_a_live_block_is_told_as_its_own() {
    let _serial = begin();
    for size in [8, 20, 1000] {
        // SAFETY: writing in front of the block is the misuse under test.
        unsafe {
            // Neighbours: fresh slots ascend.
            let blocks: Vec<_> = (0..200).map(|_| heap::malloc(size, ALLOC)).collect();
            let front = |at: usize| lookup(blocks[at] as usize - 1).map(|block| block.base);
            let at = (1..200).find(|&at| front(at) == Some(blocks[at - 1] as usize));
            let at = at.expect("neighbours");
            *blocks[at].sub(1) = 0x41;
            assert_eq!(sweep(), 1);
            let misuse = one(MisuseKind::HeapBufferUnderflow);
            assert_eq!((misuse.base, misuse.offset, misuse.len), (blocks[at] as usize, -1, 1));
            assert_eq!((misuse.alloc_site, misuse.caller, misuse.late), (ALLOC, 0, true));
            blocks.into_iter().for_each(|block| heap::free(block, FREE));
            turn_over(size);
            assert_eq!(told(), []);
        }
    }
}

/// Sizes of classes that nothing else here uses: their first block is behind the
/// pad. A second thread's first block is behind a slot that nobody ever had.
#[test]
fn an_underflow_into_what_was_never_used_is_told_and_not_handed_on() {
    let _serial = begin();
    for (size, by_free) in [(2700, false), (3300, false), (5500, false), (3000, true), (5000, true)]
    {
        // SAFETY: writing in front of the block is the misuse under test; the
        // slot in front is the heap's.
        unsafe {
            let mine = heap::malloc(size, ALLOC) as usize;
            let theirs = std::thread::spawn(move || heap::malloc(size, ALLOC) as usize);
            let theirs = theirs.join().unwrap();
            assert_eq!((lookup(mine - 1), sweep()), (None, 0));
            let blocks = [mine, theirs].map(|block| block as *mut u8);
            for block in blocks.into_iter().filter(|&block| lookup(block as usize - 1).is_none()) {
                block.sub(3).write_bytes(0x41, 3);
                if by_free {
                    heap::free(block, FREE);
                } else {
                    assert_eq!(sweep(), 1, "{size}");
                }
                let misuse = one(MisuseKind::HeapBufferUnderflow);
                assert_eq!((misuse.base, misuse.offset, misuse.len), (block as usize, -3, 3));
                assert_eq!((misuse.alloc_site, misuse.late), (ALLOC, !by_free));
                assert_eq!(sweep(), 0);
            }
            if !by_free {
                blocks.into_iter().for_each(|block| heap::free(block, FREE));
            }
            assert_eq!(told(), []);
            // Of the slots in front, only what was written is not zero.
            let zeroed: Vec<_> = (0..200).map(|_| heap::calloc(1, size, 0)).collect();
            for &block in &zeroed {
                assert!((0..size - 100).all(|at| *block.add(at) == 0), "{size}");
            }
            zeroed.into_iter().for_each(|block| heap::free(block, 0));
            told();
        }
    }
}

#[test]
fn blocks_that_the_program_protected_are_left_alone() {
    let _serial = begin();
    // SAFETY: whole pages of the blocks' own, opened again before they are freed.
    unsafe {
        for size in [200, 4095, 5000, 20_000] {
            let block = heap::memalign(4096, size, ALLOC);
            assert_eq!(libc::mprotect(block.cast(), size, libc::PROT_NONE), 0);
            assert_eq!(sweep(), 0);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            assert_eq!(libc::mprotect(block.cast(), size, access), 0);
            *block.add(size) = 0x41;
            assert_eq!(sweep(), 1);
            one(MisuseKind::HeapBufferOverflow);
            heap::free(block, FREE);
        }
    }
    assert_eq!(told(), []);
}

/// Sweeps that the threads below must see: fewer do not meet a block in the
/// middle of its resize.
const ROUNDS: usize = 300;

/// What programs do with blocks: grow and shrink them in place, fill them to
/// their end each time, free them and get others.
fn churn(seed: u64, steps: usize) {
    let mut seed = seed;
    let mut random = |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 20) as usize % bound
    };
    let mut held = [(core::ptr::null_mut::<u8>(), 0_usize); 64];
    for _ in 0..steps {
        let (block, size) = &mut held[random(64)];
        // SAFETY: the family's own contract; writes stay inside the block.
        unsafe {
            if random(4) == 0 {
                heap::free(*block, FREE);
                *block = core::ptr::null_mut();
                *size = random(2000);
            } else {
                // Mostly in place.
                *size = (*size + 24 - random(48).min(*size)).max(1);
            }
            *block = heap::realloc(*block, (*size).max(1), ALLOC);
            let from = size.saturating_sub(64);
            block.add(from).write_bytes(0xee, *size - from);
        }
    }
    // SAFETY: as above.
    held.into_iter().for_each(|(block, _)| unsafe { heap::free(block, FREE) });
}

#[test]
fn four_threads_that_resize_and_free_are_not_accused() {
    let _serial = begin();
    // Each has its million steps' quarter, and goes on until there were sweeps enough.
    let rounds = AtomicUsize::new(0);
    let running = AtomicUsize::new(4);
    std::thread::scope(|scope| {
        for seed in 1..=4 {
            let (rounds, running) = (&rounds, &running);
            scope.spawn(move || {
                churn(seed * 0x9e37_79b9, 250_000);
                while rounds.load(Acquire) < ROUNDS {
                    churn(seed, 1000);
                }
                running.fetch_sub(1, AcqRel);
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut sweeper, mut damaged) = (Sweeper::new(), 0);
                while running.load(Acquire) > 0 {
                    let done = sweeper.step(256 << 10, &mut damaged);
                    rounds.fetch_add(done as usize, AcqRel);
                }
            });
        }
    });
    assert_eq!(told(), []);
}

#[test]
fn an_overflow_is_found_while_threads_go_on() {
    let _serial = begin();
    let done = AtomicBool::new(false);
    // SAFETY: writing behind the block is the misuse under test.
    let block = unsafe {
        let block = heap::malloc(100, ALLOC);
        *block.add(100) = 0x41;
        block
    };
    std::thread::scope(|scope| {
        for seed in 1..=2 {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Acquire) {
                    churn(seed, 10_000);
                }
            });
        }
        let mut sweeper = Sweeper::new();
        let mut damaged = 0;
        // Two rounds get everywhere.
        for _ in 0..2 {
            while !sweeper.step(64 << 10, &mut damaged) {}
        }
        done.store(true, Release);
        assert_eq!(damaged, 1);
    });
    assert_eq!(one(MisuseKind::HeapBufferOverflow).base, block as usize);
    // SAFETY: the family's own contract.
    unsafe { heap::free(block, FREE) };
    assert_eq!(told(), []);
}

#[test]
fn small_steps_find_all_that_a_whole_sweep_does() {
    let _serial = begin();
    let sizes = [30, 5000, 100_000, 3 << 20, 70 << 20];
    // SAFETY: the writes are the misuse under test; all go where the heap keeps
    // its canaries or poison.
    unsafe {
        let live: Vec<_> = sizes.iter().map(|&size| heap::malloc(size, ALLOC)).collect();
        for (&block, &size) in live.iter().zip(&sizes) {
            *block.add(size) = 0x41;
        }
        let mut freed = vec![];
        for size in [700, 9000, 50_000, 200_000] {
            let block = heap::malloc(size, ALLOC);
            heap::free(block, FREE);
            *block.add(5) = 0x41;
            freed.push(block as usize);
        }
        let mut sweeper = Sweeper::new();
        let (mut damaged, mut steps) = (0, 1);
        while !sweeper.step(1, &mut damaged) {
            steps += 1;
        }
        let of = |told: &[Misuse], kind| -> Vec<usize> {
            let mut found: Vec<_> = told
                .iter()
                .filter(|misuse| misuse.kind == kind)
                .map(|misuse| misuse.base)
                .collect();
            found.sort_unstable();
            found
        };
        let told = told();
        let mut overflowed: Vec<_> = live.iter().map(|&block| block as usize).collect();
        overflowed.sort_unstable();
        freed.sort_unstable();
        assert_eq!(of(&told, MisuseKind::HeapBufferOverflow), overflowed);
        assert_eq!(of(&told, MisuseKind::UseAfterFreeWrite), freed);
        assert_eq!((told.len(), damaged), (9, 9));
        assert!(steps > 9, "{steps} steps");
        assert_eq!(sweep(), 0);
        live.into_iter().for_each(|block| heap::free(block, FREE));
    }
    assert_eq!(told(), []);
}
