//! Descriptors, mappings, mutexes and semaphores that go under a handler, and its use
//! of them (`releases.rs` of the detector).
//!
//! Only a thread whose delete landed is followed as it releases, and only the
//! handler's thread as it uses. That a thing is gone is asked of the kernel, or seen in
//! it: a descriptor's number that is open again is somebody's.
//!
//! Contexts: as libc's functions, signal handlers too: atomics and system calls.

use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

use deadwalk_detector::DETECTOR;
use deadwalk_detector::releases::Resource;

use crate::jump::Role;
use crate::sandbox::{self, Arguments};
use crate::tls;

/// The calling thread, in a handler or after a landing, makes this call.
pub fn note(arguments: &Arguments, role: Role, site: usize) {
    let [first, second, ..] = arguments.0;
    let what = match role {
        Role::Read | Role::Use | Role::Close => Resource::Descriptor(first as i32),
        Role::Lock | Role::Unlock | Role::Destroy => Resource::Mutex(first),
        Role::Post | Role::SemWait | Role::SemDestroy => Resource::Semaphore(first),
        Role::Unmap if first != 0 && second > 1 => Resource::Mapping(first, second),
        _ => return,
    };
    if tls::hooks() & tls::IN_HANDLER != 0
        && role != Role::Unmap
        && let Some(run) = tls::run()
    {
        let is_gone = DETECTOR.handler_uses(run, what, || is_gone(what));
        if role == Role::Close && !is_gone {
            // It closes the number itself: what comes later is its own doing.
            DETECTOR.forget_release(what);
        }
    }
    if tls::hooks() & tls::LANDED != 0
        && matches!(role, Role::Close | Role::Destroy | Role::SemDestroy | Role::Unmap)
    {
        DETECTOR.deleter_releases(what, site);
    }
}

/// A semaphore is made at `addr`.
pub fn made(addr: usize) {
    DETECTOR.forget_release(Resource::Semaphore(addr));
}

/// The calling thread faulted at `addr`: in memory that was unmapped under a handler?
pub fn faulted(addr: usize) {
    if let Some(run) = tls::run() {
        let what = Resource::Mapping(addr, 0);
        DETECTOR.handler_uses(run, what, || is_gone(what));
    }
}

/// Is a thing that was about to be released not there any more?
fn is_gone(what: Resource) -> bool {
    /// `__kind` of a mutex of glibc, and its value once it is destroyed.
    const KIND: usize = 16;
    const DESTROYED: i32 = -1;
    const PAGE: usize = 4096;
    match what {
        Resource::Descriptor(_) | Resource::Mapping(..) if sandbox::is_sandboxed() => false,
        // SAFETY: asks about a number.
        Resource::Descriptor(number) => unsafe {
            libc::syscall(libc::SYS_fcntl, number, libc::F_GETFD) < 0
                && *libc::__errno_location() == libc::EBADF
        },
        Resource::Mutex(addr) => {
            // SAFETY: a mutex that the program is about to use.
            let kind = unsafe { AtomicI32::from_ptr((addr + KIND) as *mut i32) };
            kind.load(Relaxed) == DESTROYED
        }
        // Nothing is seen in a semaphore; a new one in its place would have been.
        Resource::Semaphore(_) => true,
        Resource::Mapping(addr, _) => {
            let mut is_in_memory = 0u8;
            let page = addr & !(PAGE - 1);
            // SAFETY: one page has one byte.
            unsafe {
                libc::syscall(libc::SYS_mincore, page, PAGE, &raw mut is_in_memory) < 0
                    && *libc::__errno_location() == libc::ENOMEM
            }
        }
    }
}
