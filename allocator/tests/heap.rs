//! The family keeps its promises: contents, sizes, alignment, errors, threads.

mod common;

use common::*;
use deadwalk_alloc::{BlockState, heap, lookup};
use std::sync::mpsc;

/// A small xorshift generator; the seed is in every failure message.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 as usize
    }
    fn below(&mut self, bound: usize) -> usize {
        self.next() % bound
    }
    /// Mostly small, sometimes large, rarely huge.
    fn size(&mut self) -> usize {
        match self.below(2000) {
            0 => self.below(100 << 20),
            1..=20 => self.below(1 << 20),
            21..=300 => self.below(40_000),
            _ => self.below(300),
        }
    }
}

struct Held {
    block: *mut u8,
    size: usize,
    tag: u8,
}

// SAFETY: a plain block, handed from thread to thread.
unsafe impl Send for Held {}

/// Offsets that are written and checked: all of small blocks, edges of others.
fn offsets(size: usize) -> impl Iterator<Item = usize> {
    let edge = 200.min(size);
    (0..edge).chain(size.saturating_sub(200).max(edge)..size)
}

fn write(held: &Held) {
    for at in offsets(held.size) {
        // SAFETY: inside the block.
        unsafe { *held.block.add(at) = held.tag ^ at as u8 };
    }
}

fn check(held: &Held, until: usize, seed: u64) {
    for at in offsets(held.size).filter(|&at| at < until) {
        // SAFETY: inside the block.
        let got = unsafe { *held.block.add(at) };
        assert_eq!(got, held.tag ^ at as u8, "seed {seed} size {} at {at}", held.size);
    }
}

fn churn(seed: u64, steps: usize, mut give: impl FnMut(Held) -> Option<Held>) {
    let mut random = Random(seed);
    let mut held: Vec<Held> = Vec::new();
    for step in 0..steps {
        let full = held.len() > 400;
        match random.below(10) {
            0..=4 if !full => {
                let size = random.size();
                // SAFETY: the family's own contract.
                let block = unsafe {
                    match random.below(4) {
                        0 => heap::calloc(1, size, 7),
                        1 => heap::memalign(1 << random.below(13), size, 7),
                        _ => heap::malloc(size, 7),
                    }
                };
                assert!(!block.is_null());
                // SAFETY: as above.
                assert_eq!(unsafe { heap::usable_size(block) }, size);
                let new = Held { block, size, tag: step as u8 };
                write(&new);
                held.push(new);
            }
            5..=6 if !held.is_empty() => {
                let at = random.below(held.len());
                let size = match random.below(2) {
                    0 => random.size().max(1),
                    _ => held[at].size + random.below(64) + 1,
                };
                // SAFETY: a live block; the old pointer is not used again.
                let block = unsafe { heap::realloc(held[at].block, size, 8) };
                assert!(!block.is_null());
                let old = std::mem::replace(&mut held[at].block, block);
                let _ = old;
                let kept = held[at].size.min(size);
                check(&held[at], kept.min(200), seed);
                held[at].size = size;
                write(&held[at]);
            }
            7 if !held.is_empty() => {
                let at = random.below(held.len());
                if let Some(other) = give(held.swap_remove(at)) {
                    held.push(other);
                }
            }
            _ if !held.is_empty() => {
                let at = random.below(held.len());
                let gone = held.swap_remove(at);
                check(&gone, gone.size, seed);
                // SAFETY: a live block.
                unsafe { heap::free(gone.block, 9) };
            }
            _ => {}
        }
    }
    for gone in held {
        check(&gone, gone.size, seed);
        // SAFETY: a live block.
        unsafe { heap::free(gone.block, 9) };
    }
}

#[test]
fn contents_survive_whatever_the_order() {
    let _serial = begin();
    for seed in [1, 2, 3] {
        churn(seed, 30_000, Some);
    }
    deadwalk_alloc::sweep();
    assert_eq!(told(), []);
}

#[test]
fn contents_survive_four_threads_that_free_for_each_other() {
    let _serial = begin();
    std::thread::scope(|scope| {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..4).map(|_| mpsc::channel::<Held>()).unzip();
        for (number, inbox) in receivers.into_iter().enumerate() {
            let next = senders[(number + 1) % 4].clone();
            scope.spawn(move || {
                churn(100 + number as u64, 40_000, |held| {
                    next.send(held).ok();
                    inbox.try_recv().ok()
                });
                drop(next);
                for gone in inbox {
                    check(&gone, gone.size, 100);
                    // SAFETY: a live block.
                    unsafe { heap::free(gone.block, 9) };
                }
            });
        }
        drop(senders);
    });
    deadwalk_alloc::sweep();
    assert_eq!(told(), []);
}

