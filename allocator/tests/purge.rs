//! Memory of small blocks goes back to the system, and what that does to the poison
//! is known.
//!
//! A class that took back what it gave away waits. So where memory is to go back by
//! itself, a test has size classes of its own.

mod common;

use std::ops::Range;

use deadwalk_alloc::{Block, BlockState, MisuseKind, freed_intact, heap, lookup, sweep, trim};

const PAGE: usize = 4096;

fn malloc(size: usize) -> usize {
    // SAFETY: the family's own contract.
    unsafe { heap::malloc(size, 0x1234) as usize }
}

fn free(block: usize) {
    // SAFETY: as above; some tests free twice, which is told.
    unsafe { heap::free(block as *mut u8, 0x5678) };
}

/// Blocks for so many bytes, all written to.
fn blocks(size: usize, bytes: usize) -> Vec<usize> {
    let one = |number: usize| {
        let block = malloc(size);
        // SAFETY: a live block.
        unsafe { (block as *mut u8).write_bytes(number as u8 | 1, size) };
        block
    };
    (0..bytes / size).map(one).collect()
}

/// Bytes of the process that are in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * PAGE
}

/// Whether the page of an address has memory.
fn is_resident(addr: usize) -> bool {
    let mut answer = 0_u8;
    // SAFETY: one byte for one page.
    let asked = unsafe { libc::mincore((addr & !(PAGE - 1)) as *mut _, PAGE, &mut answer) };
    assert_eq!(asked, 0);
    answer & 1 != 0
}

/// Page faults of the calling thread.
fn faults() -> i64 {
    // SAFETY: a structure of this stack.
    unsafe {
        let mut usage: libc::rusage = core::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &mut usage), 0);
        usage.ru_minflt
    }
}

/// Calls `body` in a thread of its own: the test's memory is all in the depot then.
fn in_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(body).join().unwrap())
}

/// How many pages blocks lie in, and how many of these have memory.
fn pages(blocks: &[usize], size: usize) -> (usize, usize) {
    let of_block = |&block: &usize| block / PAGE..(block + size - 1) / PAGE + 1;
    let mut pages: Vec<usize> = blocks.iter().flat_map(of_block).collect();
    pages.sort_unstable();
    pages.dedup();
    (pages.len(), pages.iter().filter(|&page| is_resident(page * PAGE)).count())
}

#[test]
fn freed_memory_goes_back_in_any_order() {
    let _serial = common::begin();
    for (size, step) in [(40, 1), (100, 7919), (700, 4999), (5000, 1), (30_000, 1)] {
        let all = blocks(size, 64 << 20);
        let (count, full) = pages(&all, size);
        assert_eq!(full, count);
        (0..all.len()).for_each(|at| free(all[at * step % all.len()]));
        let (_, left) = pages(&all, size);
        // In order all goes but what the class keeps. Evenly spread, pages become
        // free all at once at the very end, when there is nothing to come any more.
        let kept = if step == 1 { (3 << 20) / PAGE } else { full / 3 };
        assert!(left <= kept, "{size}: {left} of {full} pages left");
        assert_eq!(common::told(), []);
    }
}

#[test]
fn what_was_given_back_is_handed_out_as_zeros_without_a_claim() {
    let _serial = common::begin();
    for size in [24, 120, 1000, 4090, 6000, 25_000] {
        blocks(size, 24 << 20).into_iter().for_each(free);
        let again: Vec<usize> = (0..(24 << 20) / size)
            .map(|_| {
                // SAFETY: the family's own contract.
                let block = unsafe { heap::calloc(1, size, 0) };
                // SAFETY: a live block.
                unsafe {
                    assert!((0..size).all(|at| *block.add(at) == 0), "{size}");
                    block.write_bytes(7, size);
                }
                block as usize
            })
            .collect();
        let mut sorted = again.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|two| two[0] + size <= two[1]), "{size}: one block twice");
        for block in again {
            // SAFETY: a live block.
            assert!(unsafe { (0..size).all(|at| *(block as *const u8).add(at) == 7) });
            free(block);
        }
        assert_eq!(sweep(), 0);
        assert_eq!(common::told(), [], "{size}");
    }
}

/// Blocks of which most are free and given back, and one of these.
fn given_back(size: usize) -> (Vec<usize>, usize) {
    let all = blocks(size, 24 << 20);
    all.iter().for_each(|&block| free(block));
    let gone =
        |&&block: &&usize| (block..block + size + PAGE).step_by(PAGE).all(|at| !is_resident(at));
    let one = *all.iter().find(gone).expect("a block without memory");
    (all, one)
}

