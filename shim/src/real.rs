//! libc's own functions behind ours: `dlsym(RTLD_NEXT)`, once each.
//!
//! `dlsym` may call calloc: allocations are served before anything here is.

use core::ffi::{CStr, c_void};
use core::num::NonZeroUsize;

use once_cell::race::OnceNonZeroUsize;

/// The next object's symbol of this name; 0 if there is none.
pub fn next(name: &CStr) -> usize {
    // SAFETY: `name` is a C string; RTLD_NEXT is allowed in a shared object.
    let symbol: *mut c_void = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    symbol as usize
}

/// A function of libc that we export too.
pub struct Real {
    name: &'static CStr,
    addr: OnceNonZeroUsize,
}

impl Real {
    /// The function of this name, not looked up yet.
    pub const fn new(name: &'static CStr) -> Real {
        Real { name, addr: OnceNonZeroUsize::new() }
    }

    /// Its address; 0 if libc does not have it.
    pub fn addr(&self) -> usize {
        match self.addr.get() {
            Some(addr) => addr.get(),
            None => match NonZeroUsize::new(next(self.name)) {
                Some(addr) => self.addr.get_or_init(|| addr).get(),
                None => 0,
            },
        }
    }
}

/// Declares a module function that calls libc's.
macro_rules! real_fn {
    ($(#[$meta:meta])* $name:ident, $symbol:literal, ($($arg:ident: $ty:ty),*) -> $ret:ty) => {
        mod $name {
            pub(super) static REAL: super::Real = super::Real::new($symbol);
        }

        $(#[$meta])*
        ///
        /// # Safety
        ///
        /// * The arguments are as libc's function of this name wants them.
        pub unsafe fn $name($($arg: $ty),*) -> $ret {
            let addr = $name::REAL.addr();
            if addr == 0 {
                // SAFETY: errno is thread-local and always valid.
                unsafe { *libc::__errno_location() = libc::ENOSYS };
                return -1;
            }
            // SAFETY: libc's function of this name has this type.
            let real: unsafe extern "C" fn($($ty),*) -> $ret = unsafe { core::mem::transmute(addr) };
            // SAFETY: the caller's promise.
            unsafe { real($($arg),*) }
        }
    };
}

real_fn!(
    /// libc's `timer_create`.
    timer_create, c"timer_create",
    (clock: libc::clockid_t, event: *mut c_void, timer: *mut usize) -> i32
);
real_fn!(
    /// libc's `timer_delete`.
    timer_delete, c"timer_delete", (timer: usize) -> i32
);
real_fn!(
    /// libc's `timer_settime`.
    timer_settime, c"timer_settime",
    (timer: usize, flags: i32, new: *const libc::itimerspec, old: *mut libc::itimerspec) -> i32
);
real_fn!(
    /// libc's `timer_gettime`.
    timer_gettime, c"timer_gettime", (timer: usize, value: *mut libc::itimerspec) -> i32
);
real_fn!(
    /// libc's `timer_getoverrun`.
    timer_getoverrun, c"timer_getoverrun", (timer: usize) -> i32
);

real_fn!(
    /// libc's `setitimer`.
    setitimer, c"setitimer",
    (which: i32, new: *const libc::itimerval, old: *mut libc::itimerval) -> i32
);
real_fn!(
    /// libc's `alarm`; the seconds that were left, as its bits.
    alarm, c"alarm", (seconds: u32) -> i32
);
real_fn!(
    /// libc's `ualarm`; the microseconds that were left, as its bits.
    ualarm, c"ualarm", (value_us: u32, interval_us: u32) -> i32
);

real_fn!(
    /// libc's `timerfd_create`.
    timerfd_create, c"timerfd_create", (clock: i32, flags: i32) -> i32
);
real_fn!(
    /// libc's `timerfd_settime`.
    timerfd_settime, c"timerfd_settime",
    (number: i32, flags: i32, new: *const libc::itimerspec, old: *mut libc::itimerspec) -> i32
);
real_fn!(
    /// libc's `timerfd_gettime`.
    timerfd_gettime, c"timerfd_gettime", (number: i32, value: *mut libc::itimerspec) -> i32
);
real_fn!(
    /// libc's `signalfd`.
    signalfd, c"signalfd", (number: i32, mask: *const libc::sigset_t, flags: i32) -> i32
);

/// Looks the timer functions up, in the constructor: `timer_settime` may be
/// called first in a signal handler, where `dlsym` must not be called.
pub fn prepare() {
    for real in [
        &timer_create::REAL,
        &timer_delete::REAL,
        &timer_settime::REAL,
        &timer_gettime::REAL,
        &timer_getoverrun::REAL,
        &setitimer::REAL,
        &alarm::REAL,
        &ualarm::REAL,
        &timerfd_create::REAL,
        &timerfd_settime::REAL,
        &timerfd_gettime::REAL,
        &signalfd::REAL,
    ] {
        real.addr();
    }
}
