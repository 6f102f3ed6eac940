//! The malloc family, without the C names.
//!
//! `site` is the caller's return address (0 unknown); it is kept with the block.
//! Without memory, on overflow and for sizes no address space holds, functions
//! set `errno` to `ENOMEM` and return null; otherwise `errno` stays as it was.
//! All may be called before any constructor ran and after all destructors did,
//! on any thread at any time; inside a signal handler that interrupted one of them
//! only if it is called as `signal.rs` says.

use core::ptr::null_mut;
use core::sync::atomic::{
    Ordering::{Relaxed, SeqCst},
    compiler_fence,
};

use crate::alone;
use crate::class::{LARGEST_SLOT, SMALL_CLASSES, SMALL_LIMIT, of_aligned, of_small, split};
use crate::family::{FAMILY, Family};
use crate::observer::{BlockState, Misuse, MisuseKind, deliver, observer};
use crate::place::{Place, Slot, locate};
use crate::signal::{self, Busy};
use crate::slot::{LIVE, SUSPECT, Word};
use crate::window::{CLASS_SHIFT, base_if_chosen};
use crate::{config, family, huge, large, os, poison, pressure, small, tls, window};

/// No object is larger: `ptrdiff_t` must hold differences inside it.
const MOST: usize = isize::MAX as usize;

fn no_memory() -> *mut u8 {
    os::set_enomem();
    null_mut()
}

/// Allocates a block that is large, or small where some of these lie alone.
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
extern "C" fn malloc_special(size: usize, site: usize) -> *mut u8 {
    if size >= SMALL_LIMIT {
        return malloc_large(size, site);
    }
    match allocate_alone(size, site, false) {
        Some(block) => block,
        None => malloc_small(size, site),
    }
}

#[cold]
#[inline(never)]
extern "C" fn malloc_large(size: usize, site: usize) -> *mut u8 {
    let _busy = Busy::new();
    allocate_large(size, 16, site, false)
}

/// Allocates a small block that lies alone, if that is wanted.
fn allocate_alone(size: usize, site: usize, zero: bool) -> Option<*mut u8> {
    let _busy = Busy::new();
    if signal::is_nested() { None } else { alone::allocate(size, site, zero) }
}

fn allocate_large(size: usize, align: usize, site: usize, zero: bool) -> *mut u8 {
    if size > MOST {
        return no_memory();
    }
    if signal::is_nested() {
        return allocate_nested(size, align, site, zero);
    }
    signal::free_left(small::free_now);
    let is_exact = size >= pressure::EXACT && pressure::is_tight();
    let class = if is_exact { None } else { large::class_for(size, align) };
    class
        .and_then(|class| large::allocate(class, (size, align), site, zero))
        .or_else(|| huge::allocate(size, align, site))
        .or_else(|| if pressure::give_back() { huge::allocate(size, align, site) } else { None })
        .unwrap_or_else(|| {
            // Who asks for more than a slot may only be trying.
            if size < LARGEST_SLOT {
                pressure::refused();
            }
            no_memory()
        })
}

/// Allocates `size` bytes if the calling thread has a slot at hand: [`malloc`]
/// without its slow paths. Null says nothing.
///
/// # Safety
///
/// * Only for functions of the section `deadwalk_heap` (see `signal.rs`), into
///   which it is inlined.
#[inline(always)]
pub unsafe fn at_once(size: usize, site: usize) -> *mut u8 {
    let cache = tls::cache();
    if size >= alone::below() || cache.is_null() {
        return null_mut();
    }
    // SAFETY: the calling thread's cache, and a class of larger slots.
    unsafe { small::bin(cache, of_small(size)).take(size, site) }
}

/// Allocates for a signal handler that interrupted the heap.
#[cold]
fn allocate_nested(size: usize, align: usize, site: usize, zero: bool) -> *mut u8 {
    signal::tell_call(site);
    let wanted = large::class_for(size, align);
    for tries in 0..signal::TRIES {
        let open = wanted.and_then(|class| signal::open_class(class, align));
        let from_class = open.and_then(|class| large::allocate(class, (size, align), site, zero));
        if let Some(block) = from_class {
            return block;
        }
        if huge::TABLE.is_open() {
            return huge::allocate(size, align, site).unwrap_or_else(no_memory);
        }
        // Somebody forks, or is on his way to it.
        signal::pause(tries);
    }
    no_memory()
}

