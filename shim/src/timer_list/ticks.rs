//! The clock and the timer threads.
//!
//! One thread keeps the time: it sets `jiffies` at every tick, also while
//! handlers run long, and wakes the timer threads that have something due. They
//! start with the first timer, or with a program that includes the header; block
//! all signals, as libc's timer thread does; and do not exist in a fork child
//! until it uses a timer. A handler that ends its thread (`pthread_exit`) ends a
//! timer thread: another takes its place.
//!
//! ```text
//!            start               advance (virtual time)
//!   Idle ------------> Real ------------------------------> Virtual
//!     |                 | stop (process ends)                  ^
//!     |                 `------------> Stopped                 |
//!     `--------------------------------------------------------'
//! ```

use core::ffi::c_void;
use core::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use deadwalk_detector::{Api, DETECTOR, RunRef};
use deadwalk_timer::engine::CPUS_MAX;
use deadwalk_timer::{Due, Ticket};

use crate::say::Line;
use crate::threads::{self, Main};
use crate::thunk::Leaving;
use crate::timer_list::ENGINE;
use crate::{collector, host, provoke, sample, sandbox, tls};

const IDLE: u32 = 0;
const REAL: u32 = 1;
const VIRTUAL: u32 = 2;
const STOPPED: u32 = 3;

static STATE: AtomicU32 = AtomicU32::new(IDLE);
/// Rings of the timer threads: each sleeps until its word changes.
static BELLS: [AtomicU32; CPUS_MAX] = [const { AtomicU32::new(0) }; CPUS_MAX];
/// Which set of threads is the process's: another one after a fork (a timer
/// thread whose handler forked ends in the child when the handler does), and
/// after a start that could not make them all.
static EPOCH: AtomicU32 = AtomicU32::new(0);
/// The thread that lets virtual time pass, and whether another one deletes timers.
static ADVANCER: AtomicU32 = AtomicU32::new(0);
static HAS_OTHERS: AtomicBool = AtomicBool::new(false);
static COMPLAINED: AtomicBool = AtomicBool::new(false);
static MISMATCHED: AtomicBool = AtomicBool::new(false);

/// Do the threads still have to be started?
#[inline]
pub fn may_start() -> bool {
    STATE.load(Relaxed) == IDLE
}

/// Starts the threads, unless they run or time is virtual.
pub fn start() {
    if STATE.load(Relaxed) != IDLE
        || DETECTOR.platform().is_none()
        || sandbox::is_sandboxed()
        || STATE.compare_exchange(IDLE, REAL, AcqRel, Relaxed).is_err()
    {
        return;
    }
    let cpus = ENGINE.settings().cpus.clamp(1, CPUS_MAX);
    let all = (0..cpus).all(|cpu| spawn(timer_thread, cpu)) && spawn(clock_thread, 0);
    if !all {
        // The next timer tries again; threads that were made find the state and end.
        EPOCH.fetch_add(1, AcqRel);
        STATE.store(IDLE, Release);
        ring_all();
        if !COMPLAINED.swap(true, Relaxed) {
            Line::new().text("no thread for timers could be made: they do not expire yet").say();
        }
    }
}

/// Starts the threads for a program that was compiled with this `HZ`.
pub fn start_for(hz: u32) {
    let ours = ENGINE.settings().hz;
    if hz != ours && DETECTOR.platform().is_some() && !MISMATCHED.swap(true, Relaxed) {
        Line::new()
            .text("the program was compiled with HZ ")
            .number(u64::from(hz))
            .text(", timers tick with hz=")
            .number(u64::from(ours))
            .text(": its times are not what it means (compile with -DHZ=..., or set hz)")
            .say();
    }
    start();
}

/// No handler starts from now on.
pub fn stop() {
    if STATE.compare_exchange(REAL, STOPPED, AcqRel, Relaxed).is_ok() {
        ring_all();
    }
}

/// In a fork child.
pub fn reset_after_fork() {
    EPOCH.fetch_add(1, AcqRel);
    let _ = STATE.compare_exchange(REAL, IDLE, AcqRel, Relaxed);
    tls::set_cpu_word(0);
}

/// Lets virtual time pass; how many handlers were called.
pub fn advance(ticks: u64) -> u64 {
    if STATE.swap(VIRTUAL, AcqRel) == REAL {
        ring_all();
    }
    ADVANCER.store(tls::tid(), Relaxed);
    let mut called = 0;
    ENGINE.advance(ticks, |due| {
        called += 1;
        call(due);
    });
    called
}

/// A delete has taken effect, without landing, and is about to return.
pub fn hold_up_return() {
    if !DETECTOR.provoke.is_on() {
        return;
    }
    if STATE.load(Relaxed) == VIRTUAL && ADVANCER.load(Relaxed) != tls::tid() {
        HAS_OTHERS.store(true, Relaxed);
    }
    if !is_alone() {
        provoke::before_return(Api::TimerList);
    }
}

