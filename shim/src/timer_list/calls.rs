//! The exports behind `deadwalk/timer.h`, and of `deadwalk/deadwalk.h` what
//! concerns timers.
//!
//! Each is a thunk that hands on its caller's return address. Contexts: ordinary
//! threads and timer handlers. errno is as before.

use core::arch::asm;
use core::ffi::{CStr, c_char};

use deadwalk_detector::Op;
use deadwalk_detector::options::DelPolicy;
use deadwalk_timer::Arm;

use crate::thunk::{not_cancelled, not_cancelled_at_once};
use crate::timer_list::{ENGINE, ticks};
use crate::{jump, tls};

export_with_site!("rsi", init, deadwalk_init_timer);
export_with_site!("rcx", setup, deadwalk_timer_setup, deadwalk_timer_setup_on_stack);
export_with_site!("rsi", destroy, deadwalk_destroy_timer_on_stack);
export_with_site!("rsi", add, deadwalk_add_timer);
export_with_site!("rdx", add_on, deadwalk_add_timer_on);
export_with_site!("rdx", modify, deadwalk_mod_timer);
export_with_site!("rdx", modify_pending, deadwalk_mod_timer_pending);
export_with_site!("rdx", reduce, deadwalk_timer_reduce);
export_with_site!("rsi", pending, deadwalk_timer_pending);
export_with_site!("rsi", exit, deadwalk_timer_exit);
export_with_site!("rdi", sync, deadwalk_sync_timers, deadwalk_wait_on_timers);
export_with_site!("rdx", unload, deadwalk_module_unload);

/// A call that a handler's verdict counts; errno stays. A thread that may be
/// cancelled at any instruction is so before or behind it: hence the "C-unwind"
/// of all these functions.
fn call<T>(f: impl FnOnce() -> T) -> T {
    jump::called();
    not_cancelled(|| tls::keeping_errno(f))
}

/// The same for what a program calls all the time: its rare parts, where there are
/// cancellation points, are shielded by themselves (`process.rs`).
#[inline]
fn frequent_call<T>(f: impl FnOnce() -> T) -> T {
    jump::called();
    not_cancelled_at_once(|| tls::keeping_errno(f))
}

unsafe extern "C-unwind" fn init(timer: usize, site: usize) {
    call(|| ENGINE.init(timer, None, 0, site));
}

unsafe extern "C-unwind" fn setup(timer: usize, handler: usize, flags: u32, site: usize) {
    call(|| ENGINE.init(timer, Some(handler), flags, site));
}

/// The frame of a timer on the stack ends: an armed or running timer there is
/// misused from now on.
unsafe extern "C-unwind" fn destroy(timer: usize, site: usize) {
    call(|| ENGINE.destroy_on_stack(timer, site));
}

/// Has the timer's cache line fetched while the engine's lock is taken and its record
/// is looked up: among a million timers that is half of what a call waits for.
#[inline(always)]
fn fetch(timer: usize) {
    // SAFETY: a hint, which faults at no address.
    unsafe { asm!("prefetchw [{}]", in(reg) timer, options(nostack, preserves_flags)) }
}

unsafe extern "C-unwind" fn add(timer: usize, site: usize) {
    fetch(timer);
    frequent_call(|| ENGINE.arm(timer, Arm::Add, site));
}

unsafe extern "C-unwind" fn add_on(timer: usize, cpu: i32, site: usize) {
    frequent_call(|| ENGINE.arm(timer, Arm::AddOn(cpu.max(0) as usize), site));
}

unsafe extern "C-unwind" fn modify(timer: usize, expires: usize, site: usize) -> i32 {
    fetch(timer);
    frequent_call(|| ENGINE.arm(timer, Arm::Mod(expires), site))
}

unsafe extern "C-unwind" fn modify_pending(timer: usize, expires: usize, site: usize) -> i32 {
    frequent_call(|| ENGINE.arm(timer, Arm::ModPending(expires), site))
}

unsafe extern "C-unwind" fn reduce(timer: usize, expires: usize, site: usize) -> i32 {
    frequent_call(|| ENGINE.arm(timer, Arm::Reduce(expires), site))
}

unsafe extern "C-unwind" fn pending(timer: usize, site: usize) -> i32 {
    frequent_call(|| ENGINE.pending(timer, site))
}

unsafe extern "C-unwind" fn exit(timer: usize, _site: usize) {
    call(|| ENGINE.exit_handler(timer));
}

unsafe extern "C-unwind" fn sync(site: usize) {
    call(|| ENGINE.sync(site));
}

unsafe extern "C-unwind" fn unload(low: usize, high: usize, site: usize) -> i32 {
    call(|| ENGINE.unload(low..high, site)).try_into().unwrap_or(i32::MAX)
}

fn delete(timer: usize, op: Op, site: usize) -> i32 {
    let landed_before = tls::landed_ns_word();
    let result = ENGINE.delete(timer, op, site);
    if result >= 0 && tls::landed_ns_word() == landed_before {
        ticks::hold_up_return();
    }
    result
}

/// Exports a delete of the family.
macro_rules! delete {
    ($($export:ident: $name:ident = $op:ident;)+) => {
        $(
            export_with_site!("rsi", $name, $export);

            unsafe extern "C-unwind" fn $name(timer: usize, site: usize) -> i32 {
                fetch(timer);
                frequent_call(|| delete(timer, Op::$op, site))
            }
        )+
    };
}

delete! {
    deadwalk_del_timer: del_timer = DelTimer;
    deadwalk_del_timer_async: del_timer_async = DelTimerAsync;
    deadwalk_del_timer_sync: del_timer_sync = DelTimerSync;
    deadwalk_try_to_del_timer_sync: try_to_del_timer_sync = TryToDelTimerSync;
    deadwalk_timer_delete: timer_delete = TimerDelete;
    deadwalk_timer_delete_sync: timer_delete_sync = TimerDeleteSync;
    deadwalk_timer_delete_sync_try: timer_delete_sync_try = TimerDeleteSyncTry;
    deadwalk_timer_shutdown: timer_shutdown = TimerShutdown;
    deadwalk_timer_shutdown_sync: timer_shutdown_sync = TimerShutdownSync;
}

/// Starts the ticks: every program that includes the header calls this before
/// main, so that its `jiffies` run.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_timer_start() {
    tls::keeping_errno(ticks::start);
}

/// As [`deadwalk_timer_start`], of a program whose `HZ` is `hz`.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_timer_start_hz(hz: u32) {
    tls::keeping_errno(|| ticks::start_for(hz));
}

/// Lets `ticks` ticks of virtual time pass; how many handlers that called. The
/// first call, also with 0, stops real time for good.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn deadwalk_timer_advance(ticks: u64) -> u64 {
    ticks::advance(ticks)
}

/// Sets the policy by its name: 0, or -1 if there is none of that name.
///
/// # Safety
///
/// * `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_set_policy(name: *const c_char) -> i32 {
    if name.is_null() {
        return -1;
    }
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    match name.to_str().ok().and_then(DelPolicy::from_name) {
        Some(policy) => {
            super::set_policy(policy);
            0
        }
        None => -1,
    }
}

/// The policy's name.
#[unsafe(no_mangle)]
pub extern "C" fn deadwalk_policy() -> *const c_char {
    match ENGINE.policy() {
        DelPolicy::Async => c"async",
        DelPolicy::Sync => c"sync",
        DelPolicy::Running => c"running",
    }
    .as_ptr()
}
