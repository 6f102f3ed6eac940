//! The heap alone as a library to preload: no detector, no record. What has no
//! option in deadwalk can be switched off here, to see what it costs: `HEAP_PARTS`
//! names what is on, of `poison` and `guard`.
//!
//! For correct C programs only: nobody is told of a misuse.

use deadwalk_alloc::{Config, configure, heap, register_fork};
use std::ffi::{c_int, c_void};

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

extern "C" fn constructor() {
    let parts = std::env::var("HEAP_PARTS").unwrap_or_default();
    let is_on = |name| parts.split(',').any(|part| part == name);
    configure(Config { poison: is_on("poison"), guard: is_on("guard"), ..Config::default() });
    register_fork();
}

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: no precondition.
    unsafe { heap::malloc(size, 0) }.cast()
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    // SAFETY: no precondition.
    unsafe { heap::calloc(count, size, 0) }.cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the program's block, which it gives up.
    unsafe { heap::realloc(block.cast(), size, 0) }.cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: the program's block, which it gives up.
    unsafe { heap::free(block.cast(), 0) }
}

#[unsafe(no_mangle)]
extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    // SAFETY: no precondition that C's function has not.
    unsafe { heap::memalign(align, size, 0) }.cast()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> c_int {
    // SAFETY: no precondition that C's function has not.
    let block = unsafe { heap::memalign(align, size, 0) };
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's variable.
    unsafe { to.write(block.cast()) };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> usize {
    // SAFETY: a live block of the program's, or null.
    unsafe { heap::usable_size(block.cast()) }
}
