//! The process's end: recorded however it comes about, as far as the process
//! lives to see it (a kill is told by `deadwalk run`).

use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering::Relaxed;

use deadwalk_detector::record::layout::{END_EXIT, READY, Verdict};
use deadwalk_detector::{Consequence, DETECTOR, Kind, Severity};

use crate::say::Line;
use crate::{clock_users, collector, host, leaks, sandbox, start, sweeper, timer_list};

/// How long handlers in their last instructions may take at the end; a verdict
/// is given within microseconds of CPU time.
const DRAIN_NS: u64 = 10_000_000;

unsafe extern "C" {
    fn on_exit(function: extern "C" fn(c_int, *mut c_void), arg: *mut c_void) -> c_int;
}

/// Has [`at_exit`] called with the status, after all destructors: handlers run
/// last in, first out, and ours is the first in.
pub fn register() {
    // SAFETY: the function lives as long as the process; it takes no argument.
    unsafe { on_exit(at_exit, core::ptr::null_mut()) };
}

extern "C" fn at_exit(status: c_int, _: *mut c_void) {
    if is_other_process() {
        return;
    }
    DETECTOR.provoke.stop();
    timer_list::at_exit();
    DETECTOR.drain(DRAIN_NS);
    sweeper::stop();
    deadwalk_alloc::sweep();
    leaks::list();
    record_end(status);
    collector::finish();
    if start::is_bare() {
        summary();
    }
}

/// A vfork child shares our memory: what it does is not the recorded process's.
pub fn is_other_process() -> bool {
    let recorded = DETECTOR.record.head().pid.load(Relaxed);
    // Who cannot ask has made no child.
    sandbox::pid().is_some_and(|pid| pid != recorded)
}

fn record_end(status: c_int) {
    if is_other_process() {
        return;
    }
    deadwalk_alloc::flush_counters();
    clock_users::at_exit();
    let head = DETECTOR.record.head();
    let end = host::now_ns().saturating_sub(head.start_mono_ns.load(Relaxed));
    head.end_ns.store(end, Relaxed);
    head.end_code.store(status as u32 & 0xff, Relaxed);
    head.end_state.store(END_EXIT, Relaxed);
}

/// `_exit` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _exit(status: c_int) -> ! {
    record_end(status);
    loop {
        // SAFETY: ends the process.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
    }
}

/// `_Exit` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Exit(status: c_int) -> ! {
    // SAFETY: the same function under another name.
    unsafe { _exit(status) }
}

/// `quick_exit` of libc: its handlers run, then it ends the process without
/// calling `_exit` through us.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quick_exit(status: c_int) -> ! {
    record_end(status);
    let real = crate::real::next(c"quick_exit");
    if real != 0 {
        // SAFETY: libc's function of this name has this type.
        let real: unsafe extern "C" fn(c_int) -> ! = unsafe { core::mem::transmute(real) };
        // SAFETY: the caller's promise.
        unsafe { real(status) }
    }
    // SAFETY: ends the process.
    unsafe { _exit(status) }
}

/// Without `deadwalk run` and without a record: at most three lines, and only
/// if there was a warning or an error.
fn summary() {
    let Some(body) = DETECTOR.record.body_if_any() else { return };
    let mut counts = [0u64; 2];
    let mut worst: Option<(Severity, Kind)> = None;
    for finding in &body.findings {
        if finding.state.load(Relaxed) != READY {
            continue;
        }
        let Some(kind) = Kind::from_u8(finding.kind.load(Relaxed)) else { continue };
        let consequence = Consequence::from_u8(finding.consequence.load(Relaxed));
        let unresolved = u64::from(finding.unresolved.load(Relaxed));
        let severity = kind.unresolved_severity(consequence.unwrap_or(Consequence::None));
        let of = |verdict: Verdict, same: Severity| {
            let open = if severity == same { unresolved } else { 0 };
            u64::from(finding.verdicts[verdict as usize].load(Relaxed)) + open
        };
        let warnings = of(Verdict::Warning, Severity::Warning);
        let errors = of(Verdict::Error, Severity::Error);
        counts[0] += warnings;
        counts[1] += errors;
        for (n, severity) in [(warnings, Severity::Warning), (errors, Severity::Error)] {
            if n > 0 && worst.is_none_or(|(w, _)| w < severity) {
                worst = Some((severity, kind));
            }
        }
    }
    let Some((severity, kind)) = worst else { return };
    let head = DETECTOR.record.head();
    Line::new()
        .text("pid ")
        .number(u64::from(head.pid.load(Relaxed)))
        .text(": ")
        .number(counts[1])
        .text(" error(s), ")
        .number(counts[0])
        .text(" warning(s); the worst is ")
        .text(kind.name())
        .text(" (")
        .text(severity.name())
        .text(")")
        .say();
    Line::new()
        .text("for the report: deadwalk run -- PROGRAM, or DEADWALK_OPTIONS=output=DIR")
        .say();
}
