//! Blocks that end their pages: what is behind them traps, in front of them are
//! canaries. In a process of its own: where such a block starts depends on the setting.

mod common;
#[path = "common/segv.rs"]
mod segv;

use common::told;
use deadwalk_alloc::{BlockState, Config, Isolate, MisuseKind, configure, heap, lookup, watch};
use deadwalk_alloc::{Misuse, sweep, trap};
use segv::{begin, store};

const PAGE: usize = 4096;
const ALIGN: usize = 16;
const SITE: usize = 0x1000;
const FREE: usize = 0x2000;
const SIZES: [usize; 10] = [0, 1, 15, 16, 17, 100, 4080, 4096, 4097, 32_000];

fn at_end() -> std::sync::MutexGuard<'static, ()> {
    let serial = begin();
    let (isolate, isolate_at_end) = (Isolate::All, true);
    configure(Config { guard: true, isolate, isolate_at_end, ..Config::default() });
    serial
}

fn block(size: usize) -> *mut u8 {
    // SAFETY: none beyond C's.
    unsafe { heap::malloc(size, SITE) }
}

fn free(block: *mut u8) {
    // SAFETY: a live block of the caller's.
    unsafe { heap::free(block, FREE) };
}

/// The one misuse that was told.
#[track_caller]
fn only() -> Misuse {
    let told = told();
    assert_eq!(told.len(), 1, "{told:?}");
    told[0]
}

#[test]
fn they_are_as_other_blocks() {
    let _serial = at_end();
    for size in SIZES {
        let one = block(size);
        let addr = one as usize;
        let end = addr + size.max(1).next_multiple_of(ALIGN);
        assert!(end.is_multiple_of(PAGE) && addr.is_multiple_of(ALIGN), "{size}");
        // SAFETY: a block of that size.
        unsafe {
            assert_eq!(heap::usable_size(one), size);
            one.write_bytes(7, size);
        }
        for inside in [addr, addr + size.saturating_sub(1)] {
            let known = lookup(inside).expect("a block");
            assert_eq!((known.base, known.size), (addr, size));
            assert_eq!((known.state, known.alloc_site), (BlockState::Live, SITE));
        }
        assert_eq!(watch(addr).map(|block| block.base), Some(addr));
        // SAFETY: the family's own contract.
        let grown = unsafe { heap::realloc(one, size + 33_000, SITE) };
        // SAFETY: a block of that size.
        assert!((0..size).all(|at| unsafe { *grown.add(at) } == 7), "{size}");
        free(grown);
        // Of freed slots, and of new ones.
        for _ in 0..3 {
            // SAFETY: as above.
            let zero = unsafe { heap::calloc(1, size, SITE) };
            // SAFETY: as above.
            assert!((0..size).all(|at| unsafe { *zero.add(at) } == 0), "{size}");
            free(zero);
        }
        // SAFETY: as above.
        let aligned = unsafe { heap::memalign(256, size, SITE) };
        assert_eq!(aligned as usize % 256, 0);
        free(aligned);
    }
    sweep();
    assert_eq!(told(), []);
}

/// One whose turn has come has another alignment to keep than a page's end has.
#[test]
fn those_of_an_alignment_keep_it() {
    let _serial = begin();
    let (isolate, isolate_sample, isolate_at_end) = (Isolate::Watched, 1, true);
    let config = Config { guard: true, isolate, isolate_sample, ..Config::default() };
    configure(Config { isolate_at_end, ..config });
    for align in (5..15).map(|power| 1 << power) {
        for size in SIZES {
            // SAFETY: the family's own contract.
            let aligned = unsafe { heap::memalign(align, size, SITE) };
            assert!((aligned as usize).is_multiple_of(align), "{align} {size}");
            free(aligned);
        }
    }
    assert_eq!(told(), []);
}

#[test]
fn what_is_behind_them_traps() {
    let _serial = at_end();
    for size in SIZES {
        let one = block(size);
        let behind = size.max(1).next_multiple_of(ALIGN);
        // SAFETY: the write behind the block is the misuse under test.
        unsafe { store(one.add(behind), 8) };
        let told = only();
        assert_eq!((told.kind, told.base), (MisuseKind::HeapBufferOverflow, one as usize));
        assert_eq!((told.offset, told.size), (behind as isize, size));
        free(one);
        told_nothing_more();
    }
}

#[track_caller]
fn told_nothing_more() {
    assert_eq!(told(), []);
}

#[test]
fn nearer_damage_is_told_as_they_are_freed() {
    let _serial = at_end();
    for (at, kind) in [(100, MisuseKind::HeapBufferOverflow), (-1, MisuseKind::HeapBufferUnderflow)]
    {
        let one = block(100);
        // SAFETY: the byte beside the block is the misuse under test.
        unsafe { one.offset(at).write(1) };
        free(one);
        let told = only();
        assert_eq!((told.kind, told.base, told.offset), (kind, one as usize, at));
    }
}

#[test]
fn accesses_to_freed_ones_have_their_offsets() {
    let _serial = at_end();
    let one = block(100);
    let addr = one as usize;
    free(one);
    assert!(trap::is_stale(addr));
    trap::tell(addr + 8, 4, false, 0x1234);
    let told = only();
    assert_eq!((told.kind, told.base, told.offset), (MisuseKind::UseAfterFreeRead, addr, 8));
    let twice = block(100);
    free(twice);
    free(twice);
    assert_eq!(only().kind, MisuseKind::DoubleFree);
    let other = block(100);
    free(other.wrapping_sub(16));
    assert_eq!(only().kind, MisuseKind::InvalidFree);
    free(other);
}
