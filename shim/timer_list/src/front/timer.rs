//! The safe timer: it owns its storage and its handler.
//!
//! # Ground rules
//!
//! * The storage is a block of its own that does not move. The engine and the timer's
//!   owner point to it, and the owner frees it, when the engine does not know it any
//!   more: it was shut down and its handler has ended.
//! * A handler runs on one thread at a time (the engine puts off a timer whose handler
//!   runs), so it has its closure to itself.
//! * An owner that is dropped by the handler itself cannot wait for it: the block is
//!   freed behind the handler, by its thread ([`Orphan`]).

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use core::time::Duration;

use super::process::ENGINE;
use super::raw::RawTimer;
use super::{clock, jiffies, process, ticks};
use crate::host::Host;

type Closure = Box<dyn FnMut(&Running<'_>) + Send>;

struct Inner {
    raw: UnsafeCell<RawTimer>,
    handler: UnsafeCell<Closure>,
    /// The thread on which the handler runs, 0 for none.
    thread: AtomicU32,
}

impl Inner {
    fn raw(&self) -> *mut RawTimer {
        self.raw.get()
    }

    #[track_caller]
    fn arm(&self, after: Duration) -> bool {
        let expires = jiffies().wrapping_add(ticks(after, ENGINE.settings().hz));
        // SAFETY: the storage lives as long as `self`, and was set up.
        unsafe { RawTimer::modify(self.raw(), expires) }
    }

    #[track_caller]
    fn cancel(&self) -> bool {
        // SAFETY: as above.
        unsafe { RawTimer::delete(self.raw()) }
    }

    fn runs_here(&self) -> bool {
        self.thread.load(Relaxed) == ENGINE.host.thread()
    }
}

/// A timer that calls a closure on the timer thread.
///
/// It may be armed again and again, by its handler too, and from any thread.
/// Dropping it shuts it down and waits for a handler that runs: after that the
/// closure is gone, and what it owned. It cannot be freed while it is pending.
///
/// (A handler that waits for who drops it never ends: that is told as `del-deadlock`,
/// and is one.)
///
/// Dropped by its own handler, which must own it then in some way, it is shut down
/// and freed when the handler has ended.
///
/// ```
/// use deadwalk_timer::front::{Timer, advance};
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::{sync::Arc, time::Duration};
///
/// let count = Arc::new(AtomicU32::new(0));
/// let counter = count.clone();
/// let timer = Timer::new(move |running| {
///     if counter.fetch_add(1, Ordering::Relaxed) < 2 {
///         running.rearm(Duration::from_millis(10));
///     }
/// });
/// assert!(!timer.arm(Duration::from_millis(10)), "it was not pending");
/// advance(100); // virtual time, in ticks
/// assert_eq!(count.load(Ordering::Relaxed), 3);
/// ```
pub struct Timer {
    inner: NonNull<Inner>,
}

// SAFETY: the closure is `Send` and runs on one thread at a time; all else is the
// engine's, which has a lock.
unsafe impl Send for Timer {}
// SAFETY: as above; nothing here gives access to the closure.
unsafe impl Sync for Timer {}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("is_pending", &self.is_pending()).finish()
    }
}

/// The timer whose handler runs, as the handler sees it.
pub struct Running<'a>(&'a Inner);

impl fmt::Debug for Running<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

impl Running<'_> {
    /// Arms the timer to expire in that time, or moves it there; was it pending? A
    /// timer that is being dropped stays as it is.
    #[track_caller]
    pub fn rearm(&self, after: Duration) -> bool {
        self.0.arm(after)
    }

    /// Disarms the timer; was it pending?
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }
}