/// Allocates `size` bytes, aligned to 16. A size of 0 gives a block of its own.
///
/// # Safety
///
/// * None beyond C's; marked for symmetry with the family.
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
pub unsafe extern "C" fn malloc(size: usize, site: usize) -> *mut u8 {
    if size >= alone::below() {
        return malloc_special(size, site);
    }
    malloc_small(size, site)
}

/// Allocates a small block.
#[inline(always)]
fn malloc_small(size: usize, site: usize) -> *mut u8 {
    let cache = tls::cache();
    if !cache.is_null() {
        // SAFETY: the calling thread's cache, and a class of larger slots.
        let block = unsafe { small::bin(cache, of_small(size)).take(size, site) };
        if !block.is_null() {
            return block;
        }
    }
    small::malloc_slow(size, site)
}

/// Allocates `count * size` zeroed bytes.
///
/// # Safety
///
/// * None beyond C's.
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
pub unsafe extern "C" fn calloc(count: usize, size: usize, site: usize) -> *mut u8 {
    let Some(size) = count.checked_mul(size) else { return no_memory() };
    if size >= alone::below() {
        return calloc_special(size, site);
    }
    calloc_small(size, site)
}

/// Allocates a small zeroed block.
#[inline(always)]
fn calloc_small(size: usize, site: usize) -> *mut u8 {
    let cache = tls::cache();
    if !cache.is_null() {
        // SAFETY: as in `malloc`; the block has `size` bytes.
        unsafe {
            let block = small::bin(cache, of_small(size)).take(size, site);
            if !block.is_null() {
                block.write_bytes(0, size);
                return block;
            }
        }
    }
    calloc_slow(size, site)
}

/// Allocates a zeroed block that is large, or small where some of these lie alone.
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
extern "C" fn calloc_special(size: usize, site: usize) -> *mut u8 {
    if size >= SMALL_LIMIT {
        return calloc_large(size, site);
    }
    match allocate_alone(size, site, true) {
        Some(block) => block,
        None => calloc_small(size, site),
    }
}

#[cold]
#[inline(never)]
extern "C" fn calloc_large(size: usize, site: usize) -> *mut u8 {
    let _busy = Busy::new();
    allocate_large(size, 16, site, true)
}

#[cold]
#[inline(never)]
extern "C" fn calloc_slow(size: usize, site: usize) -> *mut u8 {
    let got = small::allocate(of_small(size), 16, size, site);
    if !got.block.is_null() && !got.is_zero {
        // SAFETY: the block has `size` bytes.
        unsafe { got.block.write_bytes(0, size) };
    }
    got.block
}

/// Frees a block. Null does nothing; misuse is told and survived.
///
/// # Safety
///
/// * `block` is null or a block of this heap that nobody uses any more.
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
pub unsafe extern "C" fn free(block: *mut u8, site: usize) {
    // SAFETY: passed on.
    unsafe { small::free(block, site) }
}

/// Frees a small block of that size. False, and nothing was done, if it is not one
/// without anything unusual, or the quarantine is full: [`free`] knows what to do.
///
/// # Safety
///
/// * As for [`free`].
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
pub unsafe extern "C" fn free_sized(block: *mut u8, size: usize, site: usize) -> bool {
    // SAFETY: passed on.
    unsafe { small::free_at_once(block, site, |word| word.is_live_of(size)) }.is_none()
}

