//! Descriptors, mappings, mutexes, semaphores and condition variables that go under a
//! handler, and its use of them (`releases.rs` of the detector).
//!
//! A thread whose delete landed is followed as it releases, others as long as there may
//! be a landing on a handler that runs ([`landed`]), and the handler's thread as it uses.
//! That a thing is gone is asked of the kernel, or seen in it: a descriptor's number that
//! is open again is somebody's, and may be the handler's to use.
//!
//! Contexts: as libc's functions, signal handlers too: atomics and system calls.

use core::arch::global_asm;
use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU32,
    Ordering::{Relaxed, SeqCst},
    fence,
};

use deadwalk_detector::DETECTOR;
use deadwalk_detector::releases::Resource;

use crate::jump::Role;
use crate::real;
use crate::sandbox::{self, Arguments};
use crate::tls;

// What the thunks of releases look at.
global_asm!(
    ".section .bss.deadwalk_shim_landed,\"aw\",@nobits",
    ".balign 4",
    ".hidden deadwalk_shim_landed",
    ".globl deadwalk_shim_landed",
    ".type deadwalk_shim_landed,@object",
    "deadwalk_shim_landed: .zero 4",
    ".size deadwalk_shim_landed, 4",
    ".text",
);

unsafe extern "C" {
    /// 1 if there may be a landing on a handler that runs.
    #[link_name = "deadwalk_shim_landed"]
    static MAY_BE_LANDED: AtomicU32;
}

/// `__wrefs` of a condition variable of glibc, and its bit that says it is destroyed.
const REFERENCES: usize = 36;
const IS_DESTROYED: u32 = 4;

/// Condition variables look like that.
static CONDITIONS_ARE_KNOWN: AtomicBool = AtomicBool::new(false);

/// Tries a condition variable out, in the constructor.
pub fn prepare() {
    type Destroy = unsafe extern "C" fn(*mut libc::pthread_cond_t) -> i32;
    let addr = real::next(c"pthread_cond_destroy");
    if addr == 0 {
        return;
    }
    let mut own = libc::PTHREAD_COND_INITIALIZER;
    let before = is_destroyed(&raw const own as usize);
    // SAFETY: libc's function of this name has this type; a condition variable of ours.
    unsafe { core::mem::transmute::<usize, Destroy>(addr)(&raw mut own) };
    let after = is_destroyed(&raw const own as usize);
    CONDITIONS_ARE_KNOWN.store(!before && after, Relaxed);
}

fn is_destroyed(condition: usize) -> bool {
    // SAFETY: a condition variable, of ours or one that the program is about to use.
    let references = unsafe { AtomicU32::from_ptr((condition + REFERENCES) as *mut u32) };
    references.load(Relaxed) & IS_DESTROYED != 0
}

/// A delete of the calling thread landed on a handler: what it waits for matters, and
/// what anybody releases.
pub fn landed() {
    tls::set_hooks(tls::hooks() | tls::LANDED);
    // SAFETY: zeroed memory of ours.
    unsafe { MAY_BE_LANDED.store(1, SeqCst) };
}

/// May there be a landing on a handler that runs?
pub fn may_be_landed() -> bool {
    // SAFETY: zeroed memory of ours.
    unsafe { MAY_BE_LANDED.load(Relaxed) != 0 }
}

/// As far as anybody can see there is none any more.
fn none_is_landed() {
    // SAFETY: zeroed memory of ours.
    unsafe { MAY_BE_LANDED.store(0, SeqCst) };
    fence(SeqCst);
    if DETECTOR.has_landings() {
        // SAFETY: as above.
        unsafe { MAY_BE_LANDED.store(1, SeqCst) };
    }
}

/// The calling thread, in a handler or after a landing of anybody's, makes this call.
pub fn note(arguments: &Arguments, role: Role, site: usize) {
    let [first, second, ..] = arguments.0;
    let what = match role {
        Role::Read | Role::Use | Role::Close => Resource::Descriptor(first as i32),
        Role::Lock | Role::Unlock | Role::Destroy => Resource::Mutex(first),
        Role::Post | Role::SemWait | Role::SemDestroy => Resource::Semaphore(first),
        Role::Wait | Role::Signal | Role::CondDestroy => Resource::Condition(first),
        Role::Unmap if first != 0 && second > 1 => Resource::Mapping(first, second),
        _ => return,
    };
    let releases = matches!(
        role,
        Role::Close | Role::Destroy | Role::SemDestroy | Role::CondDestroy | Role::Unmap
    );
    if tls::hooks() & tls::IN_HANDLER != 0
        && role != Role::Unmap
        && let Some(run) = tls::run()
    {
        let is_gone = DETECTOR.handler_uses(run, what, releases, || is_gone(what));
        if role == Role::Close && !is_gone {
            // It closes the number itself: what comes later is its own doing.
            DETECTOR.forget_release(what);
        }
    }
    if releases && tls::hooks() & tls::LANDED != 0 {
        DETECTOR.deleter_releases(what, site);
    }
    if releases && may_be_landed() && !DETECTOR.other_releases(what, site) {
        none_is_landed();
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
        DETECTOR.handler_uses(run, what, false, || is_gone(what));
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
        Resource::Condition(addr) => CONDITIONS_ARE_KNOWN.load(Relaxed) && is_destroyed(addr),
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
