//! Guard pages by mprotect, as on kernels without guards of their own.

mod common;
#[path = "common/segv.rs"]
mod segv;

use common::told;
use deadwalk_alloc::{Config, MisuseKind, configure, heap, trim, use_mprotect};
use segv::*;

const PAGE: usize = 4096;

#[test]
fn guards_by_mprotect_are_limited_in_number() {
    let _serial = common::begin();
    use_mprotect();
    configure(Config { guard: true, ..Config::default() });
    install();
    // SAFETY: the misuses are under test.
    unsafe {
        // Protected memory keeps its content: it must not come back.
        for round in 0..300_usize {
            let size = 33_000 + round * 7919 % 170_000;
            let block = heap::calloc(1, size, 0);
            assert!((0..size).all(|at| *block.add(at) == 0), "round {round}");
            assert!(!is_readable(block.add(size.next_multiple_of(PAGE))));
            block.write_bytes(0xee, size);
            heap::free(block, 0);
            if round % 7 == 0 {
                trim();
            }
        }
        let before = mappings();
        let blocks: Vec<_> = (0..12_000).map(|_| heap::malloc(200_704, 5)).collect();
        assert!(mappings() < before + 17_000, "{}", mappings());
        let guarded = blocks.iter().filter(|block| !is_readable(block.add(200_704))).count();
        assert!((8000..=8192).contains(&guarded), "{guarded}");
        // Without a guard the canary tells.
        let bare = blocks[11_999];
        store(bare.add(200_704), 32);
        assert_eq!((told(), traps()), (vec![], 0));
        heap::free(bare, 0);
        let misuse = told();
        assert_eq!((misuse.len(), misuse[0].kind), (1, MisuseKind::HeapBufferOverflow));
        assert_eq!((misuse[0].offset, misuse[0].len), (200_704, 32));

        store(blocks[0].add(200_704), 1);
        let misuse = told();
        assert_eq!((misuse.len(), misuse[0].kind), (1, MisuseKind::HeapBufferOverflow));
        assert!(misuse[0].in_signal);

        blocks[..11_999].iter().for_each(|&block| heap::free(block, 0));
        trim();
        assert_eq!(told(), []);
        assert_eq!(blocks[7].read_volatile(), 0x6b);
        assert_eq!(told()[0].kind, MisuseKind::UseAfterFreeRead);
    }
    assert_eq!(told(), []);
}
