//! What libc calls instead of a SIGEV_THREAD handler.
//!
//! The timer's slot outlives the timer, so a late expiry finds its handler.
//! The handler may end by returning, by `pthread_exit` or by cancellation: the
//! guard's drop counts all three as `leave`, which needs unwinding through this
//! frame ("C-unwind", and never `panic = "abort"`).

use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use deadwalk_detector::{Api, DETECTOR, RunRef, TimerRef};

use crate::{heal, provoke, signal, tls};

unsafe extern "C-unwind" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
    fn pthread_setcanceltype(kind: c_int, old: *mut c_int) -> c_int;
}

const CANCEL_ENABLE: c_int = 0;
const CANCEL_DISABLE: c_int = 1;
const CANCEL_DEFERRED: c_int = 0;

type Handler = unsafe extern "C-unwind" fn(usize);

/// Runs `f` without being cancelled in the middle.
pub fn not_cancelled<T>(f: impl FnOnce() -> T) -> T {
    let (mut state, mut kind) = (CANCEL_ENABLE, CANCEL_DEFERRED);
    let is_asynchronous = IS_ASYNCHRONOUS.load(Relaxed);
    // SAFETY: `state` and `kind` are writable; what they were comes back.
    unsafe {
        pthread_setcancelstate(CANCEL_DISABLE, &raw mut state);
        if is_asynchronous {
            // The signal of a cancellation may be on its way, and glibc up to 2.36
            // looks at nothing but this when it arrives.
            pthread_setcanceltype(CANCEL_DEFERRED, &raw mut kind);
        }
    }
    let result = f();
    // SAFETY: as above; this may unwind, with nothing left to drop.
    unsafe {
        pthread_setcancelstate(state, core::ptr::null_mut());
        if is_asynchronous {
            pthread_setcanceltype(kind, core::ptr::null_mut());
        }
    }
    result
}

/// Runs `f`, in which there is no cancellation point, without being cancelled in the
/// middle.
#[inline]
pub fn not_cancelled_at_once<T>(f: impl FnOnce() -> T) -> T {
    if IS_ASYNCHRONOUS.load(Relaxed) { not_cancelled(f) } else { f() }
}

/// A thread may be cancelled at any instruction: it asked for that, and so may
/// others. Until then the state need not be changed, which is two locked instructions.
static IS_ASYNCHRONOUS: AtomicBool = AtomicBool::new(false);

/// Some thread is about to become cancellable at any instruction.
pub fn becomes_asynchronous() {
    IS_ASYNCHRONOUS.store(true, Relaxed);
}

/// The calling thread is in a handler; dropping this ends it.
pub struct Leaving<T: Copy> {
    outer: Option<RunRef>,
    leave: fn(T),
    with: T,
}

impl<T: Copy> Leaving<T> {
    /// A handler starts, as `run` if it is counted; `leave(with)` at its end.
    pub fn new(run: Option<RunRef>, leave: fn(T), with: T) -> Leaving<T> {
        Leaving { outer: tls::set_run(run), leave, with }
    }
}

impl<T: Copy> Drop for Leaving<T> {
    fn drop(&mut self) {
        // SAFETY: errno is thread-local and always valid; the state of
        // cancellation goes back to what it was. A handler may have made its
        // thread cancellable at any instruction: not in here.
        unsafe {
            let errno = *libc::__errno_location();
            not_cancelled(|| {
                tls::set_run(self.outer);
                (self.leave)(self.with);
            });
            *libc::__errno_location() = errno;
        }
    }
}

/// The handler that libc knows; `value` is the packed timer.
///
/// # Safety
///
/// * Called by libc for a timer that `timer_create` here made.
pub unsafe extern "C-unwind" fn timer_thunk(value: usize) {
    // SAFETY: errno is thread-local and always valid.
    let errno = unsafe { *libc::__errno_location() };
    let entry = DETECTOR.enter(TimerRef::unpack(value as u64));
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    let Some(entry) = entry.filter(|e| e.call) else { return };
    let leave = |run| {
        DETECTOR.leave(run);
        heal::give_back();
    };
    let _leaving = entry.run.map(|run| Leaving::new(Some(run), leave, run));
    if entry.handler == 0 {
        return;
    }
    signal::open_for_faults();
    provoke::before_handler(Api::Posix, entry.run);
    // SAFETY: the program gave this function to timer_create as its handler.
    let handler: Handler = unsafe { core::mem::transmute(entry.handler) };
    // SAFETY: with the value that it gave.
    unsafe { handler(entry.value) }
}