/// Allocates `size` bytes at a multiple of `align`, any power of two. For an
/// `align` that is none, sets `errno` to `EINVAL` and returns null.
///
/// # Safety
///
/// * None beyond C's.
pub unsafe extern "C" fn memalign(align: usize, size: usize, site: usize) -> *mut u8 {
    if !align.is_power_of_two() {
        // SAFETY: libc guarantees a valid pointer to this thread's errno.
        unsafe { *libc::__errno_location() = libc::EINVAL };
        return null_mut();
    }
    if align <= 16 {
        // SAFETY: passed on.
        return unsafe { malloc(size, site) };
    }
    if size > MOST || align > MOST {
        return no_memory();
    }
    let _busy = Busy::new();
    let may_lie_alone = size < SMALL_LIMIT && size >= alone::below() && alone::may_align(align);
    if may_lie_alone && let Some(block) = allocate_alone(size, site, false) {
        return block;
    }
    match of_aligned(size, align) {
        Some(class) if class < SMALL_CLASSES => small::allocate(class, align, size, site).block,
        _ => allocate_large(size, align, site, false),
    }
}

/// Bytes asked for; 0 for null and for what is no live block of this heap.
///
/// # Safety
///
/// * None; no memory of the block is touched.
#[inline(never)]
#[unsafe(link_section = "deadwalk_heap")]
pub unsafe extern "C" fn usable_size(block: *mut u8) -> usize {
    // Some programs ask for every block they get and free.
    let class = (block as usize).wrapping_sub(base_if_chosen()) >> CLASS_SHIFT;
    let cache = tls::cache();
    if class < SMALL_CLASSES && !cache.is_null() {
        // SAFETY: the calling thread's cache; slots below the limit have metadata.
        unsafe {
            let bin = small::bin(cache, class);
            let (index, _) = split((block as usize).wrapping_sub(bin.base), bin.inverse);
            if index < bin.limit.load(Relaxed) as usize {
                let word = bin.meta_of(index).load();
                if word.state() == LIVE {
                    return word.size();
                }
            }
        }
    }
    usable_size_slow(block)
}

#[cold]
#[inline(never)]
extern "C" fn usable_size_slow(block: *mut u8) -> usize {
    match locate(block as usize) {
        Place::In(slot, _) if slot.is_small() => match slot.meta().load() {
            word if word.state() == LIVE => word.size(),
            _ => 0,
        },
        Place::Foreign if !block.is_null() => {
            observer().map_or(0, |observer| observer.foreign_usable_size(block as usize))
        }
        Place::Foreign | Place::Nowhere => 0,
        Place::In(..) | Place::Huge => crate::lookup(block as usize)
            .filter(|block| block.state == BlockState::Live)
            .map_or(0, |block| block.size),
    }
}

/// Whether an address lies where this heap keeps its blocks: a range test.
pub fn owns(addr: usize) -> bool {
    window::contains(addr)
}

/// Changes a block's size, moving it if it must. `realloc(p, 0)` frees and
/// returns null, as glibc's does. A block that was freed, or a pointer that is
/// none: told, and null with `ENOMEM`.
///
/// # Safety
///
/// * `block` is null or a block of this heap; if the result is not null (or
///   `size` is 0) it must not be used any more.
pub unsafe extern "C" fn realloc(block: *mut u8, size: usize, site: usize) -> *mut u8 {
    // SAFETY: passed on; `copy` gets a live block of `old` bytes.
    unsafe {
        if block.is_null() {
            return malloc(size, site);
        }
        if size == 0 {
            free(block, site);
            return null_mut();
        }
        if size > MOST {
            return no_memory();
        }
        let addr = block as usize;
        let _busy = Busy::new();
        if signal::is_nested() {
            signal::tell_call(site);
            return realloc_nested(addr, size, site);
        }
        match locate(addr) {
            Place::Foreign => realloc_foreign(addr, size, site),
            Place::Nowhere => {
                deliver(&Misuse::of(MisuseKind::InvalidFree, addr, None, site));
                no_memory()
            }
            Place::Huge => realloc_huge(addr, size, site),
            Place::In(slot, is_start) if slot.is_small() => {
                if !small::check_live(slot, is_start, addr, site) {
                    return no_memory();
                }
                if slot.meta().load().flags() & FAMILY != 0 {
                    family::leave(addr, Family::Malloc, None, site);
                }
                let word = slot.meta().load();
                if resize_small(slot, word, size, site) {
                    return block;
                }
                copy(block, word.size(), size, site)
            }
            Place::In(slot, is_start) => {
                if !large::check_live(slot, is_start, addr, site) {
                    return no_memory();
                }
                if large::meta(slot).flags() & FAMILY != 0 {
                    family::leave(addr, Family::Malloc, None, site);
                }
                let old = large::meta(slot).size();
                if size >= SMALL_LIMIT && large::resize(slot, size, site) {
                    return block;
                }
                copy(block, old, size, site)
            }
        }
    }
}

