//! The `timer_*` family.
//!
//! SIGEV_THREAD timers get our thunk for a handler. Those that send a signal pass
//! through untouched: the handler of the signal is watched (`signal/timed.rs`). One of
//! SIGEV_NONE is counted. What libc or the kernel answers is what the program gets.
//!
//! A vfork child has timers of its own and its parent's memory: its calls pass.
//!
//! Contexts: as libc's functions; `timer_settime`, `timer_gettime` and
//! `timer_getoverrun` may be called in a signal handler.

use core::ffi::c_void;

use deadwalk_alloc::BlockState;
use deadwalk_detector::counters::Counter;
use deadwalk_detector::deletes::{Arming, Deleted, Deletion, Handle, NewTimer};
use deadwalk_detector::platform::COARSE_NS;
use deadwalk_detector::{Api, DETECTOR, HeapBlock, Notify, Op, TimerRef};

use crate::stale_calls::structures::{self, Structure};
use crate::tls::keeping_errno;
use crate::told::Told;
use crate::{
    collector, heal, host, jump, provoke, real, resources, signal, thunk, tls, unwinder, watch,
};

/// `struct sigevent` as glibc lays it out.
#[repr(C)]
#[derive(Clone, Copy)]
struct SigEvent {
    value: usize,
    signo: i32,
    notify: i32,
    function: usize,
    attributes: usize,
    rest: [u64; 4],
}

const _: () = assert!(size_of::<SigEvent>() == size_of::<libc::sigevent>());

export_with_site!("rcx", create, timer_create);
export_with_site!("rsi", delete, timer_delete);
export_with_site!("r8", settime, timer_settime);
export_with_site!("rdx", gettime, timer_gettime);
export_with_site!("rsi", getoverrun, timer_getoverrun);

unsafe extern "C" fn create(
    clock: libc::clockid_t,
    event: *const SigEvent,
    timer: *mut usize,
    _site: usize,
) -> i32 {
    let structures = [Structure::read(event), Structure::written(timer)];
    // SAFETY: the caller's promise, of these or their aliases.
    structures::with(c"timer_create", structures, |[event, timer]| unsafe {
        create_with(clock, event as *const SigEvent, timer as *mut usize)
    })
}

/// [`create`], with memory that may be accessed.
///
/// # Safety
///
/// As libc's function.
unsafe fn create_with(clock: libc::clockid_t, event: *const SigEvent, timer: *mut usize) -> i32 {
    keeping_errno(collector::start_if_wished);
    keeping_errno(heal::give_back);
    // SAFETY: `event` is null or a sigevent, by the caller's promise.
    let wanted = unsafe { event.as_ref() };
    if DETECTOR.platform().is_none() || tls::is_vfork_child() {
        // SAFETY: the caller's promise.
        return unsafe { real::timer_create(clock, event.cast_mut().cast::<c_void>(), timer) };
    }
    let new = keeping_errno(|| described(wanted));
    if new.notify != Notify::Nobody {
        keeping_errno(unwinder::load);
    }
    let known = keeping_errno(|| DETECTOR.init_timer(&new));
    if let Some(known) = known {
        DETECTOR.set_clock(known, clock as u32);
    }
    let ours = match (wanted, known) {
        (Some(event), Some(known)) if new.notify == Notify::Thread => Some(SigEvent {
            value: known.pack() as usize,
            function: thunk::timer_thunk as *const () as usize,
            ..*event
        }),
        _ => None,
    };
    let passed = ours.as_ref().map_or(event, |e| &raw const *e);
    // SAFETY: the caller's promise; our copy differs in handler and value only.
    let result = unsafe { real::timer_create(clock, passed.cast_mut().cast::<c_void>(), timer) };
    // SAFETY: after a success libc has written the handle there.
    let handle = (result == 0).then(|| unsafe { *timer } as u64);
    keeping_errno(|| match (known, handle) {
        (Some(known), Some(handle)) => {
            DETECTOR.bind_timer(known, handle);
            if new.notify == Notify::Nobody {
                DETECTOR.record.count(Counter::TimersPassedThrough, 1);
            }
        }
        (Some(known), None) => DETECTOR.abandon_timer(known),
        (None, Some(handle)) => DETECTOR.unwatched_timer(handle),
        (None, None) => {}
    });
    result
}

