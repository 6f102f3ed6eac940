//! Threads of our own in the host: detached, and with all signals blocked, so
//! that none of the program's is handled there.

use core::ffi::{c_int, c_void};

/// What a thread runs. It may end by unwinding: a handler that it calls may end
/// its thread.
pub type Main = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

unsafe extern "C" {
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        main: Main,
        arg: *mut c_void,
    ) -> c_int;
}

/// Starts a thread, on a stack of this size if one is given. `false`: the system
/// refused.
pub fn spawn(main: Main, arg: *mut c_void, stack_bytes: Option<usize>) -> bool {
    // SAFETY: every structure is initialised before use; `main` is of the type
    // that libc calls.
    unsafe {
        let mut attributes: libc::pthread_attr_t = core::mem::zeroed();
        let mut all: libc::sigset_t = core::mem::zeroed();
        let mut old: libc::sigset_t = core::mem::zeroed();
        let mut thread: libc::pthread_t = 0;
        libc::pthread_attr_init(&raw mut attributes);
        libc::pthread_attr_setdetachstate(&raw mut attributes, libc::PTHREAD_CREATE_DETACHED);
        if let Some(bytes) = stack_bytes {
            libc::pthread_attr_setstacksize(&raw mut attributes, bytes);
        }
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut old);
        let result = pthread_create(&raw mut thread, &raw const attributes, main, arg);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, core::ptr::null_mut());
        libc::pthread_attr_destroy(&raw mut attributes);
        result == 0
    }
}
