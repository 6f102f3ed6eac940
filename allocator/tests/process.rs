//! fork in a process with threads, and limits on memory: in child processes.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

use deadwalk_alloc::{fork_child, fork_parent, fork_prepare, heap};

/// Runs `body` in a fork child; true if it returned true.
fn in_child(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child uses this heap and system calls only, then leaves.
    unsafe {
        fork_prepare();
        let child = libc::fork();
        if child == 0 {
            fork_child();
            let good = body();
            libc::_exit(if good { 0 } else { 1 });
        }
        fork_parent();
        assert!(child > 0);
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        status == 0
    }
}

#[test]
fn a_child_of_a_process_with_busy_threads_allocates() {
    let _serial = common::begin();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    for size in [10, 100, 1000, 20_000, 50_000] {
                        // SAFETY: the family's own contract.
                        unsafe { heap::free(heap::malloc(size, 0), 0) };
                    }
                }
            });
        }
        for round in 0..40 {
            let good = in_child(|| {
                for size in (0..50_000).step_by(997) {
                    // SAFETY: the family's own contract.
                    unsafe {
                        let (one, two) = (heap::calloc(1, size, 0), heap::malloc(size, 0));
                        if one.is_null() || two.is_null() || (0..size).any(|at| *one.add(at) != 0) {
                            return false;
                        }
                        one.write_bytes(1, size);
                        heap::free(one, 0);
                        heap::free(two, 0);
                    }
                }
                deadwalk_alloc::sweep();
                common::told().is_empty()
            });
            assert!(good, "round {round}");
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(common::told(), []);
}

#[test]
fn fork_handlers_of_the_program_may_allocate_while_all_locks_are_held() {
    let _serial = common::begin();
    let use_heap = || {
        for size in (0..200_000).step_by(331).chain([80 << 20]) {
            // SAFETY: the family's own contract.
            unsafe { heap::free(heap::realloc(heap::malloc(size, 0), size + 50, 0), 0) };
        }
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    use_heap();
                }
            });
        }
        for _ in 0..5 {
            // SAFETY: the child uses this heap and leaves.
            unsafe {
                fork_prepare();
                use_heap();
                let child = libc::fork();
                if child == 0 {
                    use_heap();
                    fork_child();
                    use_heap();
                    libc::_exit(common::told().len() as i32);
                }
                use_heap();
                fork_parent();
                let mut status = 0;
                assert_eq!((libc::waitpid(child, &mut status, 0), status), (child, 0));
            }
        }
        stop.store(true, Relaxed);
    });
    assert_eq!(common::told(), []);
}

#[test]
fn after_the_limit_of_address_space_was_reached_freed_blocks_leave_room() {
    let _serial = common::begin();
    let good = in_child(|| {
        let limit = libc::rlimit { rlim_cur: 1 << 30, rlim_max: 1 << 30 };
        // SAFETY: the family's own contract; a chain through the blocks.
        unsafe {
            if libc::setrlimit(libc::RLIMIT_AS, &limit) != 0 {
                return false;
            }
            let mut last: *mut u8 = core::ptr::null_mut();
            loop {
                let block = heap::malloc(1 << 20, 0);
                if block.is_null() {
                    break;
                }
                block.cast::<*mut u8>().write(last);
                last = block;
            }
            while !last.is_null() {
                let block = last;
                last = last.cast::<*mut u8>().read();
                heap::free(block, 0);
            }
            // What the program maps itself.
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let mapped =
                libc::mmap(core::ptr::null_mut(), 300 << 20, libc::PROT_READ, flags, -1, 0);
            mapped != libc::MAP_FAILED
        }
    });
    assert!(good);
}

#[test]
fn at_the_limit_of_address_space_malloc_fails_and_goes_on_after_a_free() {
    let _serial = common::begin();
    for size in [500, 8_000, 100_000, 3 << 20, 80 << 20] {
        let good = in_child(|| {
            const MOST: usize = 1 << 20;
            let limit = libc::rlimit { rlim_cur: 1 << 30, rlim_max: 1 << 30 };
            // SAFETY: the family's own contract; a chain through the blocks.
            unsafe {
                if libc::setrlimit(libc::RLIMIT_AS, &limit) != 0 {
                    return false;
                }
                let mut last: *mut u8 = core::ptr::null_mut();
                let mut count = 0;
                common::set_errno(0);
                while count < 4 * MOST {
                    let block = heap::malloc(size, 0);
                    if block.is_null() {
                        break;
                    }
                    block.cast::<*mut u8>().write(last);
                    last = block;
                    count += 1;
                }
                if common::errno() != libc::ENOMEM || count * size < 400 << 20 {
                    return false;
                }
                while !last.is_null() {
                    let block = last;
                    last = last.cast::<*mut u8>().read();
                    heap::free(block, 0);
                }
                // Also what lives in another class, once memory is given back.
                let (same, other) = (heap::malloc(size, 0), heap::malloc(200_000, 0));
                !same.is_null() && (!other.is_null() || size < 32_768)
            }
        });
        assert!(good, "size {size}");
    }
}

#[test]
fn freed_memory_that_goes_back_is_not_looked_at() {
    /// Blocks of a round, and their size: many units of pages.
    const BLOCKS: usize = 4000;
    const SIZE: usize = 2000;
    const ROUNDS: usize = 60;
    let _serial = common::begin();
    static STOP: AtomicBool = AtomicBool::new(false);
    static LATEST: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn look(_: *mut libc::c_void) -> *mut libc::c_void {
        while !STOP.load(Relaxed) {
            deadwalk_alloc::sweep();
            for _ in 0..1000 {
                deadwalk_alloc::freed_intact(LATEST.load(Relaxed));
            }
        }
        core::ptr::null_mut()
    }
    let good = in_child(|| {
        // No thread of std: it takes a lock that another thread had at the fork.
        let mut looker: libc::pthread_t = 0;
        // SAFETY: a function of that type, which takes nothing.
        let made = unsafe {
            libc::pthread_create(&raw mut looker, core::ptr::null(), look, core::ptr::null_mut())
        };
        assert_eq!(made, 0);
        // SAFETY: the family's own contract; a soft limit that is lifted again.
        unsafe {
            let none = libc::RLIM_INFINITY;
            let limit = libc::rlimit { rlim_cur: 1 << 30, rlim_max: none };
            libc::setrlimit(libc::RLIMIT_AS, &limit);
            // Once refused, memory goes back as soon as it is freed.
            while !heap::malloc(10 << 20, 0).is_null() {}
            let limit = libc::rlimit { rlim_cur: none, rlim_max: none };
            libc::setrlimit(libc::RLIMIT_AS, &limit);
            for _ in 0..ROUNDS {
                let blocks: Vec<_> = (0..BLOCKS).map(|_| heap::malloc(SIZE, 0)).collect();
                for block in blocks {
                    LATEST.store(block as usize, Relaxed);
                    heap::free(block, 0);
                }
            }
        }
        STOP.store(true, Relaxed);
        // SAFETY: a thread of ours that nobody else joins.
        let joined = unsafe { libc::pthread_join(looker, core::ptr::null_mut()) };
        joined == 0 && common::told().is_empty()
    });
    assert!(good);
}
