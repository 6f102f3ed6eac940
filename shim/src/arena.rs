//! Our own heap: everything that Rust allocates inside the library.
//!
//! Apart from the heap being watched, so that nothing we do re-enters the
//! exported malloc or shows in its statistics.

#[global_allocator]
static ARENA: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Keeps the arena usable in a fork child of a threaded process.
pub fn survive_fork() {
    // SAFETY: called once from the constructor, before there are threads of
    // ours; it registers fork handlers that hold the arena's lock over fork.
    unsafe { dlmalloc::enable_alloc_after_fork() };
}