impl Timer {
    /// A timer with this handler, not armed. Panics of the handler end its run alone.
    #[track_caller]
    pub fn new(handler: impl FnMut(&Running<'_>) + Send + 'static) -> Timer {
        let inner = NonNull::from(Box::leak(Box::new(Inner {
            raw: UnsafeCell::new(RawTimer::new()),
            handler: UnsafeCell::new(Box::new(handler)),
            thread: AtomicU32::new(0),
        })));
        // SAFETY: the block lives until the timer was shut down and no handler runs;
        // `trampoline` takes its address.
        unsafe {
            RawTimer::setup(inner.as_ref().raw(), trampoline, inner.as_ptr().expose_provenance());
        }
        Timer { inner }
    }

    fn inner(&self) -> &Inner {
        // SAFETY: it is freed when its timer is dropped.
        unsafe { self.inner.as_ref() }
    }

    /// Arms it to expire once in that time (rounded up to ticks, one at least), or
    /// moves it there. Was it pending?
    #[track_caller]
    pub fn arm(&self, after: Duration) -> bool {
        self.inner().arm(after)
    }

    /// Moves it if it is pending. Was it?
    #[track_caller]
    pub fn modify(&self, after: Duration) -> bool {
        let expires = jiffies().wrapping_add(ticks(after, ENGINE.settings().hz));
        // SAFETY: the storage lives as long as the timer, and was set up.
        unsafe { RawTimer::modify_pending(self.inner().raw(), expires) }
    }

    /// Disarms it and returns at once: its handler may still run. Was it pending?
    #[track_caller]
    pub fn cancel(&self) -> bool {
        self.inner().cancel()
    }

    /// Disarms it and waits until its handler has ended, unless that is who calls. Was
    /// it pending?
    ///
    /// A handler that waits for the caller never ends: that is `del-deadlock`, and this
    /// returns after `deadlock_ns` of [`Settings`](crate::Settings) all the same.
    #[track_caller]
    pub fn cancel_and_wait(&self) -> bool {
        if self.inner().runs_here() {
            return self.cancel();
        }
        // SAFETY: the storage lives as long as the timer, and was set up.
        unsafe { RawTimer::delete_sync(self.inner().raw()) }
    }

    /// Is it armed?
    pub fn is_pending(&self) -> bool {
        // SAFETY: as above.
        unsafe { RawTimer::is_pending(self.inner().raw()) }
    }
}

impl Drop for Timer {
    #[track_caller]
    fn drop(&mut self) {
        let raw = self.inner().raw();
        let orphan = Orphan(self.inner);
        if self.inner().runs_here() {
            // SAFETY: the storage is there until the handler has ended.
            unsafe { RawTimer::shutdown(raw) };
            clock::bury_later(orphan);
            return;
        }
        let shut_down = || {
            // SAFETY: the storage is there until `orphan` is dropped.
            unsafe { RawTimer::shutdown_sync(raw) };
        };
        if process::may_have_given_up(shut_down) {
            // A deadlock was told; the closure is in use all the same.
            let mut attempt = 0;
            // SAFETY: as above.
            while unsafe { RawTimer::try_delete_sync(raw) }.is_none() {
                clock::pause(attempt);
                attempt = attempt.saturating_add(1);
            }
        }
        drop(orphan);
    }
}

/// A timer that is shut down: dropping this frees it.
pub(super) struct Orphan(NonNull<Inner>);

impl Drop for Orphan {
    fn drop(&mut self) {
        // SAFETY: made by `Timer::new`, freed once; its handler does not run, and will
        // not.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// Marks on which thread the handler runs.
struct Marked<'a>(&'a AtomicU32);

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        self.0.store(0, Relaxed);
    }
}

/// What the engine calls; `inner` is the timer's.
///
/// # Safety
///
/// * Called by the engine for a timer that [`Timer::new`] made, between its expiry and
///   the end of its run.
unsafe extern "C-unwind" fn trampoline(inner: usize) {
    process::start();
    let inner = core::ptr::with_exposed_provenance::<Inner>(inner);
    // SAFETY: the caller's promise: who drops the timer waits for this run.
    let inner = unsafe { &*inner };
    inner.thread.store(ENGINE.host.thread(), Relaxed);
    let _marked = Marked(&inner.thread);
    // SAFETY: handlers of one timer do not overlap.
    let handler = unsafe { &mut *inner.handler.get() };
    handler(&Running(inner));
}
