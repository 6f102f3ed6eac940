//! The thread that logs findings as they happen, and looks at handlers that may wait for
//! who waits for them.
//!
//! Started at the first verdict, or for the first such wait (`watch.rs`), not before: a
//! program without findings gets no thread. All signals are blocked in it, it opens no descriptor (the host's
//! numbers are not its own), and it does not exist in a fork child.
//!
//! Not started from inside an allocation that libc or the loader makes, nor in a
//! timer's signal handler: what is interrupted may hold a lock that `pthread_create`
//! takes. The wish is kept until a call of the program's own comes by.

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::io::{self, Write};
use std::panic;

use deadwalk_detector::collect::{self, Collector, Finding};
use deadwalk_detector::options::LogLevel;
use deadwalk_detector::watcher::Watcher;
use deadwalk_detector::{DETECTOR, Kind, Severity};

use crate::{host, sandbox, say, signal, start, threads, tls};

const NONE: u32 = 0;
const STARTED: u32 = 1;
const RUNNING: u32 = 2;
const FINISHING: u32 = 3;
const ENDED: u32 = 4;

static STATE: AtomicU32 = AtomicU32::new(NONE);
/// Verdicts are to be logged.
static WANTED: AtomicBool = AtomicBool::new(false);
/// There may be such a thread: between constructor and end.
static ALLOWED: AtomicBool = AtomicBool::new(false);
/// A verdict waits for a thread to log it.
static WISHED: AtomicBool = AtomicBool::new(false);
/// 1 if there is something new; the thread sleeps on it.
static BELL: AtomicU32 = AtomicU32::new(0);
/// The thread's kernel id, 0 as long as there is none.
static TID: AtomicU32 = AtomicU32::new(0);
/// How long the thread sleeps at most: a warning is logged after a rest.
const IDLE_NS: i64 = 500_000_000;
/// Longest wait for the last lines at the process's end.
const FINISH_NS: u64 = 100_000_000;
const STACK_BYTES: usize = 256 << 10;

/// Allows the thread, in the constructor.
pub fn allow() {
    WANTED.store(start::log_level() != LogLevel::Off, Release);
    ALLOWED.store(true, Release);
}

/// Handlers' waits are to be looked at: the next [`start_if_wished`] starts the thread,
/// if there is none.
pub fn wish_watch() {
    if ALLOWED.load(Acquire) && !sandbox::is_sandboxed() {
        if STATE.load(Acquire) == NONE {
            WISHED.store(true, Release);
        }
        ring();
    }
}

/// There is a new verdict: starts the thread if need be, and wakes it.
pub fn wake() {
    if !WANTED.load(Acquire) || sandbox::is_sandboxed() {
        return;
    }
    if STATE.load(Acquire) == NONE {
        WISHED.store(true, Release);
        start_if_wished();
    }
    ring();
}

/// Starts the thread if a verdict waits for it. To be called where the program
/// itself called: not below libc.
#[inline]
pub fn start_if_wished() {
    if WISHED.load(Relaxed) {
        tls::keeping_errno(start);
    }
}

#[cold]
fn start() {
    if tls::hooks() & tls::IN_LIBC == 0
        && !signal::is_in_handler()
        && !sandbox::is_sandboxed()
        && WISHED.swap(false, AcqRel)
        && STATE.compare_exchange(NONE, STARTED, AcqRel, Relaxed).is_ok()
        && !threads::spawn(main, core::ptr::null_mut(), Some(STACK_BYTES))
    {
        STATE.store(ENDED, Release);
    }
}

/// Is there a collector thread?
pub fn is_running() -> bool {
    matches!(STATE.load(Relaxed), STARTED | RUNNING | FINISHING)
}

fn ring() {
    if BELL.swap(1, AcqRel) == 0 {
        let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: only the address is used.
        unsafe { libc::syscall(libc::SYS_futex, BELL.as_ptr(), op, 1) };
    }
}