/// Reallocates for a signal handler that interrupted the heap: always to another
/// block.
#[cold]
fn realloc_nested(addr: usize, size: usize, site: usize) -> *mut u8 {
    let old = match locate(addr) {
        Place::Foreign => return realloc_foreign(addr, size, site),
        Place::Huge if !huge::TABLE.is_open() => return no_memory(),
        _ => crate::lookup(addr),
    };
    match old.filter(|old| old.base == addr && old.state == BlockState::Live) {
        // SAFETY: a live block of that size, given up by the caller.
        Some(old) => unsafe { copy(addr as *mut u8, old.size, size, site) },
        None => {
            small::free_slow(addr as *mut u8, site);
            no_memory()
        }
    }
}

/// A block for one that grew to `size` bytes. What grows goes on growing, so a
/// large one gets a roomy slot.
fn grown(size: usize, site: usize) -> Option<*mut u8> {
    if pressure::is_tight() {
        return None;
    }
    large::allocate(large::roomy_class(size)?, (size, 16), site, false)
}

unsafe fn copy(block: *mut u8, old: usize, size: usize, site: usize) -> *mut u8 {
    // SAFETY: the caller's block has `old` bytes and is given up.
    unsafe {
        let grows = size > old && size >= SMALL_LIMIT && !signal::is_nested();
        let roomy = if grows { grown(size, site) } else { None };
        let new = roomy.unwrap_or_else(|| malloc(size, site));
        if !new.is_null() {
            new.copy_from_nonoverlapping(block, old.min(size));
            if roomy.is_some() {
                large::go_on(block as usize, new as usize);
            }
            free(block, site);
        }
        new
    }
}

/// Resizes in the slot if the new size wastes no more than a quarter of it.
fn resize_small(slot: Slot, word: Word, size: usize, site: usize) -> bool {
    let (bytes, old) = (slot.bytes(), word.size());
    if size >= bytes || size + 16 < bytes - bytes / 4 {
        return false;
    }
    let base = slot.base() as *mut u8;
    // SAFETY: the block is live and its owner called us.
    unsafe {
        if config::poisons() && !poison::canary_holds(base, old, bytes) {
            // Moved: the old slot is told of and retired as it is freed.
            return false;
        }
        poison::write_canary(base, size, (old | 7) + 1, bytes);
    }
    // Without the mark of a sweep that looks at the old end: see `sweep`. The
    // program writes there once the store is made.
    let flags = word.flags() & !SUSPECT;
    slot.meta().store(Word(Word::live(size, site).0 & !0xff | flags as u64));
    compiler_fence(SeqCst);
    true
}

#[cold]
unsafe fn realloc_huge(addr: usize, size: usize, site: usize) -> *mut u8 {
    let Some(old) = huge::check_live(addr, site) else { return no_memory() };
    family::leave(addr, Family::Malloc, None, site);
    let is_exact = size >= pressure::EXACT && pressure::is_tight();
    let may_resize = (size >= LARGEST_SLOT || is_exact) && !old.watched;
    if let Some(new) = may_resize.then(|| huge::resize(addr, size, site)).flatten() {
        return new;
    }
    // SAFETY: a live block of that size.
    unsafe { copy(addr as *mut u8, old.size, size, site) }
}

#[cold]
fn realloc_foreign(addr: usize, size: usize, site: usize) -> *mut u8 {
    if let Some(new) = observer().and_then(|observer| observer.foreign_realloc(addr, size, site)) {
        return new;
    }
    deliver(&Misuse::of(MisuseKind::InvalidFree, addr, None, site));
    no_memory()
}

const _: () = assert!(SMALL_LIMIT < 1 << 24, "a metadata word keeps 24 bits of size");