#[test]
fn many_short_threads_leave_their_memory_to_the_next() {
    let _serial = begin();
    for _ in 0..300 {
        std::thread::spawn(|| {
            let blocks: Vec<_> = (0..200)
                .map(|size| Held {
                    // SAFETY: the family's own contract.
                    block: unsafe { heap::malloc(size * 5, 0) },
                    size: size * 5,
                    tag: 1,
                })
                .collect();
            blocks.iter().for_each(write);
            for held in blocks {
                check(&held, held.size, 0);
                // SAFETY: a live block.
                unsafe { heap::free(held.block, 0) };
            }
        })
        .join()
        .unwrap();
    }
    assert_eq!(told(), []);
}

/// Frees and allocates in a destructor that runs after the heap's own.
struct AtExit(*mut u8);

impl Drop for AtExit {
    fn drop(&mut self) {
        // SAFETY: a live block, freed once.
        unsafe {
            heap::free(self.0, 0);
            let late = heap::calloc(3, 100, 0);
            assert!((0..300).all(|at| *late.add(at) == 0));
            heap::free(late, 0);
        }
    }
}

#[test]
fn thread_locals_that_free_and_allocate_at_the_threads_end_are_served() {
    thread_local!(static LATE: std::cell::RefCell<Option<AtExit>> = const { std::cell::RefCell::new(None) });
    let _serial = begin();
    extern "C" fn in_last_rounds(value: *mut libc::c_void) {
        // SAFETY: a live block, freed once; the key outlives the test.
        unsafe {
            heap::free(value.cast(), 0);
            let late = heap::malloc(700, 0);
            assert!(!late.is_null());
            heap::free(late, 0);
        }
    }
    let mut key = 0;
    // SAFETY: a valid place and function.
    assert_eq!(unsafe { libc::pthread_key_create(&mut key, Some(in_last_rounds)) }, 0);
    for _ in 0..50 {
        std::thread::spawn(move || {
            // SAFETY: the family's own contract; the key is valid.
            unsafe {
                LATE.set(Some(AtExit(heap::malloc(40, 0))));
                libc::pthread_setspecific(key, heap::malloc(80, 0).cast());
            }
        })
        .join()
        .unwrap();
    }
    assert_eq!(told(), []);
}

#[test]
fn calloc_zeroes_recycled_memory_of_every_kind() {
    let _serial = begin();
    for size in [1, 16, 100, 1000, 5000, 32_000, 32_768, 200_000, 3 << 20, 70 << 20] {
        for _ in 0..3 {
            // SAFETY: the family's own contract.
            unsafe {
                let dirty = heap::malloc(size, 0);
                dirty.write_bytes(0xee, size);
                heap::free(dirty, 0);
                let clean = heap::calloc(size, 1, 0);
                assert!((0..size).all(|at| *clean.add(at) == 0), "{size}");
                clean.write_bytes(0xdd, size);
                heap::free(clean, 0);
            }
        }
    }
    assert_eq!(told(), []);
}

#[test]
fn memalign_aligns_up_to_a_mebibyte_and_beyond() {
    let _serial = begin();
    for shift in (0..=20).chain([25, 27]) {
        for size in [0, 1, 24, 100, 4096, 40_000, 1 << 20] {
            // SAFETY: the family's own contract.
            unsafe {
                let blocks: Vec<_> = (0..3).map(|_| heap::memalign(1 << shift, size, 0)).collect();
                for &block in &blocks {
                    assert!(!block.is_null());
                    assert_eq!(block as usize % (1 << shift), 0);
                    assert_eq!(heap::usable_size(block), size);
                    block.write_bytes(0x11, size);
                }
                blocks.into_iter().for_each(|block| heap::free(block, 0));
            }
        }
    }
    // SAFETY: as above.
    unsafe {
        assert!(heap::memalign(24, 10, 0).is_null());
        assert_eq!(errno(), libc::EINVAL);
    }
    assert_eq!(told(), []);
}

#[test]
fn impossible_sizes_give_null_and_enomem() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        let attempts: [&dyn Fn() -> *mut u8; 6] = [
            &|| heap::malloc(usize::MAX, 0),
            &|| heap::malloc(isize::MAX as usize, 0),
            &|| heap::calloc(usize::MAX / 2, 3, 0),
            &|| heap::memalign(4096, usize::MAX - 100, 0),
            &|| heap::memalign(1 << 63, 1, 0),
            &|| heap::malloc(5 << 40, 0),
        ];
        for (number, attempt) in attempts.iter().enumerate() {
            set_errno(0);
            assert!(attempt().is_null(), "attempt {number}");
            assert_eq!(errno(), libc::ENOMEM, "attempt {number}");
        }
        let block = heap::malloc(10, 0);
        set_errno(0);
        assert!(heap::realloc(block, usize::MAX - 5, 0).is_null());
        assert_eq!(errno(), libc::ENOMEM);
        assert_eq!(lookup(block as usize).unwrap().state, BlockState::Live);
        heap::free(block, 0);
    }
    assert_eq!(told(), []);
}

