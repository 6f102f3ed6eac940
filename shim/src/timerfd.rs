//! `timerfd_create` and its family, and `signalfd`: no handler, expiries are read
//! (`descriptors.rs`).
//!
//! Contexts: as libc's functions.

use core::ffi::c_int;

use deadwalk_detector::{DETECTOR, Op, TimerRef};

use crate::descriptors::{self, Descriptor};
use crate::posix_timer::is_zero;
use crate::stale_calls::structures::{self, Structure};
use crate::tls::keeping_errno;
use crate::told::Told;
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

fn tell(timer: TimerRef, new: *const libc::itimerspec, site: usize) -> Told {
    // SAFETY: null or an itimerspec, by the caller's promise.
    let Some(wanted) = (unsafe { posix_timer::sane(new).as_ref() }) else { return Told::Nothing };
    if is_zero(&wanted.it_value) {
        return Told::deletion(DETECTOR.begin_delete(timer, Op::TimerfdSettime, site));
    }
    Told::arming(DETECTOR.arm(timer, !is_zero(&wanted.it_interval), 0, site))
}

unsafe extern "C-unwind" fn settime(
    number: c_int,
    flags: c_int,
    new: *const libc::itimerspec,
    old: *mut libc::itimerspec,
    site: usize,
) -> c_int {
    jump::called();
    let structures = [Structure::read(new), Structure::written(old)];
    structures::with(c"timerfd_settime", structures, |[new, old]| {
        let (new, old) = (new as *const libc::itimerspec, old as *mut libc::itimerspec);
        let descriptor = descriptors::at(number);
        let told = match descriptor {
            Descriptor::Timer(timer) => keeping_errno(|| tell(timer, new, site)),
            _ => Told::Nothing,
        };
        // SAFETY: the caller's promise, of these or their aliases.
        let result = unsafe { real::timerfd_settime(number, flags, new, old) };
        told.called(result == 0);
        if let Descriptor::Closed(timer) = descriptor {
            used_after_close(number, timer, result);
        }
        result
    })
}

unsafe extern "C-unwind" fn gettime(
    number: c_int,
    value: *mut libc::itimerspec,
    _site: usize,
) -> c_int {
    jump::called();
    // SAFETY: the caller's promise, of this or its alias.
    let result =
        structures::with(c"timerfd_gettime", [Structure::written(value)], |[value]| unsafe {
            real::timerfd_gettime(number, value as *mut libc::itimerspec)
        });
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
    // The kernel's set is one word.
    // SAFETY: the caller's promise, of this or its alias.
    let made =
        structures::with(c"signalfd", [Structure::read(mask.cast::<u64>())], |[mask]| unsafe {
            real::signalfd(number, mask as *const libc::sigset_t, flags)
        });
    if made >= 0 && !keeping_errno(exit::is_other_process) {
        descriptors::opened(made, Descriptor::Signals);
    }
    made
}