/// What the program asks for. Without a sigevent that is a SIGALRM.
fn described(event: Option<&SigEvent>) -> NewTimer {
    let Some(event) = event else {
        return NewTimer {
            handler: signal::handler_of(libc::SIGALRM),
            notify: Notify::Signal,
            signal: libc::SIGALRM as u32,
            ..NewTimer::default()
        };
    };
    let (handler, notify, signal) = match event.notify {
        libc::SIGEV_THREAD => (event.function, Notify::Thread, 0),
        libc::SIGEV_SIGNAL | libc::SIGEV_THREAD_ID => {
            (signal::handler_of(event.signo), Notify::Signal, event.signo as u32)
        }
        _ => return NewTimer::default(),
    };
    let (value, block) = (event.value, watched_block(event.value));
    NewTimer { handler, value, block, notify, signal }
}

/// The live heap block that a handler's value points into, watched from now on.
fn watched_block(value: usize) -> Option<HeapBlock> {
    let block = deadwalk_alloc::watch(value).filter(|b| b.state == BlockState::Live)?;
    Some(HeapBlock { base: block.base, size: block.size, alloc_site: block.alloc_site })
}

/// The timer of a handle, if it is watched; a call on a deleted one is reported, and
/// by `heal=on` refused.
fn known(handle: usize) -> Result<Option<TimerRef>, Refused> {
    if DETECTOR.platform().is_none() || tls::is_vfork_child() {
        return Ok(None);
    }
    match DETECTOR.handle(handle as u64) {
        Handle::Known(timer) => Ok(Some(timer)),
        Handle::Stale(timer) => {
            DETECTOR.stale_call(timer);
            if DETECTOR.heals_stale_call(timer) { Err(Refused) } else { Ok(None) }
        }
        Handle::Unknown => Ok(None),
    }
}

/// A call that is not made, since libc would read freed memory.
struct Refused;

impl Refused {
    /// What the program gets: as of a handle that the kernel does not know.
    fn answer(self) -> i32 {
        // SAFETY: errno is thread-local and always valid.
        unsafe { *libc::__errno_location() = libc::EINVAL };
        -1
    }
}

/// A delete or disarm succeeded.
///
/// It may be held up before it returns (option `provoke`), but not under a handler
/// that it lands on. What it finds is looked at after that: a handler that starts
/// meanwhile has not started after the delete had returned. One that waited is held
/// up behind its wait, when no handler starts any more.
pub fn finish(deletion: Deletion) {
    let is_provoked = DETECTOR.provoke.is_on() && DETECTOR.has_thread(deletion.timer());
    let is_running = is_provoked && DETECTOR.is_running(deletion.timer());
    let hold_up = || thunk::not_cancelled(|| provoke::before_return(Api::Posix));
    if is_provoked && !is_running {
        hold_up();
    }
    let deleted = keeping_errno(|| DETECTOR.finish_delete(deletion));
    watch_waits(deleted);
    if is_running && deleted.waited && deleted.landed == 0 {
        hold_up();
    }
}

/// After a delete or disarm: the waits of this thread matter if it landed.
fn watch_waits(deleted: Deleted) {
    if deleted.landed > 0 {
        resources::landed();
        keeping_errno(watch::landed);
    }
}

unsafe extern "C-unwind" fn delete(handle: usize, site: usize) -> i32 {
    jump::called();
    let told = keeping_errno(|| -> Result<Told, Refused> {
        let timer = known(handle)?;
        let begin = |timer| DETECTOR.begin_delete(timer, Op::TimerDelete, site);
        Ok(Told::deletion(timer.and_then(begin)))
    });
    let told = match told {
        Ok(told) => told,
        Err(refused) => return refused.answer(),
    };
    // SAFETY: the caller's promise.
    let result = unsafe { real::timer_delete(handle) };
    told.called(result == 0);
    collector::start_if_wished();
    result
}

unsafe extern "C-unwind" fn settime(
    handle: usize,
    flags: i32,
    new: *const libc::itimerspec,
    old: *mut libc::itimerspec,
    site: usize,
) -> i32 {
    jump::called();
    let structures = [Structure::read(new), Structure::written(old)];
    structures::with(c"timer_settime", structures, |[new, old]| {
        let (new, old) = (new as *const libc::itimerspec, old as *mut libc::itimerspec);
        let told = match keeping_errno(|| tell(handle, flags, new, site)) {
            Ok(told) => told,
            Err(refused) => return refused.answer(),
        };
        // SAFETY: the caller's promise, of these or their aliases.
        let result = unsafe { real::timer_settime(handle, flags, new, old) };
        told.called(result == 0);
        result
    })
}

