//! The exported malloc family.
//!
//! Each export is a naked thunk that hands the caller's return address on as
//! the last argument, which costs one load. Contexts: everywhere that libc's
//! function may run, and before any constructor.

use deadwalk_alloc::family::{self, Family};
use deadwalk_alloc::heap;

export_with_site!("rsi", heap::malloc, malloc, __libc_malloc);
export_with_site!("rsi", heap::free, free, cfree, __libc_free);
export_with_site!("rdx", heap::calloc, calloc, __libc_calloc);
export_with_site!("rdx", heap::realloc, realloc, __libc_realloc);
export_with_site!("rdx", aligned, memalign, __libc_memalign);
export_with_site!("rdx", heap::memalign, aligned_alloc);
export_with_site!("rcx", reallocarray_at, reallocarray, __libc_reallocarray);
export_with_site!("rcx", posix_memalign_at, posix_memalign, __posix_memalign);
export_with_site!("rsi", valloc_at, valloc, __libc_valloc);
export_with_site!("rsi", pvalloc_at, pvalloc, __libc_pvalloc);
export_with_site!("rdx", free_sized_at, free_sized);
export_with_site!("rcx", free_aligned_sized_at, free_aligned_sized);
export_with_site!("rsi", heap::usable_size, malloc_usable_size);

fn page() -> usize {
    // SAFETY: reads a number from the auxiliary vector.
    let page = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
    if page.is_power_of_two() { page } else { 4096 }
}

fn no_memory() -> *mut u8 {
    // SAFETY: errno is thread-local and always valid.
    unsafe { *libc::__errno_location() = libc::ENOMEM };
    core::ptr::null_mut()
}

/// glibc's memalign rounds an alignment up to a power of two. Its aligned_alloc
/// did until 2.38 and refuses now, as C17 has it and `heap::memalign` does.
unsafe extern "C" fn aligned(align: usize, size: usize, site: usize) -> *mut u8 {
    match align.max(1).checked_next_power_of_two() {
        // SAFETY: the alignment is a power of two.
        Some(align) if align <= 1 << 46 => unsafe { heap::memalign(align, size, site) },
        _ => {
            // SAFETY: errno is thread-local and always valid.
            unsafe { *libc::__errno_location() = libc::EINVAL };
            core::ptr::null_mut()
        }
    }
}

unsafe extern "C" fn reallocarray_at(p: *mut u8, n: usize, size: usize, site: usize) -> *mut u8 {
    match n.checked_mul(size) {
        // SAFETY: the caller's promise about `p`.
        Some(bytes) => unsafe { heap::realloc(p, bytes, site) },
        None => no_memory(),
    }
}

unsafe extern "C" fn posix_memalign_at(
    out: *mut *mut u8,
    align: usize,
    size: usize,
    site: usize,
) -> i32 {
    if !align.is_power_of_two() || align < size_of::<usize>() {
        return libc::EINVAL;
    }
    // SAFETY: errno is thread-local and always valid; the alignment is a power
    // of two; `out` is writable by the caller's promise. posix_memalign leaves
    // errno alone.
    unsafe {
        let errno = *libc::__errno_location();
        let p = heap::memalign(align, size, site);
        *libc::__errno_location() = errno;
        if p.is_null() {
            return libc::ENOMEM;
        }
        *out = p;
    }
    0
}

unsafe extern "C" fn valloc_at(size: usize, site: usize) -> *mut u8 {
    // SAFETY: a page's size is a power of two.
    unsafe { heap::memalign(page(), size, site) }
}

unsafe extern "C" fn pvalloc_at(size: usize, site: usize) -> *mut u8 {
    match size.checked_next_multiple_of(page()) {
        // SAFETY: a page's size is a power of two.
        Some(size) => unsafe { heap::memalign(page(), size, site) },
        None => no_memory(),
    }
}

unsafe extern "C" fn free_sized_at(p: *mut u8, size: usize, site: usize) {
    // SAFETY: the caller's promise about `p`.
    unsafe { family::free(p, Family::Malloc, Some(size), site) }
}

unsafe extern "C" fn free_aligned_sized_at(p: *mut u8, _align: usize, size: usize, site: usize) {
    // SAFETY: the caller's promise about `p`.
    unsafe { family::free(p, Family::Malloc, Some(size), site) }
}
