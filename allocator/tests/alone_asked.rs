//! Blocks that lie alone though nobody watches them: all, those of some code, or one
//! in so many.

mod common;
#[path = "common/segv.rs"]
mod segv;

use common::told;
use deadwalk_alloc::{Config, Counter, Isolate, choose_code, configure, heap};
use deadwalk_alloc::{read_counter, trap};
use segv::begin;

const PAGE: usize = 4096;
const FREE: usize = 0x2000;

fn with(config: Config) -> std::sync::MutexGuard<'static, ()> {
    let serial = begin();
    configure(Config { guard: true, ..config });
    serial
}

fn block(size: usize, site: usize) -> *mut u8 {
    // SAFETY: none beyond C's.
    unsafe { heap::malloc(size, site) }
}

fn free(block: *mut u8) {
    // SAFETY: a live block of the caller's.
    unsafe { heap::free(block, FREE) };
}

fn is_alone(block: *mut u8) -> bool {
    (block as usize).is_multiple_of(PAGE)
}

#[test]
fn all_of_them() {
    let _serial = with(Config { isolate: Isolate::All, ..Config::default() });
    for size in [0, 1, 16, 100, 4096, 20_000, 32_000, 100_000] {
        let one = block(size, 0x1_0000);
        assert!(is_alone(one), "{size}");
        free(one);
        assert!(trap::is_stale(one as usize), "{size}");
        // SAFETY: the family's own contract.
        let aligned = unsafe { heap::memalign(256, size, 0x1_0001) };
        assert!(is_alone(aligned), "{size}");
        // SAFETY: as above.
        let grown = unsafe { heap::realloc(aligned, size + 50, 0x1_0002) };
        assert!(is_alone(grown) && (grown != aligned || size >= 32 << 10), "{size}");
        free(grown);
    }
    assert_eq!(told(), []);
}

#[test]
fn no_more_than_there_is_room_for() {
    const ROOM: usize = 1 << 20;
    let config = Config { isolate: Isolate::All, isolate_live_bytes: ROOM, ..Config::default() };
    let _serial = with(config);
    let refused = read_counter(Counter::GuardsRefused);
    let blocks: Vec<_> = (0..1000).map(|_| block(48, 0x2_0000)).collect();
    let alone = blocks.iter().filter(|&&block| is_alone(block)).count();
    // A page and its guard each; of the others one in 85 begins a page by chance.
    assert!((ROOM / PAGE / 2..ROOM / PAGE / 2 + 30).contains(&alone), "{alone}");
    assert_eq!(read_counter(Counter::GuardsRefused) - refused, 1000 - (ROOM / PAGE / 2) as u64);
    blocks.into_iter().for_each(free);
    let next = block(48, 0x2_0000);
    assert!(is_alone(next));
    free(next);
}

#[test]
fn no_more_freed_ones_than_pages_are_held() {
    let held = 64;
    let config = Config { isolate: Isolate::All, held_pages: held, ..Config::default() };
    let _serial = with(config);
    let released = read_counter(Counter::GuardsReleased);
    let freed: Vec<_> = (0..100).map(|_| block(48, 0x3_0000)).collect();
    freed.iter().for_each(|&block| free(block));
    // Two pages each.
    assert!(freed[100 - held / 2..].iter().all(|&block| trap::is_stale(block as usize)));
    assert!(read_counter(Counter::GuardsReleased) - released >= 200 - held as u64);
    let next = block(48, 0x3_0000);
    assert!(is_alone(next) && !freed[100 - held / 2..].contains(&next));
    free(next);
}

/// Locked memory cannot be guarded, which is said.
#[test]
fn in_locked_memory_they_are_let_go() {
    let _serial = with(Config { isolate: Isolate::All, ..Config::default() });
    // SAFETY: as for any process.
    if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } != 0 {
        return println!("skipped: memory may not be locked here");
    }
    let released = read_counter(Counter::GuardsReleased);
    let freed = block(48, 0x6_0000);
    free(freed);
    // SAFETY: as above.
    unsafe { libc::munlockall() };
    assert!(!trap::is_stale(freed as usize));
    // Its page and that of the guard.
    assert_eq!(read_counter(Counter::GuardsReleased) - released, 2);
    assert_eq!(told(), []);
}

#[test]
fn those_of_some_code() {
    let _serial = with(Config { isolate: Isolate::Watched, ..Config::default() });
    assert!(choose_code(0x4_0000..0x4_0100));
    let count = |site| {
        let blocks: Vec<_> = (0..100).map(|_| block(48, site)).collect();
        let alone = blocks.iter().filter(|&&block| is_alone(block)).count();
        blocks.into_iter().for_each(free);
        alone
    };
    assert_eq!(count(0x4_0001), 100);
    assert_eq!(count(0x4_0100), 100, "a call is the function's last instruction");
    assert!(count(0x4_0000) < 10 && count(0x4_0101) < 10);
    configure(Config { guard: true, ..Config::default() });
    assert!(!choose_code(0x5_0000..0x5_0100), "nothing lies alone");
}

/// One block of so many, of each of two sizes and of a third that is seldom, zeroed or
/// not.
#[test]
fn one_in_so_many() {
    const ALL: usize = 200_000;
    const ONE_IN: usize = 100;
    let config =
        Config { isolate: Isolate::Watched, isolate_sample: ONE_IN as u32, ..Config::default() };
    let _serial = with(config);
    let mut alone = [0; 3];
    for at in 0..ALL {
        let kind = if at % 50 == 0 { 2 } else { at % 2 };
        let size = [40, 500, 2000][kind];
        // SAFETY: the family's own contract.
        let one = unsafe {
            if at % 3 == 0 { heap::calloc(1, size, 0x5_0000) } else { heap::malloc(size, 0x5_0000) }
        };
        if at % 3 == 0 {
            // SAFETY: a block of that size.
            assert!((0..size).all(|at| unsafe { *one.add(at) } == 0));
        }
        free(one);
        alone[kind] += trap::is_stale(one as usize) as usize;
    }
    let sum: usize = alone.iter().sum();
    let expected = ALL / ONE_IN;
    assert!((expected * 8 / 10..=expected * 12 / 10).contains(&sum), "{alone:?}");
    assert!(alone.iter().all(|&count| count > 0), "{alone:?}");
    assert_eq!(told(), []);
}