/// Tells of a `timer_settime` that the kernel is about to be asked for.
fn tell(
    handle: usize,
    flags: i32,
    new: *const libc::itimerspec,
    site: usize,
) -> Result<Told, Refused> {
    // SAFETY: null or an itimerspec, by the caller's promise.
    let (Some(timer), Some(wanted)) = (known(handle)?, unsafe { sane(new).as_ref() }) else {
        return Ok(Told::Nothing);
    };
    if is_zero(&wanted.it_value) {
        return Ok(Told::deletion(DETECTOR.begin_delete(timer, Op::TimerSettime, site)));
    }
    handler_may_have_changed(timer);
    Ok(Told::arming(arm(timer, flags, wanted, site)))
}

/// Does such a time stop a timer?
pub fn is_zero(time: &libc::timespec) -> bool {
    time.tv_sec == 0 && time.tv_nsec == 0
}

/// The handler of a timer that sends a signal is the one in force.
fn handler_may_have_changed(timer: TimerRef) {
    match DETECTOR.signal_of(timer) {
        0 => {}
        signal => DETECTOR.set_handler(timer, signal::handler_of(signal as i32)),
    }
}

/// Null for a pointer that the kernel refuses (EFAULT) in a program that tries
/// just that: the first page, the kernel's half.
pub fn sane<T>(new: *const T) -> *const T {
    if (4096..1 << 47).contains(&(new as usize)) { new } else { core::ptr::null() }
}

/// Tells of an arming that the kernel is about to be asked for.
fn arm(timer: TimerRef, flags: i32, wanted: &libc::itimerspec, site: usize) -> Option<Arming> {
    let periodic = !is_zero(&wanted.it_interval);
    let seconds_ns = (wanted.it_value.tv_sec as u64).saturating_mul(1_000_000_000);
    let value_ns = seconds_ns.saturating_add(wanted.it_value.tv_nsec as u64);
    let clock = DETECTOR.clock(timer)? as libc::clockid_t;
    match (clock, flags & libc::TIMER_ABSTIME != 0) {
        (libc::CLOCK_MONOTONIC, true) => DETECTOR.arm_not_before(timer, periodic, value_ns, site),
        // The kernel counts a relative time of CLOCK_REALTIME on this clock too.
        (libc::CLOCK_MONOTONIC | libc::CLOCK_REALTIME, false) => {
            let due_ns = arming_ns(value_ns).saturating_add(value_ns);
            DETECTOR.arm_not_before(timer, periodic, due_ns, site)
        }
        // A time on a clock that we do not keep.
        (_, true) => DETECTOR.arm(timer, periodic, 0, site),
        // Clocks that stand still, or run ahead of ours: somewhat early.
        (_, false) => {
            let due_ns = arming_ns(value_ns).saturating_add(value_ns / 2);
            DETECTOR.arm(timer, periodic, due_ns, site)
        }
    }
}

/// The time, or a little earlier where that is nothing beside the delay: a clock is a
/// third of what there is to do for an arming.
fn arming_ns(delay_ns: u64) -> u64 {
    if delay_ns > COARSE_NS { host::coarse_ns() } else { host::now_ns() }
}

unsafe extern "C" fn gettime(handle: usize, value: *mut libc::itimerspec, _site: usize) -> i32 {
    jump::called();
    if let Err(refused) = keeping_errno(|| known(handle)) {
        return refused.answer();
    }
    // SAFETY: the caller's promise, of this or its alias.
    structures::with(c"timer_gettime", [Structure::written(value)], |[value]| unsafe {
        real::timer_gettime(handle, value as *mut libc::itimerspec)
    })
}

unsafe extern "C" fn getoverrun(handle: usize, _site: usize) -> i32 {
    jump::called();
    if let Err(refused) = keeping_errno(|| known(handle)) {
        return refused.answer();
    }
    // SAFETY: the caller's promise.
    unsafe { real::timer_getoverrun(handle) }
}
