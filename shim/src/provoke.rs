//! The delays of option `provoke`: where a race is won or lost, a thread is held
//! up for a random time. How long, [`deadwalk_detector::provoke`] says.
//!
//! # Ground rules
//!
//! * A handler is held up after the detector knows that it runs and before it is
//!   called: deletes and frees meanwhile land on it, and the engine's lock is open.
//! * A delete is held up when it has taken effect, unless it landed: that race is
//!   made, and a delay would only let the handler end before the delete returns.
//! * Not held up: a delete that a handler makes (a pause in a handler would say
//!   that it "went on"); a vfork child; whoever may not sleep, in a sandbox; and
//!   nobody once the process ends.
//! * The program sees nothing but time: errno and the signal mask are as before, a
//!   signal is handled and the rest slept, and nothing here is a cancellation point.

use deadwalk_detector::counters::Counter;
use deadwalk_detector::provoke::{LIMIT_MAX_US, Moment, delay_ns};
use deadwalk_detector::{Api, DETECTOR, RunRef};

use crate::{exit, host, sandbox, tls};

/// A seed for a process that was given none: nine digits, to be typed again.
pub fn new_seed() -> u64 {
    let word = host::now_ns() ^ u64::from(std::process::id()) << 32;
    delay_ns(word, LIMIT_MAX_US, Api::Posix, Moment::Entry, 0)
}

/// A handler is about to be called, as `run`. Off, it is a load and a branch.
#[inline]
pub fn before_handler(api: Api, run: Option<RunRef>) {
    if DETECTOR.provoke.is_on()
        && let Some(run) = run
    {
        hold(api, run);
    }
}

/// A delete has taken effect, without landing, and is about to return.
#[inline]
pub fn before_return(api: Api) {
    if DETECTOR.provoke.is_on() {
        delay(api);
    }
}

#[cold]
fn hold(api: Api, run: RunRef) {
    if !may_sleep() {
        return;
    }
    DETECTOR.hold(run, true);
    sleep(api, Moment::Entry);
    DETECTOR.hold(run, false);
}

#[cold]
fn delay(api: Api) {
    let is_in_handler = tls::hooks() & tls::IN_HANDLER != 0 || tls::cpu_word() != 0;
    if !is_in_handler && may_sleep() {
        sleep(api, Moment::Return);
    }
}

fn may_sleep() -> bool {
    !sandbox::is_sandboxed() && !exit::is_other_process()
}

fn sleep(api: Api, moment: Moment) {
    let Some(ns) = DETECTOR.provoke.draw(api, moment) else { return };
    DETECTOR.record.count(Counter::TimersProvoked, 1);
    tls::keeping_errno(|| host::sleep_until(host::now_ns() + ns));
}
