//! The sweep, while the owner of what it looks at goes on.

use loom::thread;

use super::stage::{SIZE, free, malloc, run, told};
use super::stand_in::CLASS;
use crate::cache::{self, Cache};
use crate::observer::MisuseKind::{HeapBufferOverflow, UseAfterFreeWrite};
use crate::place::{Place, locate};
use crate::sweep::{sweep_ends, sweep_ring};
use crate::{heap, tls};

/// Bytes a sweep may read.
const PLENTY: usize = 1 << 20;

/// The calling thread's cache, for others.
fn my_cache() -> &'static Cache {
    // SAFETY: caches stay for a run.
    unsafe { &*tls::cache() }
}

fn write(block: usize, at: usize, byte: u8) {
    // SAFETY: inside the block's slot.
    unsafe { (block as *mut u8).add(at).write(byte) };
}

#[test]
fn loom_the_sweep_of_a_ring_never_tells_of_clean_blocks() {
    run(3, || {
        let blocks = [malloc(0), malloc(0), malloc(0)];
        let cache = my_cache();
        let sweeper = thread::spawn(move || sweep_ring(cache, CLASS, &mut 0, &mut PLENTY.clone()));
        for block in blocks {
            write(block, 0, 1);
            free(block, 0);
        }
        // The oldest leave; one of them is the program's again.
        write(malloc(0), 0, 2);
        assert_eq!(sweeper.join().unwrap(), 0);
        assert_eq!(told(), []);
    });
}

/// Told by the sweep or by the owner, whoever sees it first; by both if the owner
/// takes the slot out of its ring in the very moment. Never handed out.
#[test]
fn loom_a_write_after_free_is_told_by_the_sweep_or_by_the_owner() {
    run(3, || {
        let (bad, good) = (malloc(0), malloc(0));
        free(bad, 0);
        write(bad, 100, 1);
        free(good, 0);
        let cache = my_cache();
        let sweeper = thread::spawn(move || sweep_ring(cache, CLASS, &mut 0, &mut PLENTY.clone()));
        let again = [malloc(0), malloc(0)];
        sweeper.join().unwrap();
        assert!(!again.contains(&bad));
        let told = told();
        assert!((1..=2).contains(&told.len()), "{told:?}");
        assert!(told.iter().all(|&kind| kind == UseAfterFreeWrite), "{told:?}");
    });
}

#[test]
fn loom_the_sweep_of_ends_never_tells_of_a_clean_owner() {
    run(3, || {
        let block = malloc(0);
        let sweeper = thread::spawn(|| sweep_ends(CLASS, &mut 0, &mut PLENTY.clone()));
        // SAFETY: a live block, resized in its slot.
        let same = unsafe { heap::realloc(block as *mut u8, SIZE + 4, 0) } as usize;
        assert_eq!(same, block);
        write(block, SIZE + 3, 1);
        free(block, 0);
        write(malloc(0), SIZE - 1, 2);
        assert_eq!(sweeper.join().unwrap(), 0);
        assert_eq!(told(), []);
    });
}

#[test]
fn loom_an_overflow_is_told_by_the_sweep_or_at_the_free() {
    run(3, || {
        let block = malloc(0);
        write(block, SIZE, 1);
        let sweeper = thread::spawn(|| sweep_ends(CLASS, &mut 0, &mut PLENTY.clone()));
        free(block, 0);
        sweeper.join().unwrap();
        let told = told();
        assert!((1..=2).contains(&told.len()), "{told:?}");
        assert!(told.iter().all(|&kind| kind == HeapBufferOverflow), "{told:?}");
    });
}

#[test]
fn loom_who_freed_a_block_is_known_to_others_or_not_but_never_wrong() {
    run(3, || {
        let (block, other) = (malloc(0), malloc(0));
        let Place::In(slot, true) = locate(block) else { panic!("{block:x}") };
        let asker = thread::spawn(move || {
            cache::all().find_map(|cache| cache.free_site(CLASS, slot.index as u32))
        });
        free(block, 7);
        free(other, 8);
        // The oldest leave; another site's free follows.
        assert!([malloc(0), malloc(0)].contains(&block));
        free(block, 9);
        assert!(matches!(asker.join().unwrap(), None | Some(7 | 9)));
        assert_eq!(told(), []);
    });
}
