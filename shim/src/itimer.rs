//! `setitimer`, `alarm` and `ualarm`: the process's three clocks, each a timer that
//! sends a fixed signal. `alarm` and `ualarm` set the first of them.
//!
//! A clock becomes a watched timer when it is first set; its handler is the one in
//! force for its signal (`signal/timed.rs`). The kernel keeps a clock through exec,
//! and gives none to a fork child.
//!
//! Contexts: as libc's functions, also in a signal handler: atomics and clock reads
//! only. A vfork child's calls pass: its clocks are its own, its memory is its parent's.
//! Of other children that share it nothing may be told that the parent answers for;
//! asking for the process's id costs a system call, so it is asked only when there is
//! something to tell.

use core::ffi::c_int;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use deadwalk_detector::{DETECTOR, Op, TimerRef};

use crate::clock_users::Setting;
use crate::stale_calls::structures::{self, Structure};
use crate::tls::keeping_errno;
use crate::told::Told;
use crate::{collector, exit, host, jump, posix_timer, real, signal, tls};

export_with_site!("rcx", set, setitimer);
export_with_site!("rsi", set_alarm, alarm);
export_with_site!("rdx", set_ualarm, ualarm);

/// The signal of each clock, by its number.
const SIGNALS: [c_int; 3] = [libc::SIGALRM, libc::SIGVTALRM, libc::SIGPROF];

/// The timer of each clock, packed; 0 as long as it was never set.
static CLOCKS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// What a call sets a clock to.
struct Wanted {
    which: c_int,
    /// 0 disarms.
    value_ns: u64,
    interval_ns: u64,
    op: Op,
    site: usize,
}

/// The watched timer whose expiry sends this signal, if the kernel sent it.
pub fn timer_of(signal: c_int) -> Option<TimerRef> {
    known(SIGNALS.iter().position(|&s| s == signal)?)
}

/// Is this the signal of a clock?
pub fn is_clocks(signal: c_int) -> bool {
    SIGNALS.contains(&signal)
}

/// A fork child's clocks are not set.
pub fn reset_after_fork() {
    for clock in &CLOCKS {
        clock.store(0, Relaxed);
    }
}

fn known(which: usize) -> Option<TimerRef> {
    match CLOCKS[which].load(Relaxed) {
        0 => None,
        word => Some(TimerRef::unpack(word)),
    }
}

/// The timer of a clock that is about to be armed.
fn known_or_new(which: usize) -> Option<TimerRef> {
    known(which).or_else(|| {
        let new = DETECTOR.init_clock(SIGNALS[which] as u32)?;
        match CLOCKS[which].compare_exchange(0, new.pack(), Relaxed, Relaxed) {
            Ok(_) => DETECTOR.clock_is_used(),
            Err(_) => DETECTOR.abandon_timer(new),
        }
        known(which)
    })
}

impl Wanted {
    fn tell(&self, now_ns: u64) -> Told {
        let Ok(which) = usize::try_from(self.which) else { return Told::Nothing };
        if which >= CLOCKS.len() || DETECTOR.platform().is_none() {
            return Told::Nothing;
        }
        if self.value_ns == 0 {
            let timer = known(which).filter(|&timer| is_answered_for(timer));
            let begin = |timer| DETECTOR.begin_delete(timer, self.op, self.site);
            return Told::deletion(timer.and_then(begin));
        }
        let Some(timer) = known_or_new(which) else { return Told::Nothing };
        DETECTOR.set_handler(timer, signal::handler_of(SIGNALS[which]));
        // The other two count time that the process computes.
        let due_ns = match self.which {
            libc::ITIMER_REAL => now_ns.saturating_add(self.value_ns / 2),
            _ => 0,
        };
        Told::arming(DETECTOR.arm(timer, self.interval_ns != 0, due_ns, self.site))
    }
}

/// Is this process the one whose record a landing on a handler of `timer`, or a
/// suppressed expiry, would stand in?
fn is_answered_for(timer: TimerRef) -> bool {
    let matters = DETECTOR.policy().waits() || DETECTOR.is_running(timer);
    !matters || !exit::is_other_process()
}

/// `alarm` may be called in any signal handler, where no thread may be started.
fn start_collector(wanted: &Wanted) {
    if wanted.op != Op::Alarm {
        collector::start_if_wished();
    }
}

/// Makes a call; `is_done` says of its result whether it succeeded.
fn make<T: Copy>(wanted: &Wanted, call: impl FnOnce() -> T, is_done: impl Fn(T) -> bool) -> T {
    if tls::is_vfork_child() {
        return call();
    }
    jump::called();
    let (setting, told) = keeping_errno(|| {
        start_collector(wanted);
        let now_ns = host::coarse_ns();
        let is_real = wanted.which == libc::ITIMER_REAL;
        let setting = is_real.then(|| Setting::new(known(0), now_ns, wanted.site));
        (setting, wanted.tell(now_ns))
    });
    let result = call();
    if let Some(setting) = setting
        && is_done(result)
    {
        keeping_errno(|| setting.done(known(0), wanted.value_ns, wanted.interval_ns));
    }
    told.called(is_done(result));
    start_collector(wanted);
    result
}

unsafe extern "C-unwind" fn set(
    which: c_int,
    new: *const libc::itimerval,
    old: *mut libc::itimerval,
    site: usize,
) -> c_int {
    let structures = [Structure::read(new), Structure::written(old)];
    // SAFETY: the caller's promise, of these or their aliases.
    structures::with(c"setitimer", structures, |[new, old]| unsafe {
        set_to(which, new as *const libc::itimerval, old as *mut libc::itimerval, site)
    })
}

/// [`set`], with memory that may be accessed.
///
/// # Safety
///
/// As libc's function.
unsafe fn set_to(
    which: c_int,
    new: *const libc::itimerval,
    old: *mut libc::itimerval,
    site: usize,
) -> c_int {
    let ns = |time: &libc::timeval| {
        // What the kernel refuses is anything.
        (time.tv_sec as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add((time.tv_usec as u64).saturating_mul(1_000))
    };
    // SAFETY: null or an itimerval, by the caller's promise.
    let Some(spec) = (unsafe { posix_timer::sane(new).as_ref() }) else {
        // SAFETY: the caller's promise.
        return unsafe { real::setitimer(which, new, old) };
    };
    let wanted = Wanted {
        which,
        value_ns: ns(&spec.it_value),
        interval_ns: ns(&spec.it_interval),
        op: Op::Setitimer,
        site,
    };
    // SAFETY: the caller's promise.
    make(&wanted, || unsafe { real::setitimer(which, new, old) }, |result| result == 0)
}

unsafe extern "C-unwind" fn set_alarm(seconds: u32, site: usize) -> u32 {
    let wanted = Wanted {
        which: libc::ITIMER_REAL,
        value_ns: u64::from(seconds) * 1_000_000_000,
        interval_ns: 0,
        op: Op::Alarm,
        site,
    };
    // It never fails.
    // SAFETY: any number may be passed.
    make(&wanted, || unsafe { real::alarm(seconds) } as u32, |_| true)
}

unsafe extern "C-unwind" fn set_ualarm(value_us: u32, interval_us: u32, site: usize) -> u32 {
    let wanted = Wanted {
        which: libc::ITIMER_REAL,
        value_ns: u64::from(value_us) * 1_000,
        interval_ns: u64::from(interval_us) * 1_000,
        op: Op::Ualarm,
        site,
    };
    // SAFETY: any numbers may be passed.
    make(&wanted, || unsafe { real::ualarm(value_us, interval_us) } as u32, |left| left != u32::MAX)
}
