//! The kernel's calls on the program's own storage.

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::panic::Location;

use deadwalk_alloc::BlockState;
use deadwalk_detector::Op;

use super::process::{self, ENGINE};
use crate::Arm;
use crate::layout::TimerList;
use crate::storage::Storage;

/// A handler; it gets the argument that [`RawTimer::setup`] was given.
pub type Handler = unsafe extern "C-unwind" fn(usize);

/// The kernel's `struct timer_list`, with the kernel's semantics: no borrow keeps it
/// alive, a delete does not wait, and what is done wrong is found and told, not
/// prevented. Embed it in a structure and hand out pointers.
///
/// Every call is safe to *make* in any state of the timer that keeps its storage
/// readable and writable; under [`PoisonAlloc`](deadwalk_alloc::PoisonAlloc) that goes
/// for freed storage too, which is how misuse can be tested.
///
/// ```
/// use deadwalk_timer::front::{RawTimer, advance, jiffies};
///
/// unsafe extern "C-unwind" fn handler(_argument: usize) {}
///
/// let timer = Box::into_raw(Box::new(RawTimer::new()));
/// // SAFETY: the timer lives until it is freed below, when it is not armed.
/// unsafe {
///     RawTimer::setup(timer, handler, 0);
///     RawTimer::modify(timer, jiffies() + 2);
///     assert_eq!(advance(2), 1);
///     assert!(!RawTimer::delete(timer));
///     drop(Box::from_raw(timer));
/// }
/// ```
#[repr(transparent)]
#[derive(Debug)]
pub struct RawTimer(UnsafeCell<MaybeUninit<TimerList>>);

// SAFETY: its bytes are read and written by the engine alone, under its lock.
unsafe impl Sync for RawTimer {}

/// A call site as the detector keeps it: where its `Location` lies.
#[track_caller]
fn site() -> usize {
    core::ptr::from_ref(Location::caller()).addr()
}

impl Default for RawTimer {
    fn default() -> Self {
        RawTimer::new()
    }
}

impl RawTimer {
    /// A zeroed structure, as in static storage; to be [set up](Self::setup).
    pub const fn new() -> RawTimer {
        RawTimer(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    /// `setup_timer`: the timer begins, whatever was there, with this handler and
    /// argument. One that is armed is taken off, and reported.
    ///
    /// # Safety
    ///
    /// * `timer` is aligned, and valid for reads and writes as long as any call here
    ///   is made with it and while it is armed; memory of a freed block of
    ///   [`PoisonAlloc`](deadwalk_alloc::PoisonAlloc) counts as valid.
    /// * `handler` may be called with `argument` from another thread until the timer
    ///   is deleted and its handler has ended.
    #[track_caller]
    pub unsafe fn setup(timer: *mut RawTimer, handler: Handler, argument: usize) {
        process::start();
        ENGINE.init(timer.addr(), None, 0, site());
        // What was freed is not ours to write to; that has been told.
        if deadwalk_alloc::lookup(timer.addr()).is_none_or(|b| b.state == BlockState::Live) {
            ENGINE.host.write_handler(timer.addr(), handler as usize, argument);
        }
    }

    /// `mod_timer`: arms it for `expires` in [`jiffies`](super::jiffies), or moves it there. Was it
    /// pending?
    ///
    /// # Safety
    ///
    /// * As for [`setup`](Self::setup).
    #[track_caller]
    pub unsafe fn modify(timer: *mut RawTimer, expires: u64) -> bool {
        process::start();
        ENGINE.arm(timer.addr(), Arm::Mod(expires as usize), site()) != 0
    }

    /// `mod_timer_pending`: moves it if it is pending. Was it?
    ///
    /// # Safety
    ///
    /// * As for [`setup`](Self::setup).
    #[track_caller]
    pub unsafe fn modify_pending(timer: *mut RawTimer, expires: u64) -> bool {
        process::start();
        ENGINE.arm(timer.addr(), Arm::ModPending(expires as usize), site()) != 0
    }

    /// `del_timer`: disarms it, and returns at once unless the policy says otherwise:
    /// the handler may still run. Was it pending?
    ///
    /// # Safety
    ///
    /// * As for [`setup`](Self::setup).
    #[track_caller]
    pub unsafe fn delete(timer: *mut RawTimer) -> bool {
        process::start();
        ENGINE.delete(timer.addr(), Op::DelTimer, site()) != 0
    }

    /// `del_timer_sync`: disarms it and waits until its handler has ended. Was it
    /// pending? From its own handler that is an error, and does not wait.
    ///
    /// # Safety
    ///
    /// * As for [`setup`](Self::setup).
    #[track_caller]
    pub unsafe fn delete_sync(timer: *mut RawTimer) -> bool {
        process::start();
        ENGINE.delete(timer.addr(), Op::DelTimerSync, site()) != 0
    }

    /// `try_to_del_timer_sync`: disarms it unless its handler runs, which is `None`.
    ///
    /// # Safety
    ///
    /// * As for [`setup`](Self::setup).
    #[track_caller]
    pub unsafe fn try_delete_sync(timer: *mut RawTimer) -> Option<bool> {
        process::start();
        let result = ENGINE.delete(timer.addr(), Op::TryToDelTimerSync, site());
        (result >= 0).then_some(result > 0)
    }

    /// `timer_shutdown`: as [`delete`](Self::delete), and it is not armed any more
    /// until it is set up again.
    ///
    /// # Safety
    ///
    /// * As for [`setup`](Self::setup).
    #[track_caller]
    pub unsafe fn shutdown(timer: *mut RawTimer) -> bool {
        process::start();
        ENGINE.delete(timer.addr(), Op::TimerShutdown, site()) != 0
    }

    /// `timer_shutdown_sync`: as [`delete_sync`](Self::delete_sync), for good.
    ///
    /// # Safety
    ///
    /// * As for [`setup`](Self::setup).
    #[track_caller]
    pub unsafe fn shutdown_sync(timer: *mut RawTimer) -> bool {
        process::start();
        ENGINE.delete(timer.addr(), Op::TimerShutdownSync, site()) != 0
    }

    /// `timer_pending`: is it armed?
    ///
    /// # Safety
    ///
    /// * As for [`setup`](Self::setup).
    #[track_caller]
    pub unsafe fn is_pending(timer: *mut RawTimer) -> bool {
        process::start();
        ENGINE.pending(timer.addr(), site()) != 0
    }
}

/// Calls a handler that [`RawTimer::setup`] was given.
pub(super) fn call_handler(handler: usize, argument: usize) {
    // SAFETY: the engine reads it from a timer that was set up with such a function,
    // and refuses a timer whose bytes are not as it left them.
    let handler: Handler = unsafe { core::mem::transmute(handler) };
    // SAFETY: with its argument; the promise of `setup`.
    unsafe { handler(argument) }
}
