//! `timerfd_create` and its family, and `signalfd`: no handler, expiries are read
//! (`descriptors.rs`).
//!
//! Contexts: as libc's functions.

use core::ffi::c_int;

use deadwalk_detector::deletes::{Arming, Deletion};
use deadwalk_detector::{DETECTOR, Op, TimerRef};

use crate::descriptors::{self, Descriptor};
use crate::tls::keeping_errno;
use crate::{collector, exit, jump, posix_timer, real};

export_with_site!("rdx", create, timerfd_create);
export_with_site!("r8", settime, timerfd_settime);
export_with_site!("rdx", gettime, timerfd_gettime);

unsafe extern "C" fn create(clock: c_int, flags: c_int, _site: usize) -> c_int {
    keeping_errno(collector::start_if_wished);
    // SAFETY: any numbers may be passed.
    let number = unsafe { real::timerfd_create(clock, flags) };
    if number >= 0 {
        keeping_errno(|| {
            if !exit::is_other_process() {
                let timer = DETECTOR.init_timerfd(number as u64);
                descriptors::opened(number, timer.map_or(Descriptor::Other, Descriptor::Timer));
            }
        });
    }
    number
}

/// What was told of a call before it was made.
enum Told {
    Nothing,
    Arming(Arming),
    Deletion(Deletion),
    Stale(TimerRef),
}

fn tell(number: c_int, new: *const libc::itimerspec, site: usize) -> Told {
    // SAFETY: null or an itimerspec, by the caller's promise.
    let wanted = unsafe { posix_timer::sane(new).as_ref() };
    let told = match (descriptors::at(number), wanted) {
        (Descriptor::Closed(timer), _) => Some(Told::Stale(timer)),
        (Descriptor::Timer(timer), Some(wanted)) if is_zero(&wanted.it_value) => {
            DETECTOR.begin_delete(timer, Op::TimerfdSettime, site).map(Told::Deletion)
        }
        (Descriptor::Timer(timer), Some(wanted)) => {
            let is_periodic = !is_zero(&wanted.it_interval);
            DETECTOR.arm(timer, is_periodic, 0, site).map(Told::Arming)
        }
        _ => None,
    };
    told.unwrap_or(Told::Nothing)
}

fn is_zero(time: &libc::timespec) -> bool {
    time.tv_sec == 0 && time.tv_nsec == 0
}

unsafe extern "C-unwind" fn settime(
    number: c_int,
    flags: c_int,
    new: *const libc::itimerspec,
    old: *mut libc::itimerspec,
    site: usize,
) -> c_int {
    jump::called();
    let told = keeping_errno(|| tell(number, new, site));
    // SAFETY: the caller's promise.
    let result = unsafe { real::timerfd_settime(number, flags, new, old) };
    match told {
        Told::Deletion(deletion) if result == 0 => posix_timer::finish(deletion),
        Told::Arming(arming) if result != 0 => keeping_errno(|| DETECTOR.arm_refused(arming)),
        Told::Stale(timer) => used_after_close(number, timer, result),
        _ => {}
    }
    result
}

unsafe extern "C-unwind" fn gettime(
    number: c_int,
    value: *mut libc::itimerspec,
    _site: usize,
) -> c_int {
    jump::called();
    // SAFETY: the caller's promise.
    let result = unsafe { real::timerfd_gettime(number, value) };
    if let Descriptor::Closed(timer) = descriptors::at(number) {
        used_after_close(number, timer, result);
    }
    result
}

/// A timer's call was made on a number that had been closed.
fn used_after_close(number: c_int, timer: TimerRef, result: c_int) {
    // SAFETY: errno is thread-local and always valid.
    let error = unsafe { *libc::__errno_location() };
    keeping_errno(|| match result {
        // A timer that was made past us has this number now.
        0 => descriptors::forget(number),
        _ if matches!(error, libc::EBADF | libc::EINVAL) => DETECTOR.stale_call(timer),
        _ => {}
    });
}

/// `signalfd` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signalfd(
    number: c_int,
    mask: *const libc::sigset_t,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    let made = unsafe { real::signalfd(number, mask, flags) };
    if made >= 0 && !keeping_errno(exit::is_other_process) {
        descriptors::opened(made, Descriptor::Signals);
    }
    made
}