/// Is time virtual, and does only the thread that lets it pass delete timers?
/// Then there is no race to provoke, and what repeats is to go on repeating.
fn is_alone() -> bool {
    STATE.load(Relaxed) == VIRTUAL && !HAS_OTHERS.load(Relaxed)
}

fn spawn(main: Main, cpu: usize) -> bool {
    let arg = Arg { cpu, epoch: EPOCH.load(Acquire) };
    threads::spawn(main, arg.pack(), None)
}

/// What a thread is given.
#[derive(Clone, Copy)]
struct Arg {
    cpu: usize,
    epoch: u32,
}

impl Arg {
    fn pack(self) -> *mut c_void {
        (self.cpu << 32 | self.epoch as usize) as *mut c_void
    }

    fn unpack(arg: *mut c_void) -> Arg {
        Arg { cpu: arg.addr() >> 32, epoch: arg.addr() as u32 }
    }

    /// Is its thread wanted?
    fn is_current(self) -> bool {
        STATE.load(Acquire) == REAL && EPOCH.load(Acquire) == self.epoch
    }
}

extern "C-unwind" fn clock_thread(arg: *mut c_void) -> *mut c_void {
    let arg = Arg::unpack(arg);
    let (start_ns, first) = (host::now_ns(), ENGINE.now());
    let hz = u64::from(ENGINE.settings().hz);
    let mut next_look = 0;
    while arg.is_current() {
        let passed = u128::from(host::now_ns() - start_ns) * u128::from(hz) / 1_000_000_000;
        let ticks = passed as u64;
        let due = ENGINE.clock(first + ticks);
        for (cpu, bell) in BELLS.iter().enumerate() {
            if due & 1 << cpu != 0 {
                ring(bell);
            }
        }
        if ticks >= next_look {
            next_look = ticks + hz;
            if is_left_alone() {
                // As the last thread of a process does.
                // SAFETY: no lock is held.
                unsafe { libc::exit(0) };
            }
        }
        let next = u128::from(ticks + 1) * 1_000_000_000 / u128::from(hz) + 1;
        host::sleep_until(start_ns + next as u64);
    }
    core::ptr::null_mut()
}

/// Has the main thread ended, and every other one of the program's, and is no
/// timer armed? Without us
/// the process would have ended with them. Looked at once a second.
fn is_left_alone() -> bool {
    if sandbox::is_sandboxed() {
        return false;
    }
    let Some(threads) = sample::threads_without_main() else { return false };
    // The main thread, this one, the timer threads, perhaps the collector.
    let cpus = ENGINE.settings().cpus.clamp(1, CPUS_MAX) as u64;
    threads <= 2 + cpus + u64::from(collector::is_running())
        && ENGINE.is_idle()
        && ENGINE.pending_count() == 0
}

/// Has another thread take the place of one that a handler ended.
struct Place(Arg);

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.is_current() && !spawn(timer_thread, self.0.cpu) {
            Line::new().text("a timer thread that a handler ended could not be replaced").say();
        }
    }
}

extern "C-unwind" fn timer_thread(arg: *mut c_void) -> *mut c_void {
    let arg = Arg::unpack(arg);
    tls::set_cpu_word(arg.cpu as u64 + 1);
    let place = Place(arg);
    let bell = &BELLS[arg.cpu % CPUS_MAX];
    loop {
        let rung = bell.load(Acquire);
        while arg.is_current()
            && let Some(due) = ENGINE.next_due(arg.cpu)
        {
            call(due);
        }
        if !arg.is_current() {
            break;
        }
        wait(bell, rung);
    }
    core::mem::forget(place);
    core::ptr::null_mut()
}

/// Calls a handler and notes its end, however it comes.
fn call(due: Due<RunRef>) {
    type Handler = unsafe extern "C-unwind" fn(usize);
    let Due { handler, data, ticket } = due;
    let _leaving = Leaving::new(ticket.run, leave, ticket);
    if !is_alone() {
        provoke::before_handler(Api::TimerList, ticket.run);
    }
    // SAFETY: the program set this function as its timer's handler.
    let handler: Handler = unsafe { core::mem::transmute(handler) };
    // SAFETY: with the argument that it set.
    unsafe { handler(data) }
}

fn leave(ticket: Ticket<RunRef>) {
    ENGINE.leave(ticket);
}

fn ring(bell: &AtomicU32) {
    bell.fetch_add(1, Release);
    let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: only the address is used.
    unsafe { libc::syscall(libc::SYS_futex, bell.as_ptr(), op, 1) };
}

fn ring_all() {
    BELLS.iter().for_each(ring);
}

fn wait(bell: &AtomicU32, rung: u32) {
    let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word lives as long as the process; without a time limit.
    unsafe { libc::syscall(libc::SYS_futex, bell.as_ptr(), op, rung, 0usize) };
}
