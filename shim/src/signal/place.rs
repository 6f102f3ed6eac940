//! Where memory was accessed that traps: the stack of the instruction that faulted.
//!
//! An access of the program's own code is told by the instruction, with the stack of the
//! first one there: to unwind costs more than all else that is done about an access. One in
//! a library (`strlen`, `memcpy`, a container) says nothing without its caller, so there
//! each is unwound as far as the program.
//!
//! Ground rules. Unwinding may fault, so it is an [`attempt`](super::attempt), aside where
//! possible: there may be no room for it on the thread's stack. Where no call may be made,
//! or another thread takes long, the instruction is all that is told. Contexts: the handler
//! of SIGSEGV, with errno kept by the caller.

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use deadwalk_detector::DETECTOR;

use super::attempt::{self, Turn};
use super::crash::{change_mask, has_room};
use super::leave::alternate_stack;
use super::trampoline::register;
use super::walk::Walk;
use super::{bit, is_vfork_child};
use crate::host::Host;
use crate::{modules, sandbox, tls};

/// Places in the code whose stacks are remembered; others are unwound again.
const PLACES: usize = 1024;
/// How many are looked at for one.
const LOOK: usize = 16;
/// Callers at most that tell accesses in libraries apart.
const CALLERS: usize = 4;

struct Place {
    /// The addresses that make it up, mixed; 0 for none.
    key: AtomicU64,
    /// The record's stack.
    stack: AtomicU32,
}

static PLACE: [Place; PLACES] =
    [const { Place { key: AtomicU64::new(0), stack: AtomicU32::new(0) } }; PLACES];

/// A fork child's record is its own.
pub fn reset_after_fork() {
    attempt::reset_after_fork();
    for place in &PLACE {
        place.key.store(0, Relaxed);
        place.stack.store(0, Relaxed);
    }
}

/// The record's stack of the instruction that faulted; 0 if it could not be unwound.
pub fn of(context: &libc::ucontext_t) -> u32 {
    let ip = register(context, libc::REG_RIP);
    let is_program = modules::is_program(ip);
    let known = if is_program { known(key(&[ip])) } else { None };
    known.unwrap_or_else(|| unwound(ip, is_program))
}

/// Tells what `f` tells as accessed there.
pub fn telling<T>(stack: u32, f: impl FnOnce() -> T) -> T {
    let before = tls::access_stack();
    tls::set_access_stack(stack.into());
    let result = f();
    tls::set_access_stack(before);
    result
}

/// The stack of the access that is being told, 0 if none is known.
pub fn told() -> u32 {
    tls::access_stack() as u32
}

fn unwound(ip: usize, is_program: bool) -> u32 {
    let is_alternate = !alternate_stack().is_empty();
    if sandbox::is_sandboxed() || is_vfork_child() || is_alternate && !has_room() {
        return 0;
    }
    let faults = bit(libc::SIGSEGV - 1) | bit(libc::SIGBUS - 1);
    let blocked = change_mask(libc::SIG_SETMASK, !faults);
    let stack = Turn::take_soon().map_or(0, |turn| in_turn(&turn, ip, is_program, is_alternate));
    change_mask(libc::SIG_SETMASK, blocked);
    stack
}

fn in_turn(turn: &Turn, ip: usize, is_program: bool, is_alternate: bool) -> u32 {
    let unwind = |mut walk: Walk| {
        if is_alternate {
            turn.attempt(Walk::go, &mut walk);
        } else {
            turn.attempt_aside(Walk::go, &mut walk);
        }
        walk
    };
    let key = if is_program {
        key(&[ip])
    } else {
        let is_last = |addr, count| modules::is_program(addr) || count > CALLERS;
        key(unwind(Walk::until(ip, is_last)).frames())
    };
    known(key).unwrap_or_else(|| {
        let walk = unwind(Walk::new(ip));
        // What we look at for the program is its caller's access.
        let frames = walk.frames();
        let skipped = usize::from(modules::is_own(ip) && frames.len() > 1);
        let stack = DETECTOR.record.stack(&Host, &frames[skipped..]);
        remember(key, stack);
        stack
    })
}

fn key(frames: &[usize]) -> u64 {
    let mix = |key: u64, &frame: &usize| {
        (key ^ frame as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    };
    frames.iter().fold(0, mix) | 1
}

fn places(key: u64) -> impl Iterator<Item = &'static Place> {
    (0..LOOK).map(move |at| &PLACE[((key >> 32) as usize + at) % PLACES])
}

fn known(key: u64) -> Option<u32> {
    let place = places(key).find(|place| place.key.load(Acquire) == key)?;
    Some(place.stack.load(Relaxed))
}

/// By who has the turn.
fn remember(key: u64, stack: u32) {
    if let Some(place) = places(key).find(|place| place.key.load(Relaxed) == 0) {
        place.stack.store(stack, Relaxed);
        place.key.store(key, Release);
    }
}
