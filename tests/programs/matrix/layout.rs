//! Rust blocks given back, or resized, with another layout than they were
//! allocated with. Its heap is an object, `PoisonAlloc`, which tells what it
//! finds on stderr, one kind a line; with `HEAP=system` it is std's.
//!
//! `matrix_layout CASE SIZE bad|clean`, as the C programs of the matrix.

use deadwalk_alloc::{HeapObserver, PoisonAlloc};
use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;

const STATUS: u8 = 7;
/// No block of either heap lies at a multiple of it: of an alignment, only what
/// the address shows is known.
const WRONG_ALIGN: usize = 1 << 46;

struct Teller;

impl HeapObserver for Teller {
    fn freeing(&self, _block: &deadwalk_alloc::Block, _site: usize) {}

    fn misuse(&self, misuse: &deadwalk_alloc::Misuse) {
        eprintln!("{} of {} bytes", misuse.kind.name(), misuse.size);
    }
}

fn main() -> ExitCode {
    static TELLER: Teller = Teller;
    deadwalk_alloc::set_observer(&TELLER);
    let heap: &dyn GlobalAlloc = match std::env::var("HEAP").as_deref() {
        Ok("system") => &System,
        _ => &PoisonAlloc,
    };
    let words: Vec<String> = std::env::args().collect();
    let [_, case, size, twin, ..] = &words[..] else { return ExitCode::from(2) };
    let size: usize = size.parse().expect("a size");
    let right = Layout::from_size_align(size, 8).expect("a layout");
    let wrong = match case.as_str() {
        "dealloc_align" => Layout::from_size_align(size, WRONG_ALIGN).expect("a layout"),
        _ => Layout::from_size_align(size * 2, 8).expect("a layout"),
    };
    let given = if twin == "bad" { wrong } else { right };
    // SAFETY: the layout has a size.
    let block = unsafe { heap.alloc(right) };
    assert!(!block.is_null());
    // SAFETY: the block is given up or moved once; in the bad twin with a wrong
    // layout, which is the bug on show: both heaps know the block's own.
    unsafe {
        match case.as_str() {
            "realloc_size" => heap.dealloc(heap.realloc(block, given, size), right),
            _ => heap.dealloc(block, given),
        }
    }
    // What is told later, of the heap's own accord.
    deadwalk_alloc::sweep();
    ExitCode::from(STATUS)
}
