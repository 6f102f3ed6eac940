//! The heap as Rust's `#[global_allocator]`.

use core::alloc::{GlobalAlloc, Layout};

use crate::observer::{BlockState, Misuse, MisuseKind, deliver};
use crate::{fork, heap, lookup};

/// A poisoning, quarantining global allocator.
///
/// Finds in unsafe code: writes to freed memory, double and invalid frees,
/// overflows, and `dealloc` or `realloc` with another layout than `alloc`'s.
///
/// ```
/// #[global_allocator]
/// static HEAP: deadwalk_alloc::PoisonAlloc = deadwalk_alloc::PoisonAlloc;
///
/// let words = vec!["late", "timer"];
/// assert!(deadwalk_alloc::lookup(words.as_ptr() as usize).is_some());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PoisonAlloc;

/// Alignment every block has.
const NATURAL_ALIGN: usize = 16;

/// Tells if a live block starts at `addr` and `layout` is not what it was
/// allocated with. Of the alignment, only what the address shows is known.
#[cold]
#[inline(never)]
fn check_layout(addr: usize, layout: Layout) {
    let Some(block) = lookup(addr) else { return };
    if block.base != addr || block.state != BlockState::Live {
        return;
    }
    if block.size != layout.size() || !addr.is_multiple_of(layout.align()) {
        deliver(&Misuse::of(MisuseKind::LayoutMismatch, addr, Some(block), 0));
    }
}

// SAFETY: blocks are as large and aligned as asked, never handed out twice, and
// nothing here unwinds.
unsafe impl GlobalAlloc for PoisonAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        fork::register_fork();
        // SAFETY: no precondition of the heap's is left.
        unsafe {
            match layout.align() <= NATURAL_ALIGN {
                true => heap::malloc(layout.size(), 0),
                false => heap::memalign(layout.align(), layout.size(), 0),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        fork::register_fork();
        // SAFETY: as above; an aligned block has `size` bytes.
        unsafe {
            if layout.align() <= NATURAL_ALIGN {
                return heap::calloc(1, layout.size(), 0);
            }
            let block = heap::memalign(layout.align(), layout.size(), 0);
            if !block.is_null() {
                block.write_bytes(0, layout.size());
            }
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives the block up.
        unsafe {
            let is_aligned = (block as usize).is_multiple_of(layout.align());
            if !is_aligned || !heap::free_sized(block, layout.size(), 0) {
                check_layout(block as usize, layout);
                heap::free(block, 0);
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's block; of two layouts the smaller size is copied.
        unsafe {
            let is_aligned = (block as usize).is_multiple_of(layout.align());
            if !is_aligned || heap::usable_size(block) != layout.size() {
                check_layout(block as usize, layout);
            }
            if layout.align() <= NATURAL_ALIGN {
                return heap::realloc(block, size, 0);
            }
            let new = heap::memalign(layout.align(), size, 0);
            if !new.is_null() {
                let old = heap::usable_size(block);
                new.copy_from_nonoverlapping(block, old.min(size));
                heap::free(block, 0);
            }
            new
        }
    }
}
