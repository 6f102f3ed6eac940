//! The detector's platform over system calls.

use core::sync::atomic::Ordering::{Relaxed, Release};

use deadwalk_detector::counters::Counter;
use deadwalk_detector::ladder::Sample;
use deadwalk_detector::platform::{Module, Platform, ThreadToken};
use deadwalk_detector::record::layout::BodySegment;
use deadwalk_detector::{DETECTOR, HeapBlock};

use crate::kernel::holder;
use crate::record_file::Extended;
use crate::thunk::not_cancelled;
use crate::{
    collector, modules, real, record_file, sample, signal, stack, standstill, timer_list, tls,
    unload,
};

/// The platform.
pub struct Host;

/// A clock's time, ns.
pub fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Monotonic time, ns.
pub fn now_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// Monotonic time as of the last tick: at most `COARSE_NS` behind, for a fifth of the
/// cost.
pub fn coarse_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC_COARSE)
}

/// Sleeps until this monotonic time, ns; signals are handled meanwhile. A raw
/// call: no cancellation point.
pub fn sleep_until(ns: u64) {
    let until = libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    };
    loop {
        // SAFETY: `until` is valid; no rest is wanted.
        let result = unsafe {
            libc::syscall(
                libc::SYS_clock_nanosleep,
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &raw const until,
                0usize,
            )
        };
        // SAFETY: errno is thread-local and always valid.
        if result == 0 || unsafe { *libc::__errno_location() } != libc::EINTR {
            return;
        }
    }
}

impl Platform for Host {
    fn now_ns(&self) -> u64 {
        now_ns()
    }

    fn coarse_ns(&self) -> u64 {
        coarse_ns()
    }

    fn thread(&self) -> ThreadToken {
        ThreadToken { tid: tls::tid(), probe: deadwalk_alloc::thread_activity().as_raw() as u64 }
    }

    fn sample(&self, thread: ThreadToken) -> Sample {
        sample::other(thread)
    }

    fn sample_self(&self) -> Sample {
        sample::own()
    }

    fn capture(&self, out: &mut [usize]) -> usize {
        stack::capture(out)
    }

    fn module_of(&self, addr: usize, found: &mut dyn FnMut(&Module<'_>)) {
        modules::module_of(addr, found);
    }

    fn body(&self) -> Option<&'static BodySegment> {
        let head = DETECTOR.record.head();
        // Its first user may be a timer's call, which is no cancellation point.
        match not_cancelled(record_file::extend) {
            Extended::Yes(body) => {
                head.has_body.store(1, Release);
                return Some(body);
            }
            // What is found from now on is not in the file.
            Extended::Failed => {
                head.counters[Counter::DroppedEvents as usize].fetch_add(1, Relaxed);
            }
            Extended::NoFile => {}
        }
        record_file::private_body()
    }

    fn thread_object(&self) -> u64 {
        // SAFETY: takes no arguments and cannot fail.
        unsafe { libc::pthread_self() as u64 }
    }

    fn is_pending(&self, handle: u64) -> bool {
        // SAFETY: an all-zero itimerspec is valid and writable; the handle is
        // one that the registry holds as live.
        unsafe {
            let mut value: libc::itimerspec = core::mem::zeroed();
            real::timer_gettime(handle as usize, &raw mut value) == 0
                && (value.it_value.tv_sec != 0 || value.it_value.tv_nsec != 0)
        }
    }

    fn passes_value(&self, signal: u32) -> bool {
        signal::passes_value(signal as i32)
    }

    fn list_uses(&self, addr: u64, block: &HeapBlock) -> bool {
        timer_list::uses(addr as usize, block)
    }

    fn waits_for(&self, tid: u32) -> Option<u32> {
        holder::waits_for(tid)
    }

    fn needs_waking(&self, tid: u32) -> bool {
        tls::keeping_errno(|| holder::needs_waking(tid))
    }

    fn standstill(&self) -> Option<u64> {
        tls::keeping_errno(standstill::seen)
    }

    fn stack_of_waiter(&self, tid: u32, out: &mut [usize]) -> usize {
        holder::stack_of_waiter(tid, out)
    }

    fn may_call(&self, addr: usize) -> bool {
        unload::may_call(addr)
    }

    fn pause(&self, attempt: u32) {
        // Raw calls: timer_delete is no cancellation point.
        // SAFETY: no pointers but to a local.
        unsafe {
            if attempt < 20 {
                libc::syscall(libc::SYS_sched_yield);
            } else {
                let nap = libc::timespec { tv_sec: 0, tv_nsec: 50_000 };
                let no_rest = core::ptr::null_mut::<libc::timespec>();
                libc::syscall(libc::SYS_nanosleep, &raw const nap, no_rest);
            }
        }
    }

    fn wake(&self) {
        collector::wake();
    }
}
