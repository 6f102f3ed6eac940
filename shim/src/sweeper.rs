//! The thread that sweeps the heap while the program runs (`sweep_ms`).
//!
//! ```text
//!   None --start--> Running --stop--> Stopping --thread--> Ended
//!    ^                 |                                     ^
//!    +------ fork -----+------ sandbox, no thread to be had -+
//! ```
//!
//! It begins right before `main`, when all constructors have run, and in a fork
//! child as soon as `fork` (or `daemon`, `forkpty`) returns there: in a fork
//! handler the C library and the program's own handlers are not done yet. A
//! vfork child has none. Under a filter of system calls it ends.
//!
//! It goes over the heap in small steps and rests after each for so long that it
//! uses a twentieth of a processor at most; after a round it rests for `sweep_ms`.
//! All signals are blocked in it. What lies in other threads' magazines (freed
//! and verified already, about to be used) it does not see.

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};

use deadwalk_alloc::Sweeper;

use crate::host::{clock_ns, now_ns};
use crate::real::{self, Real};
use crate::{collector, sandbox, start, threads, tls};

const NONE: u32 = 0;
const RUNNING: u32 = 1;
const STOPPING: u32 = 2;
const ENDED: u32 = 3;

static STATE: AtomicU32 = AtomicU32::new(NONE);

/// Bytes of a step: 50 us, and no lock of the heap is held for longer.
const STEP_BYTES: usize = 256 << 10;
/// A step is followed by a rest of so many times its length.
const REST: u64 = 19;
/// Longest wait for the thread at the process's end.
const STOP_NS: u64 = 100_000_000;
const STACK_BYTES: usize = 256 << 10;

/// Starts the thread, if it is wanted and not there.
fn start() {
    if start::sweep_ms() == 0
        || sandbox::is_sandboxed()
        || STATE.compare_exchange(NONE, RUNNING, AcqRel, Relaxed).is_err()
    {
        return;
    }
    tls::keeping_errno(|| {
        if !threads::spawn(main, core::ptr::null_mut(), Some(STACK_BYTES)) {
            STATE.store(ENDED, Release);
        }
    });
}

extern "C-unwind" fn main(_: *mut c_void) -> *mut c_void {
    run(u64::from(start::sweep_ms()) * 1_000_000);
    STATE.store(ENDED, Release);
    wake();
    core::ptr::null_mut()
}

fn run(interval_ns: u64) {
    let mut sweeper = Sweeper::new();
    while rest(interval_ns) {
        loop {
            let (start, mut damaged) = (clock_ns(libc::CLOCK_THREAD_CPUTIME_ID), 0);
            let is_done = sweeper.step(STEP_BYTES, &mut damaged);
            if damaged > 0 {
                collector::start_if_wished();
            }
            let used = clock_ns(libc::CLOCK_THREAD_CPUTIME_ID).saturating_sub(start);
            if !rest(used * REST) {
                return;
            }
            if is_done {
                break;
            }
        }
    }
}

/// Sleeps; whether to go on.
fn rest(ns: u64) -> bool {
    wait(RUNNING, ns);
    STATE.load(Acquire) == RUNNING && !sandbox::is_sandboxed()
}

/// Sleeps as long as the state is this one, for so long at most.
fn wait(state: u32, ns: u64) {
    let time = libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as i64,
    };
    let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the time outlive the call.
    unsafe { libc::syscall(libc::SYS_futex, STATE.as_ptr(), op, state, &raw const time) };
}

fn wake() {
    let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: only the address is used.
    unsafe { libc::syscall(libc::SYS_futex, STATE.as_ptr(), op, 1) };
}

/// Ends the thread, at the process's end; waits a little.
pub fn stop() {
    // In a sandbox it ends by itself, and cannot be waited for.
    if sandbox::is_sandboxed()
        || STATE.compare_exchange(RUNNING, STOPPING, AcqRel, Relaxed).is_err()
    {
        return;
    }
    wake();
    let start = now_ns();
    while STATE.load(Acquire) == STOPPING && now_ns().saturating_sub(start) < STOP_NS {
        wait(STOPPING, STOP_NS);
    }
}

/// A fork child has no such thread yet.
pub fn reset_after_fork() {
    STATE.store(NONE, Release);
}

static START_MAIN: Real = Real::new(c"__libc_start_main");
static FORK: Real = Real::new(c"fork");

/// Looks libc's functions up: `fork` may be called in a signal handler.
pub fn prepare() {
    START_MAIN.addr();
    FORK.addr();
}

/// The program's `main`.
static MAIN: AtomicUsize = AtomicUsize::new(0);

/// Starts the thread and goes on to the program's `main`, without a frame of its
/// own.
#[unsafe(naked)]
unsafe extern "C" fn enter_main() {
    naked_asm!(
        "push rdi",
        "push rsi",
        "push rdx",
        "call {start}",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "jmp qword ptr [rip + {main}]",
        start = sym start_in_main,
        main = sym MAIN,
    )
}

extern "C" fn start_in_main() {
    start();
}

type StartMain = unsafe extern "C-unwind" fn(
    *const c_void,
    c_int,
    *mut *mut c_char,
    *const c_void,
    *const c_void,
    *const c_void,
    *mut c_void,
) -> c_int;

/// `__libc_start_main` of libc, which calls `main` when the constructors have run.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __libc_start_main(
    main: *const c_void,
    argc: c_int,
    argv: *mut *mut c_char,
    init: *const c_void,
    fini: *const c_void,
    loader_fini: *const c_void,
    stack_end: *mut c_void,
) -> c_int {
    let mut entry = main;
    if start::sweep_ms() != 0 {
        MAIN.store(main as usize, Relaxed);
        entry = enter_main as *const c_void;
    }
    // SAFETY: libc's function of this name has this type; there is no program
    // without it. The caller's promise.
    unsafe {
        let real: StartMain = core::mem::transmute(START_MAIN.addr());
        real(entry, argc, argv, init, fini, loader_fini, stack_end)
    }
}

/// What a child does when the call that made it returns.
fn in_child(result: c_int) -> c_int {
    if result == 0 {
        start();
    }
    result
}

/// `fork` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fork() -> libc::pid_t {
    // SAFETY: libc's function of this name has this type.
    let real: unsafe extern "C" fn() -> libc::pid_t = unsafe { core::mem::transmute(FORK.addr()) };
    // SAFETY: the caller's promise.
    in_child(unsafe { real() })
}

/// `daemon` of libc, which forks itself.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn daemon(stay: c_int, keep: c_int) -> c_int {
    // SAFETY: libc's function of this name has this type.
    let real: unsafe extern "C" fn(c_int, c_int) -> c_int =
        unsafe { core::mem::transmute(real::next(c"daemon")) };
    // SAFETY: the caller's promise. Only the child returns with success.
    in_child(unsafe { real(stay, keep) })
}

/// `forkpty` of libc, which forks itself.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn forkpty(
    leader: *mut c_int,
    name: *mut c_char,
    terminal: *const c_void,
    window: *const c_void,
) -> libc::pid_t {
    type Forkpty =
        unsafe extern "C" fn(*mut c_int, *mut c_char, *const c_void, *const c_void) -> libc::pid_t;
    // SAFETY: libc's function of this name has this type.
    let real: Forkpty = unsafe { core::mem::transmute(real::next(c"forkpty")) };
    // SAFETY: the caller's promise.
    in_child(unsafe { real(leader, name, terminal, window) })
}