fn wait_for_bell(limit_ns: i64) {
    if BELL.swap(0, AcqRel) == 0 {
        let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        let idle = libc::timespec { tv_sec: 0, tv_nsec: limit_ns };
        // SAFETY: the word and the time outlive the call.
        unsafe { libc::syscall(libc::SYS_futex, BELL.as_ptr(), op, 0, &raw const idle) };
        BELL.store(0, Release);
    }
}

/// Never returns if the calling thread is the collector: it has no memory.
pub fn stop_if_collector() {
    let tid = TID.load(Relaxed);
    if tid != 0 && tid == tls::tid() {
        STATE.store(ENDED, Release);
        loop {
            // SAFETY: takes no arguments; all signals are blocked here.
            unsafe { libc::syscall(libc::SYS_pause) };
        }
    }
}

extern "C-unwind" fn main(_: *mut c_void) -> *mut c_void {
    TID.store(tls::tid(), Relaxed);
    // A panic here must not take the host down; the record has everything.
    panic::set_hook(Box::new(|_| ()));
    if panic::catch_unwind(run).is_err() {
        say::Line::new().text("the live log stopped; the record goes on").say();
    }
    STATE.store(ENDED, Release);
    core::ptr::null_mut()
}

fn run() {
    let logger = env_logger::Builder::new()
        .parse_filters(start::log_filter())
        .target(env_logger::Target::Pipe(Box::new(Stderr)))
        .format(|out, record| {
            let level = match record.level() {
                log::Level::Error => "error",
                log::Level::Warn => "warning",
                _ => "info",
            };
            writeln!(out, "deadwalk[{}]: {level}: {}", std::process::id(), record.args())
        })
        .build();
    let findings = collect::add_subscriber();
    let mut collector = Collector::new();
    let mut watcher = Watcher::new();
    let _ = STATE.compare_exchange(STARTED, RUNNING, AcqRel, Relaxed);
    loop {
        let finishing = STATE.load(Acquire) == FINISHING;
        let soon_ns = watcher.look(&DETECTOR).map_or(IDLE_NS, |ns| ns as i64);
        collector.poll(finishing);
        for finding in findings.try_iter() {
            log(&logger, &finding);
        }
        if finishing {
            return;
        }
        wait_for_bell(soon_ns.min(IDLE_NS));
    }
}

fn log(logger: &dyn log::Log, finding: &Finding) {
    let level = match finding.severity {
        Severity::Info => log::Level::Info,
        Severity::Warning => log::Level::Warn,
        Severity::Error => log::Level::Error,
    };
    let kind = finding.kind.name();
    let consequence = match finding.kind {
        Kind::DelWhileRunning => format!(" ({})", finding.consequence.name()),
        _ => String::new(),
    };
    let block = match finding.base {
        0 => String::new(),
        base => format!(", block {base:#x} of {} bytes, offset {}", finding.size, finding.offset),
    };
    logger.log(
        &log::Record::builder()
            .level(level)
            .target("deadwalk")
            .args(format_args!("{kind}{consequence}{block}"))
            .build(),
    );
}

struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        say::write_stderr(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets the thread log what is left, at the process's end; waits a little.
pub fn finish() {
    ALLOWED.store(false, Release);
    if WANTED.swap(false, AcqRel) {
        start_if_wished();
    }
    if STATE.load(Acquire) == NONE || sandbox::is_sandboxed() {
        return;
    }
    let start = host::now_ns();
    let expired = || host::now_ns().saturating_sub(start) > FINISH_NS;
    while STATE.load(Acquire) == STARTED && !expired() {
        nap();
    }
    if STATE.compare_exchange(RUNNING, FINISHING, AcqRel, Relaxed).is_ok() {
        ring();
        while STATE.load(Acquire) == FINISHING && !expired() {
            nap();
        }
    }
}

fn nap() {
    let nap = libc::timespec { tv_sec: 0, tv_nsec: 200_000 };
    // SAFETY: `nap` is valid; no rest is wanted.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const nap, 0) };
}

/// A fork child has no collector and nothing to log; it may start one.
pub fn reset_after_fork() {
    STATE.store(NONE, Release);
    WISHED.store(false, Release);
    BELL.store(0, Release);
    TID.store(0, Relaxed);
}