#[test]
fn a_write_before_the_memory_goes_back_is_told() {
    let _serial = common::begin();
    for (size, at) in [(72, 30), (300, 299), (3000, 0), (9000, 8000)] {
        let all = blocks(size, 24 << 20);
        // In the middle: what was freed last is in the quarantine.
        let victim = all[all.len() / 2];
        let (last, most) = all.split_last().unwrap();
        most.iter().take(all.len() / 2 + 10).for_each(|&block| free(block));
        // SAFETY: the slot's memory is there; this is the bug.
        unsafe { ((victim + at) as *mut u8).write(1) };
        most.iter().skip(all.len() / 2 + 10).for_each(|&block| free(block));
        free(*last);
        trim();
        let told = common::told();
        assert_eq!(told.len(), 1, "{size}: {told:?}");
        assert_eq!(told[0].kind, MisuseKind::UseAfterFreeWrite);
        assert_eq!((told[0].base, told[0].offset), (victim, at as isize));
        assert_eq!(told[0].alloc_site, 0x1234);
        let again: Vec<usize> = (0..all.len()).map(|_| malloc(size)).collect();
        assert!(!again.contains(&victim), "it is never used again");
        again.into_iter().for_each(free);
        assert_eq!(common::told(), []);
    }
}

#[test]
fn a_write_after_the_memory_went_back_is_told_when_the_slot_is_used() {
    let _serial = common::begin();
    for (size, at) in [(88, 80), (350, 0), (3500, 3000), (11_000, 10_000)] {
        let (all, victim) = given_back(size);
        // SAFETY: the slot's memory can be had; this is the bug.
        unsafe { ((victim + at) as *mut u8).write(0x77) };
        let again: Vec<usize> = all
            .iter()
            // SAFETY: the family's own contract.
            .map(|_| unsafe { heap::calloc(1, size, 0) } as usize)
            .inspect(|&block| {
                // SAFETY: a live block.
                assert!(unsafe { (0..size).all(|at| *((block + at) as *const u8) == 0) });
            })
            .collect();
        let told = common::told();
        assert_eq!(told.len(), 1, "{size}: {told:?}");
        assert_eq!(told[0].kind, MisuseKind::UseAfterFreeWrite);
        assert_eq!((told[0].base, told[0].offset, told[0].size), (victim, at as isize, size));
        assert!(told[0].found.contains(&0x77) && told[0].expected == [0; 16]);
        assert_eq!(told[0].alloc_site, 0x1234);
        assert!(!again.contains(&victim), "it is never used again");
        again.into_iter().for_each(free);
        assert_eq!(common::told(), []);
    }
}

#[test]
fn a_write_after_the_memory_went_back_is_told_by_a_sweep() {
    let _serial = common::begin();
    let (all, victim) = given_back(410);
    let last = victim + 409;
    assert_eq!((sweep(), is_resident(victim)), (0, false), "a sweep touches nothing");
    // SAFETY: the slot's memory can be had; this is the bug.
    unsafe { (last as *mut u8).write(0x77) };
    assert_eq!((sweep(), sweep()), (1, 0));
    let told = common::told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].kind, told[0].base), (MisuseKind::UseAfterFreeWrite, victim));
    assert_eq!((told[0].offset, told[0].len), (409, 1));
    let again: Vec<usize> = all.iter().map(|_| malloc(410)).collect();
    assert!(!again.contains(&victim), "it is never used again");
    again.into_iter().for_each(free);
    assert_eq!(common::told(), []);
}

#[test]
fn a_block_whose_memory_went_back_is_known_still() {
    let _serial = common::begin();
    let (_, victim) = given_back(130);
    let block = lookup(victim + 50);
    let same = |block: &Block| (block.base, block.size, block.alloc_site) == (victim, 130, 0x1234);
    assert!(block.as_ref().is_some_and(same), "{block:?}");
    assert_eq!(block.unwrap().state, BlockState::Freed);
    assert_eq!(freed_intact(victim), None);
    free(victim);
    free(victim);
    let told = common::told();
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert_eq!((told[0].kind, told[0].base), (MisuseKind::DoubleFree, victim));
    assert_eq!(told[0].alloc_site, 0x1234);
    assert!(!is_resident(victim), "nobody touched it");
}

/// A program whose blocks go up and down by a part.
fn swing(size: usize, bytes: usize, parts: Range<usize>, rounds: usize) -> i64 {
    let mut all = blocks(size, bytes);
    let count = all.len();
    let mut before = 0;
    for round in 0..rounds {
        if round == rounds / 4 {
            before = faults();
        }
        let freed = all.drain(count * parts.start / 10..count * parts.end / 10);
        let bytes = freed.map(free).count() * size;
        all.extend(blocks(size, bytes));
    }
    let faults = faults() - before;
    all.into_iter().for_each(free);
    faults
}

