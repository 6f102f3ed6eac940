//! Our own heap: everything that Rust allocates inside the library.
//!
//! Apart from the heap being watched, so that nothing we do re-enters the
//! exported malloc or shows in its statistics.

use std::alloc::{GlobalAlloc, Layout};

use dlmalloc::GlobalDlmalloc;

use crate::collector;

#[global_allocator]
static ARENA: Arena = Arena;

/// dlmalloc, but for the collector's end: where Rust would abort the process
/// for want of memory (a limit of the host's), that thread stops instead.
struct Arena;

fn checked(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        collector::stop_if_collector();
    }
    block
}

// SAFETY: every call is passed on to dlmalloc as it is, with the caller's promises.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        checked(unsafe { GlobalDlmalloc.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        checked(unsafe { GlobalDlmalloc.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        checked(unsafe { GlobalDlmalloc.realloc(block, layout, size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { GlobalDlmalloc.dealloc(block, layout) }
    }
}

/// Is there room for what the constructor needs? Where there is none, going on
/// would abort the process.
pub fn has_room() -> bool {
    Vec::<u8>::new().try_reserve_exact(48 << 10).is_ok()
}

/// Keeps the arena usable in a fork child of a threaded process.
pub fn survive_fork() {
    // SAFETY: called once from the constructor, before there are threads of
    // ours; it registers fork handlers that hold the arena's lock over fork.
    unsafe { dlmalloc::enable_alloc_after_fork() };
}
