//! The exports of `deadwalk/slab.h`: kmalloc and object caches.
//!
//! Every object is a block of the watched heap of its own, so that a timer in
//! it, its allocation and its free are told as for malloc. Fresh memory is
//! filled with [`POISON_INUSE`]: an object that nobody initialised looks it.
//!
//! Contexts: as malloc.

use core::ffi::{c_char, c_ulong};

use deadwalk_alloc::{BlockState, heap};

export_with_site!("rdx", kmalloc, deadwalk_kmalloc);
export_with_site!("rcx", kmalloc_array, deadwalk_kmalloc_array);
export_with_site!("rdx", kzalloc, deadwalk_kzalloc);
export_with_site!("rcx", kcalloc, deadwalk_kcalloc);
export_with_site!("rcx", krealloc, deadwalk_krealloc);
export_with_site!("rsi", heap::free, deadwalk_kfree);
export_with_site!("rsi", kfree_sensitive, deadwalk_kfree_sensitive);
export_with_site!("r9", kmem_cache_create, deadwalk_kmem_cache_create);
export_with_site!("rdx", kmem_cache_alloc, deadwalk_kmem_cache_alloc);
export_with_site!("rdx", kmem_cache_zalloc, deadwalk_kmem_cache_zalloc);
export_with_site!("rdx", kmem_cache_free, deadwalk_kmem_cache_free);
export_with_site!("rsi", kmem_cache_destroy, deadwalk_kmem_cache_destroy);

/// What allocated memory holds that was never written.
const POISON_INUSE: u8 = 0x5a;

/// Of the flags that say how to allocate the only one that counts.
const GFP_ZERO: u32 = 0x100;

/// Of the flags of a cache.
const SLAB_HWCACHE_ALIGN: c_ulong = 0x2000;
const CACHE_LINE: usize = 64;

fn fresh_byte(gfp: u32) -> u8 {
    if gfp & GFP_ZERO != 0 { 0 } else { POISON_INUSE }
}

unsafe extern "C" fn kmalloc(size: usize, gfp: u32, site: usize) -> *mut u8 {
    // SAFETY: what is not null has `size` bytes.
    unsafe {
        if gfp & GFP_ZERO != 0 {
            return heap::calloc(1, size, site);
        }
        let block = heap::malloc(size, site);
        if !block.is_null() {
            block.write_bytes(POISON_INUSE, size);
        }
        block
    }
}

unsafe extern "C" fn kmalloc_array(n: usize, size: usize, gfp: u32, site: usize) -> *mut u8 {
    // Too much for a number is too much for the heap.
    // SAFETY: none needed.
    unsafe { kmalloc(n.saturating_mul(size), gfp, site) }
}

unsafe extern "C" fn kzalloc(size: usize, gfp: u32, site: usize) -> *mut u8 {
    // SAFETY: none needed.
    unsafe { kmalloc(size, gfp | GFP_ZERO, site) }
}

unsafe extern "C" fn kcalloc(n: usize, size: usize, gfp: u32, site: usize) -> *mut u8 {
    // SAFETY: none needed.
    unsafe { kmalloc_array(n, size, gfp | GFP_ZERO, site) }
}

unsafe extern "C" fn krealloc(block: *mut u8, size: usize, gfp: u32, site: usize) -> *mut u8 {
    // SAFETY: the caller's promise about `block`; a new block has `size` bytes.
    unsafe {
        if block.is_null() {
            return kmalloc(size, gfp, site);
        }
        if size == 0 {
            heap::free(block, site);
            return kmalloc(0, gfp, site);
        }
        let old = heap::usable_size(block);
        let new = heap::realloc(block, size, site);
        if !new.is_null() && size > old {
            new.add(old).write_bytes(fresh_byte(gfp), size - old);
        }
        new
    }
}

unsafe extern "C" fn kfree_sensitive(block: *mut u8, site: usize) {
    // SAFETY: a live block has that many bytes, anything else none.
    unsafe {
        block.write_bytes(0, heap::usable_size(block));
        heap::free(block, site);
    }
}

/// `struct kmem_cache`, opaque to programs: a block of the watched heap, so that
/// a cache that was destroyed is told like any other block.
struct Cache {
    /// [`ALIVE`]; anything in what is no cache.
    state: usize,
    size: usize,
    align: usize,
    constructor: Option<Constructor>,
}

const ALIVE: usize = 0x6b6d_656d_2063_6163;

/// Up to 2.6 a constructor got the cache and a flag too, and those arguments
/// are no harm to a later one.
type Constructor = unsafe extern "C-unwind" fn(*mut u8, *mut Cache, c_ulong);
const SLAB_CTOR_CONSTRUCTOR: c_ulong = 1;

unsafe extern "C" fn kmem_cache_create(
    _name: *const c_char,
    size: usize,
    align: usize,
    flags: c_ulong,
    constructor: Option<Constructor>,
    site: usize,
) -> *mut Cache {
    let line = if flags & SLAB_HWCACHE_ALIGN != 0 { CACHE_LINE } else { 1 };
    let Some(align) = align.max(line).checked_next_power_of_two() else {
        return core::ptr::null_mut();
    };
    // SAFETY: a block of this heap is aligned to 16, and this one has room.
    unsafe {
        let cache = heap::malloc(size_of::<Cache>(), site).cast::<Cache>();
        if !cache.is_null() {
            cache.write(Cache { state: ALIVE, size, align, constructor });
        }
        cache
    }
}

/// An object, before it is constructed; null of a cache that is none.
unsafe fn allocate(cache: *mut Cache, gfp: u32, site: usize) -> *mut u8 {
    // SAFETY: null, or a cache's address by the caller's promise; a block that
    // is not null has `size` bytes.
    unsafe {
        // Looked up first: a block that was freed traps.
        let block = deadwalk_alloc::lookup(cache as usize);
        let is_live = block.is_some_and(|block| block.state == BlockState::Live);
        let Some(cache) = cache.as_ref().filter(|cache| is_live && cache.state == ALIVE) else {
            return core::ptr::null_mut();
        };
        let object = heap::memalign(cache.align, cache.size, site);
        if !object.is_null() {
            object.write_bytes(fresh_byte(gfp), cache.size);
        }
        object
    }
}

unsafe extern "C-unwind" fn kmem_cache_alloc(cache: *mut Cache, gfp: u32, site: usize) -> *mut u8 {
    // SAFETY: the caller's promise about the cache; the constructor is the
    // program's own, and gets what it was made for.
    unsafe {
        let object = allocate(cache, gfp, site);
        if !object.is_null()
            && let Some(constructor) = (*cache).constructor
        {
            constructor(object, cache, SLAB_CTOR_CONSTRUCTOR);
        }
        object
    }
}

unsafe extern "C-unwind" fn kmem_cache_zalloc(cache: *mut Cache, gfp: u32, site: usize) -> *mut u8 {
    // SAFETY: passed on.
    unsafe { kmem_cache_alloc(cache, gfp | GFP_ZERO, site) }
}

unsafe extern "C" fn kmem_cache_free(_cache: *mut Cache, object: *mut u8, site: usize) {
    // SAFETY: the caller's promise about the object.
    unsafe { heap::free(object, site) }
}

unsafe extern "C" fn kmem_cache_destroy(cache: *mut Cache, site: usize) {
    // SAFETY: the caller's promise about the cache.
    unsafe { heap::free(cache.cast(), site) }
}