#[test]
fn what_goes_up_and_down_costs_no_page_faults() {
    let _serial = common::begin();
    // By a third, as programs do; by nine tenths, again and again.
    for parts in [4..7, 0..9, 1..10] {
        let faults = in_thread(|| swing(200, 32 << 20, parts.clone(), 40));
        // 32 MiB are 8192 pages; thirty rounds would be a quarter of a million.
        assert!(faults < 2 * 8192, "{parts:?}: {faults} page faults");
    }
    assert_eq!(common::told(), []);
}

#[test]
fn slots_around_memory_that_goes_back_are_no_findings() {
    let _serial = common::begin();
    for size in [56, 216, 900, 4200] {
        // A block stays here and there: its neighbours' pages go back.
        let all = blocks(size, 32 << 20);
        let is_kept = |at: usize| at % (300_000 / size) == 17;
        let each = |kept: bool| {
            let all = all.iter().enumerate();
            all.filter(move |&(at, _)| is_kept(at) == kept).map(|(_, &block)| block)
        };
        let before = resident();
        each(false).for_each(free);
        trim();
        assert!(before - resident() > 16 << 20, "{size}");
        assert_eq!(sweep(), 0);
        for block in each(true) {
            // SAFETY: a live block; and byte by byte what is behind it is read too.
            assert!(unsafe { *(block as *const u8).add(size - 1) } != 0);
            free(block);
        }
        assert_eq!(sweep(), 0);
        assert_eq!(common::told(), [], "{size}");
    }
}

#[test]
fn threads_a_sweep_and_forks_meanwhile_are_no_matter() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let _serial = common::begin();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                sweep();
                trim();
            }
        });
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                scope.spawn(move || {
                    for round in 0..12 {
                        let size = [60, 180, 2100][(round + worker) % 3];
                        blocks(size, 12 << 20).into_iter().for_each(free);
                    }
                })
            })
            .collect();
        for _ in 0..6 {
            // SAFETY: the child uses this heap and leaves.
            unsafe {
                deadwalk_alloc::fork_prepare();
                let child = libc::fork();
                if child == 0 {
                    deadwalk_alloc::fork_child();
                    blocks(180, 4 << 20).into_iter().for_each(free);
                    trim();
                    sweep();
                    libc::_exit(common::told().len() as i32);
                }
                deadwalk_alloc::fork_parent();
                let mut status = 0;
                assert_eq!((libc::waitpid(child, &mut status, 0), status), (child, 0));
            }
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        stop.store(true, Relaxed);
    });
    assert_eq!(common::told(), []);
}

#[test]
fn a_page_that_the_program_locked_keeps_all() {
    let _serial = common::begin();
    let all = blocks(150, 16 << 20);
    let page = all[all.len() / 2] & !(PAGE - 1);
    // SAFETY: a page of live blocks.
    if unsafe { libc::mlock(page as *const _, PAGE) } != 0 {
        eprintln!("skipped: may not lock memory");
        return;
    }
    all.into_iter().for_each(free);
    trim();
    assert_eq!(sweep(), 0);
    let again = blocks(150, 16 << 20);
    again.into_iter().for_each(free);
    // SAFETY: as above.
    unsafe { libc::munlock(page as *const _, PAGE) };
    assert_eq!(common::told(), []);
}

#[test]
fn a_trim_gives_all_back_and_forgets_whose_it_was() {
    let _serial = common::begin();
    let before = resident();
    let all = blocks(30, 48 << 20);
    let victim = all[all.len() / 2];
    let full = resident() - before;
    all.iter().for_each(|&block| free(block));
    trim();
    let (count, left) = (all.len(), resident().saturating_sub(before + all.len() * 8));
    assert!(left < full / 16, "{left} of {full} left");
    assert!(!is_resident(victim));
    // SAFETY: the slot's memory can be had; this is the bug.
    unsafe { (victim as *mut u8).write(0x55) };
    let again: Vec<usize> = (0..count).map(|_| malloc(30)).collect();
    let told = common::told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].kind, told[0].base), (MisuseKind::UseAfterFreeWrite, victim));
    again.into_iter().for_each(free);
    free(victim);
    assert_eq!(common::told(), [], "a misuse of that block was told");
}

#[test]
fn threads_with_a_few_blocks_each_share_pages() {
    const THREADS: usize = 200;
    const SIZE: usize = 300;
    let _serial = common::begin();
    let barrier = std::sync::Barrier::new(THREADS);
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let run = || {
            let mine = [malloc(SIZE), malloc(SIZE), malloc(SIZE)];
            barrier.wait();
            mine.into_iter().for_each(free);
            mine
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
        all.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap()));
    });
    let (count, _) = pages(&all, SIZE);
    assert!(count * PAGE < all.len() * SIZE * 3, "{count} pages for {} blocks", all.len());
    assert_eq!((sweep(), common::told()), (0, vec![]));
}
