//! Which thread has which cache: caches are taken by threads that begin, and go back
//! to the idle list when they end.

use core::num::NonZeroUsize;
use core::ptr::null_mut;

use once_cell::race::OnceNonZeroUsize;

use super::Cache;
use super::build::{HEAD, build, footprint};
use crate::class::SMALL_CLASSES;
use crate::lock::Lock;
use crate::signal::Busy;
use crate::sync::{AtomicPtr, Ordering::*, shared_static};
use crate::{config, counters, os, poison, signal, tls};

shared_static! {
    /// Caches without a thread; the registry lock.
    pub IDLE: Lock<Idle> = Lock::held_over_fork(Idle(null_mut(), 0))
}
/// Head of the list of idle caches, and how many of them were kept full.
pub struct Idle(pub(super) *mut Cache, usize);
/// Idle caches that keep their quarantine. A handler's thread lives for one
/// free; drained with it, the block would be reused at once, and a second free
/// of it would hit somebody else's. Beyond these, ending threads give all back.
const KEPT_FULL: usize = 16;
// SAFETY: the caches on the list belong to whoever holds the lock.
unsafe impl Send for Idle {}

shared_static! {
    pub(super) ALL: AtomicPtr<Cache> = AtomicPtr::new(null_mut())
}
/// The pthread key plus one.
static KEY: OnceNonZeroUsize = OnceNonZeroUsize::new();

/// All caches that ever were.
pub fn all() -> impl Iterator<Item = &'static Cache> {
    let mut next = ALL.load(Acquire);
    core::iter::from_fn(move || {
        // SAFETY: caches are never unmapped, and linked once they are complete.
        let cache = unsafe { next.as_ref() }?;
        next = cache.next_of_all;
        Some(cache)
    })
}

/// The cache at an address that [`Cache::addr`] gave, or the newest for 0.
pub fn at_or_newest(addr: usize) -> Option<&'static Cache> {
    let first = if addr == 0 { ALL.load(Acquire) } else { addr as *mut Cache };
    // SAFETY: as in `all`.
    unsafe { first.as_ref() }
}

/// The calling thread's cache; makes one. Null if the thread is ending or there
/// is no memory: then it works on the depots.
pub fn current() -> *mut Cache {
    let cache = tls::cache();
    if cache.is_null() { adopt() } else { cache }
}

#[cold]
fn adopt() -> *mut Cache {
    if tls::is_ending() || signal::is_nested() {
        return null_mut();
    }
    let cache = idle_or_new();
    if cache.is_null() {
        return cache;
    }
    // SAFETY: from here on the cache is this thread's.
    unsafe { (*cache).in_use.store(true, Relaxed) };
    poison::prepare();
    // First the word: setting a key's value may allocate.
    tls::set_cache(cache);
    if !cfg!(loom)
        && let Some(key) = key()
    {
        // SAFETY: a valid key. Without memory for the value the cache outlives
        // its thread unused, which is all the harm there is.
        unsafe { libc::pthread_setspecific(key, cache.cast()) };
    }
    cache
}

fn key() -> Option<libc::pthread_key_t> {
    crate::fork::register_fork();
    let made = KEY.get_or_try_init(|| {
        let mut key = 0;
        // SAFETY: a valid place for the key and a function of the right type.
        match unsafe { libc::pthread_key_create(&mut key, Some(thread_ends)) } {
            0 => NonZeroUsize::new(key as usize + 1).ok_or(()),
            _ => Err(()),
        }
    });
    made.ok().map(|key| (key.get() - 1) as libc::pthread_key_t)
}

unsafe extern "C" fn thread_ends(cache: *mut libc::c_void) {
    let cache = cache.cast::<Cache>();
    if tls::cache() != cache {
        return;
    }
    let _busy = Busy::quiet();
    tls::set_ending();
    tls::set_cache(null_mut());
    // SAFETY: the cache was this thread's, and no longer is reachable as such.
    unsafe {
        let full = {
            let mut idle = IDLE.lock();
            let full = idle.1 < KEPT_FULL;
            idle.1 += full as usize;
            full
        };
        if full { park(cache, true) } else { retire(cache) }
    };
}

/// Drains the calling thread's cache and forgets it; the next allocation makes
/// one with the present settings.
pub fn discard_current() {
    let cache = tls::cache();
    if !cache.is_null() {
        let _busy = Busy::quiet();
        tls::set_cache(null_mut());
        // SAFETY: as in `thread_ends`.
        unsafe { retire(cache) };
    }
}

/// Drains a cache and puts it on the idle list.
///
/// # Safety
///
/// * The caller owns the cache and does not use it afterwards.
unsafe fn retire(cache: *mut Cache) {
    // SAFETY: the caller owns it. No reference is held over `tell_pending`.
    unsafe {
        for class in (0..SMALL_CLASSES).filter(|&class| (*cache).bins[class].is_used()) {
            (*cache).drain(class);
            crate::report::tell_pending(cache);
        }
        // Magazines and rings are empty. Who still looks at them finds zeros there
        // or, if the kernel refuses, what is no longer in them.
        let start = (cache as usize + HEAD).next_multiple_of(os::PAGE);
        let end = (cache as usize + footprint((*cache).quarantine_bytes)) & !(os::PAGE - 1);
        let _ = !cfg!(loom) && os::discard(start, end - start);
        park(cache, false);
    }
}

/// Puts a cache on the idle list; `full`: with what it holds.
///
/// # Safety
///
/// * The caller owns the cache and does not use it afterwards.
unsafe fn park(cache: *mut Cache, full: bool) {
    // SAFETY: the caller owns it, until the list's lock is released.
    unsafe {
        counters::publish(&*cache);
        (*cache).is_full = full;
        (*cache).in_use.store(false, Release);
        let mut idle = IDLE.lock();
        (*cache).next_free = idle.0;
        idle.0 = cache;
    }
}

fn idle_or_new() -> *mut Cache {
    let wanted = config::quarantine_bytes();
    {
        let mut idle = IDLE.lock();
        let cache = idle.0;
        // SAFETY: caches on the list are the lock holder's.
        if !cache.is_null() && unsafe { (*cache).quarantine_bytes == wanted } {
            // SAFETY: as above.
            unsafe {
                idle.0 = (*cache).next_free;
                idle.1 -= (*cache).is_full as usize;
                (*cache).is_full = false;
            }
            return cache;
        }
    }
    let cache = build(wanted);
    if !cache.is_null() {
        let mut first = ALL.load(Relaxed);
        loop {
            // SAFETY: not linked yet, so still this thread's alone.
            unsafe { (*cache).next_of_all = first };
            match ALL.compare_exchange_weak(first, cache, Release, Relaxed) {
                Ok(_) => break,
                Err(now) => first = now,
            }
        }
    }
    cache
}