#[test]
fn success_leaves_errno_alone() {
    let _serial = begin();
    set_errno(4711);
    for size in [0, 10, 5000, 100_000, 80 << 20] {
        // SAFETY: the family's own contract.
        unsafe {
            for _ in 0..100 {
                let block = heap::malloc(size, 0);
                let block = heap::realloc(block, size + 100, 0);
                heap::free(block, 0);
            }
            heap::free(core::ptr::null_mut(), 0);
            heap::free(HANDLED_FOREIGN as *mut u8, 0);
        }
    }
    assert_eq!(errno(), 4711);
}

#[test]
fn realloc_of_null_allocates_and_to_zero_frees() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        let block = heap::realloc(core::ptr::null_mut(), 10, 3);
        assert_eq!(heap::usable_size(block), 10);
        assert!(heap::realloc(block, 0, 4).is_null());
        assert_eq!(lookup(block as usize).unwrap().state, BlockState::Freed);
        assert_eq!(heap::usable_size(block), 0);
        assert_eq!(heap::usable_size(core::ptr::null_mut()), 0);
    }
    assert_eq!(told(), []);
}

#[test]
fn sixty_thousand_blocks_of_200_kb_are_live_at_once() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        let blocks: Vec<_> = (0..60_000).map(|_| heap::malloc(200_000, 0)).collect();
        assert!(blocks.iter().all(|block| !block.is_null()));
        blocks.into_iter().for_each(|block| heap::free(block, 0));
    }
    assert_eq!(told(), []);
}

#[test]
fn counters_and_probe_follow_what_happens() {
    use deadwalk_alloc::{Counter, flush_counters, read_counter, thread_activity};
    let _serial = begin();
    let read = |counter| {
        flush_counters();
        read_counter(counter) as i64
    };
    let (allocs, frees) = (read(Counter::Allocs), read(Counter::Frees));
    let live = read(Counter::LiveBytes);
    let probe = thread_activity();
    // SAFETY: the family's own contract.
    unsafe {
        let mut seen = probe.read();
        let blocks: Vec<_> = (0..1000)
            .map(|at| {
                let block = heap::malloc(24 + at % 2 * 50_000, 0);
                let now = probe.read();
                assert_ne!(std::mem::replace(&mut seen, now), now);
                block
            })
            .collect();
        assert_eq!(read(Counter::Allocs) - allocs, 1000);
        assert_eq!(read(Counter::LiveBytes) - live, 500 * 32 + 500 * 50_024);
        assert!(read(Counter::PeakLiveBytes) >= live + 500 * 50_000);
        for block in blocks {
            heap::free(block, 0);
            let now = probe.read();
            assert_ne!(std::mem::replace(&mut seen, now), now);
        }
    }
    assert_eq!(read(Counter::Frees) - frees, 1000);
    assert_eq!(read(Counter::LiveBytes), live);
}

#[test]
fn a_large_block_that_grows_keeps_its_content_and_seldom_moves() {
    let _serial = begin();
    // SAFETY: the family's own contract; bytes below `size` are the block's.
    unsafe {
        let mut block = heap::malloc(40_000, 0);
        block.write_bytes(0x5a, 40_000);
        let (mut size, mut moves) = (40_000, 0);
        while size < 4 << 20 {
            let larger = size + size / 8;
            let grown = heap::realloc(block, larger, 0);
            moves += (grown != block) as u32;
            assert_eq!((*grown, *grown.add(size - 1)), (0x5a, 0x5a));
            grown.add(size).write_bytes(0x5a, larger - size);
            (block, size) = (grown, larger);
        }
        assert!(moves <= 8, "{moves} moves");
        heap::free(block, 0);
    }
    assert_eq!(told(), []);
}

#[test]
fn a_huge_block_that_grew_leaves_all_its_addresses_unused() {
    let _serial = begin();
    // SAFETY: the family's own contract.
    unsafe {
        let block = heap::malloc(70 << 20, 1);
        let grown = heap::realloc(block, 90 << 20, 2);
        heap::free(grown, 3);
        let next = heap::malloc(70 << 20, 4);
        let range = grown as usize..grown as usize + (90 << 20);
        assert!(!range.contains(&(next as usize)), "a stale access would hit it");
        heap::free(next, 5);
        let known = lookup(next as usize).unwrap();
        assert_eq!((known.base, known.alloc_site), (next as usize, 4));
    }
    assert_eq!(told(), []);
}
