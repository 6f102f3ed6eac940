//! Who set the process's one real-time clock, and who took it from whom.
//!
//! A user is a handler, the one in force when the clock was armed, and the object whose
//! code armed it. The clock is *taken* if it is armed, not yet due, and set by a call
//! where both differ: of one object with two handlers it is its own business. That is
//! legal if the taker gives it back, arming it again under the first handler; the
//! verdict is a warning only if the first user's time passed before anything of the kind
//! happened, and it (or the process) ends without its expiry.
//!
//! The other two clocks count time that the process computes, so nobody can say when
//! they would have expired.
//!
//! Contexts: as `setitimer`: atomics only, also in a signal handler. Two threads that
//! set the clock at once may mix their traces; what is told is told once.

use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};

use deadwalk_detector::{DETECTOR, TimerRef};

use crate::{exit, host, modules, signal};

/// A user, and when its next expiry is due.
struct User {
    handler: AtomicUsize,
    site: AtomicUsize,
    due_ns: AtomicU64,
    interval_ns: AtomicU64,
}

impl User {
    const fn new() -> User {
        User {
            handler: AtomicUsize::new(0),
            site: AtomicUsize::new(0),
            due_ns: AtomicU64::new(0),
            interval_ns: AtomicU64::new(0),
        }
    }

    fn is(&self, handler: usize, site: usize, due_ns: u64, interval_ns: u64) {
        self.handler.store(handler, Relaxed);
        self.site.store(site, Relaxed);
        self.due_ns.store(due_ns, Relaxed);
        self.interval_ns.store(interval_ns, Relaxed);
    }

    /// Is this call made by its code? Where that cannot be said (code made at run time,
    /// an object that is gone), yes.
    fn is_object_of(&self, site: usize) -> bool {
        let own = self.site.load(Relaxed);
        own == site || modules::range_of(own).is_none_or(|range| range.contains(&site))
    }
}

/// Who armed the clock last.
static ARMED: User = User::new();
/// Whom it was taken from.
static ROBBED: User = User::new();
/// The open finding about that, counted from 1.
static OPEN: AtomicU64 = AtomicU64::new(0);

/// Times nearer to each other than this are not told apart: a tick, and what a signal
/// takes on its way.
const SLACK_NS: u64 = 20_000_000;

/// A call that is about to set the clock.
pub struct Setting {
    handler: usize,
    site: usize,
    now_ns: u64,
    /// When the one whose expiry was to come would have got it; 0 if this takes nothing
    /// from anybody.
    taken_due_ns: u64,
}

impl Setting {
    /// Looks at who has it, before the call is made.
    pub fn new(timer: Option<TimerRef>, now_ns: u64, site: usize) -> Setting {
        let handler = signal::set_last(libc::SIGALRM);
        let is_armed = timer.is_some_and(|timer| DETECTOR.is_armed(timer));
        let own = ARMED.handler.load(Relaxed);
        let taken_due_ns = if is_armed && own != handler && own != libc::SIG_IGN {
            next_due_ns(&ARMED, now_ns)
        } else {
            0
        };
        Setting { handler, site, now_ns, taken_due_ns }
    }

    /// The call was made: it armed the clock for so long, or with 0 stopped it.
    pub fn done(&self, timer: Option<TimerRef>, value_ns: u64, interval_ns: u64) {
        self.settle(value_ns != 0);
        if let Some(timer) = timer
            && self.taken_due_ns > self.now_ns + SLACK_NS
            && OPEN.load(Relaxed) == 0
            && !ARMED.is_object_of(self.site)
            && !exit::is_other_process()
        {
            let (handler, arm_site) = (ARMED.handler.load(Relaxed), ARMED.site.load(Relaxed));
            ROBBED.is(handler, arm_site, self.taken_due_ns, 0);
            if let Some(finding) = DETECTOR.clock_taken(timer, handler, arm_site, self.site) {
                OPEN.store(u64::from(finding) + 1, Relaxed);
            }
        }
        if value_ns != 0 {
            let due_ns = self.now_ns.saturating_add(value_ns);
            ARMED.is(self.handler, self.site, due_ns, interval_ns);
        }
    }

    /// Gives the verdict on an open taking, if this call decides it.
    fn settle(&self, arms: bool) {
        if OPEN.load(Relaxed) == 0 {
            return;
        }
        let is_given_back = arms && self.handler == ROBBED.handler.load(Relaxed);
        if is_given_back || ROBBED.is_object_of(self.site) {
            judge(!is_given_back && is_past(self.now_ns));
        }
    }
}

/// When a user's next expiry after `now_ns` is due; in the past if it was to be one only.
fn next_due_ns(user: &User, now_ns: u64) -> u64 {
    let (due_ns, interval_ns) = (user.due_ns.load(Relaxed), user.interval_ns.load(Relaxed));
    match now_ns.checked_sub(due_ns) {
        Some(late_ns) if interval_ns > 0 => now_ns + interval_ns - late_ns % interval_ns,
        _ => due_ns,
    }
}

/// Is the time over when the first user's expiry was to come?
fn is_past(now_ns: u64) -> bool {
    now_ns > ROBBED.due_ns.load(Relaxed).saturating_add(SLACK_NS)
}

fn judge(is_lost: bool) {
    if let Some(finding) = OPEN.swap(0, AcqRel).checked_sub(1) {
        DETECTOR.judge_taken(finding as u32, is_lost);
    }
}

/// The process ends: an expiry that was due and did not come is lost.
pub fn at_exit() {
    if OPEN.load(Relaxed) != 0 {
        judge(is_past(host::coarse_ns()));
    }
}

/// A fork child's clock is not set.
pub fn reset_after_fork() {
    OPEN.store(0, Relaxed);
}
