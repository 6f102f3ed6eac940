//! malloc and free themselves, where two threads meet: at one slot, at the depot,
//! at the list of caches.

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::stage::{SIZE, free, malloc, run, told};
use super::stand_in::CLASS;
use crate::cache::{self, discard_current};
use crate::depot::DEPOTS;
use crate::observer::MisuseKind::DoubleFree;
use crate::tls;

/// Frees and allocates until what was freed left the quarantine; the `count`
/// blocks it got, the latest freed first.
fn turn_over(count: usize) -> Vec<usize> {
    free(malloc(0), 0);
    (0..count).map(|_| malloc(0)).collect()
}

/// Writes over a whole block.
fn fill(block: usize, with: u8) {
    // SAFETY: a live block of this thread's.
    unsafe { (block as *mut u8).write_bytes(with, SIZE) };
}

/// Checks what `fill` wrote, and frees the block.
fn check_and_free(block: usize, with: u8) {
    // SAFETY: as above.
    let bytes = unsafe { core::slice::from_raw_parts(block as *const u8, SIZE) };
    assert!(bytes.iter().all(|&byte| byte == with), "somebody else has it too");
    free(block, 0);
}

/// However two frees of one block interleave, of the two copies that are in
/// quarantine then exactly one leaves it. (They leave one after the other here:
/// see the ground rules of `slot.rs`.)
#[test]
fn loom_of_a_block_that_two_threads_free_at_once_one_copy_counts() {
    run(3, || {
        let block = malloc(0);
        let freed = Arc::new((Mutex::new(0), Condvar::new()));
        let free_and_turn_over = move |freed: &(Mutex<u32>, Condvar), blocks| {
            free(block, 0);
            let mut count = freed.0.lock().unwrap();
            *count += 1;
            freed.1.notify_one();
            while *count < 2 {
                count = freed.1.wait(count).unwrap();
            }
            turn_over(blocks)
        };
        let other = {
            let freed = freed.clone();
            thread::spawn(move || free_and_turn_over(&freed, 2))
        };
        // The block stays in this magazine if its copy was first.
        let mut mine = free_and_turn_over(&freed, 1);
        let theirs = other.join().unwrap();
        mine.push(malloc(0));
        assert!(mine.iter().all(|block| !theirs.contains(block)), "{mine:x?} {theirs:x?}");
        assert!(mine[0] != mine[1] && theirs[0] != theirs[1]);
        assert_eq!(told(), [DoubleFree]);
    });
}

#[test]
fn loom_a_slot_is_in_one_place_while_magazines_drain_and_fill() {
    run(2, || {
        let mine = [malloc(0), malloc(0)];
        let other = thread::spawn(|| {
            // From the depot, if something is there already.
            let blocks = [malloc(0), malloc(0)];
            blocks.iter().for_each(|&block| fill(block, 2));
            blocks.into_iter().for_each(|block| check_and_free(block, 2));
            discard_current();
        });
        mine.iter().for_each(|&block| fill(block, 1));
        mine.into_iter().for_each(|block| check_and_free(block, 1));
        discard_current();
        other.join().unwrap();
        let depot = &DEPOTS[CLASS];
        let free = depot.lock().free.len();
        assert_eq!(depot.count_hint(), free);
        // All that exist but the pad are back, or fresh in a cache.
        let fresh: u32 = cache::all().map(|cache| cache.fresh_left(CLASS)).sum();
        assert_eq!(free + fresh, depot.bump() - 1);
        assert_eq!(told(), []);
    });
}

#[test]
fn loom_a_cache_has_one_thread() {
    run(2, || {
        malloc(0);
        let old = tls::cache();
        let take = || {
            let cache = cache::current();
            assert_eq!(cache, tls::cache());
            cache as usize
        };
        let others = [thread::spawn(take), thread::spawn(take)];
        discard_current();
        let [one, two] = others.map(|other| other.join().unwrap());
        assert_ne!(one, two);
        // One of the two has ours, or it is there for the next.
        let third = cache::current() as usize;
        assert!(third != one && third != two);
        assert!([one, two, third].contains(&(old as usize)));
        assert_eq!(told(), []);
    });
}
