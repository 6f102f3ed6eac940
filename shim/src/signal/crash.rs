//! A crash: what is known of it goes into the record before the process dies.
//!
//! Ground rules. Called where the kernel's default is about to be set again, never while
//! a handler of the program's may put things right. What happens here must not change
//! how the process dies, so whatever may fault is an [`attempt`](super::attempt).
//! Contexts: handlers of fatal signals, on whatever stack there is.

use core::ffi::c_int;
use core::mem::size_of_val;

use deadwalk_alloc::{POISON_END, POISON_FREE};
use deadwalk_detector::DETECTOR;
use deadwalk_detector::record::crash::{CrashAccess, CrashSpec};
use deadwalk_trap::AccessKind;

use super::attempt::Turn;
use super::leave::alternate_stack;
use super::trampoline::register;
use super::walk::Walk;
use super::{bit, is_vfork_child};
use crate::host::Host;
use crate::tls::keeping_errno;
use crate::{modules, sandbox};

/// Bits of the page fault's error code.
const WRITE: usize = 2;
const FETCH: usize = 16;
/// The processor's number of a page fault.
const PAGE_FAULT: usize = 14;
/// What freed memory reads as, taken as an address.
const POISON: usize = usize::from_ne_bytes([POISON_FREE; 8]);
/// The same for the last word of a slot.
const POISON_AT_END: usize = POISON & !(0xff << 56) | (POISON_END as usize) << 56;
/// A pointer this near to it was made of it: a member's address, a pointer with its low
/// bits taken.
const NEAR: usize = 64 << 10;
/// Addresses whose bits from here up differ are not canonical: #GP, without an address.
const CANONICAL_BITS: u32 = 47;
/// The longest access.
const LONGEST: usize = 64;

/// Records that `signal` is about to end the process, in the handler of which the
/// calling thread is.
pub fn record(signal: c_int, info: &libc::siginfo_t, context: &mut libc::ucontext_t) {
    if is_vfork_child() {
        return;
    }
    if sandbox::is_sandboxed() {
        // Without a system call.
        record_plainly(signal, info, context);
        return;
    }
    let Some(turn) = Turn::take() else { return };
    keeping_errno(|| {
        let blocked =
            change_mask(libc::SIG_UNBLOCK, bit(libc::SIGSEGV - 1) | bit(libc::SIGBUS - 1));
        record_in_turn(&turn, signal, info, context);
        change_mask(libc::SIG_SETMASK, blocked);
    });
}

/// What can be told from the signal's frame alone.
fn record_plainly(signal: c_int, info: &libc::siginfo_t, context: &mut libc::ucontext_t) {
    let mut fault = Fault { spec: bare(signal, info, context), info, context };
    if fault.is_page_fault() {
        fault.tell_page_fault();
    }
    DETECTOR.record.crash(&Host, &fault.spec);
}

fn bare(signal: c_int, info: &libc::siginfo_t, context: &libc::ucontext_t) -> CrashSpec {
    CrashSpec {
        signal: signal as u32,
        code: info.si_code,
        addr: None,
        access: CrashAccess::Unknown,
        poison: 0,
        ip: register(context, libc::REG_RIP),
    }
}

fn record_in_turn(
    turn: &Turn,
    signal: c_int,
    info: &libc::siginfo_t,
    context: &mut libc::ucontext_t,
) {
    let ip = register(context, libc::REG_RIP);
    let spec = bare(signal, info, context);
    let mut fault = Fault { info, context, spec };
    if !turn.attempt(Fault::describe, &mut fault) {
        fault.spec = spec;
    }
    if !DETECTOR.record.crash(&Host, &fault.spec) {
        return;
    }
    let mut walk = Walk::new(ip);
    let Fault { context, .. } = fault;
    let [rip, rsp] = [libc::REG_RIP, libc::REG_RSP].map(|n| n as usize);
    let was = [context.uc_mcontext.gregs[rip], context.uc_mcontext.gregs[rsp]];
    let mut top = Top { stack: was[1] as usize, caller: 0 };
    // Code that is nowhere has no frame that could be unwound: who called it has.
    if !modules::is_loaded(ip) && turn.attempt(Top::look, &mut top) && top.caller != 0 {
        context.uc_mcontext.gregs[rip] = top.caller as i64;
        context.uc_mcontext.gregs[rsp] = was[1] + size_of::<usize>() as i64;
        walk.from = top.caller;
    }
    if has_room() {
        turn.attempt(Walk::go, &mut walk);
    }
    context.uc_mcontext.gregs[rip] = was[0];
    context.uc_mcontext.gregs[rsp] = was[1];
    turn.attempt(store, &mut walk);
}

/// Is there room on the alternate stack, if the thread is on it? What lies below may be
/// anything.
pub fn has_room() -> bool {
    /// What the unwinder takes, with as much to spare.
    const UNWINDING: usize = 12 << 10;
    let alternate = alternate_stack();
    let here = &raw const alternate as usize;
    !alternate.contains(&here) || here - alternate.start >= UNWINDING
}

/// Changes the thread's mask, and returns what it was; no libc function is called, since
/// ours would tell something else.
pub fn change_mask(how: c_int, signals: u64) -> u64 {
    let mut old = 0_u64;
    // SAFETY: two sets of the kernel's size.
    unsafe {
        let (new, how) = (&raw const signals, libc::c_long::from(how));
        libc::syscall(libc::SYS_rt_sigprocmask, how, new, &raw mut old, size_of_val(&old));
    }
    old
}

/// What the signal says.
struct Fault<'a> {
    info: &'a libc::siginfo_t,
    context: &'a mut libc::ucontext_t,
    spec: CrashSpec,
}

impl Fault<'_> {
    extern "C-unwind" fn describe(&mut self) {
        if !self.is_access() {
            return;
        }
        if self.is_page_fault() {
            self.tell_page_fault();
            self.find_poisoned_part();
        } else if let Some(target) = self.target(is_not_canonical) {
            self.spec.addr = Some(target.address);
            self.spec.access = match target.kind {
                AccessKind::Read => CrashAccess::Read,
                AccessKind::Execute => CrashAccess::Execute,
                AccessKind::Write | AccessKind::Update => CrashAccess::Write,
            };
            self.find_poison(&target.pointers);
        }
    }

    /// Was it an access to memory?
    fn is_access(&self) -> bool {
        let signal = self.spec.signal as c_int;
        self.info.si_code > 0 && matches!(signal, libc::SIGSEGV | libc::SIGBUS)
    }

    fn is_page_fault(&self) -> bool {
        self.is_access() && register(self.context, libc::REG_TRAPNO) == PAGE_FAULT
    }

    fn tell_page_fault(&mut self) {
        // SAFETY: a page fault has an address.
        let addr = unsafe { self.info.si_addr() } as usize;
        let error = register(self.context, libc::REG_ERR);
        self.spec.addr = Some(addr);
        self.spec.access = match (error & FETCH, error & WRITE) {
            (0, 0) => CrashAccess::Read,
            (0, _) => CrashAccess::Write,
            _ => CrashAccess::Execute,
        };
        self.find_poison(&[addr]);
    }

    /// Looks at what the address was made of.
    fn find_poisoned_part(&mut self) {
        if self.spec.access != CrashAccess::Execute
            && let Some(addr) = self.spec.addr
            && let Some(target) = self.target(|at| addr.wrapping_sub(at) < LONGEST)
        {
            self.find_poison(&target.pointers);
        }
    }

    fn target(&mut self, is_meant: impl Fn(usize) -> bool) -> Option<deadwalk_trap::Target> {
        // SAFETY: the context of the handler that runs.
        unsafe { deadwalk_trap::target(self.context, is_meant) }
    }

    fn find_poison(&mut self, pointers: &[usize]) {
        if let Some(&poison) = pointers.iter().find(|&&pointer| is_poison(pointer)) {
            self.spec.poison = poison;
        }
    }
}

/// Was this read from freed memory: eight bytes, six of a packed pointer, or the four of
/// an index?
fn is_poison(value: usize) -> bool {
    /// Bits of an address.
    const PACKED: u32 = 48;
    let is_near = |poison: usize| value.wrapping_sub(poison).wrapping_add(NEAR) < 2 * NEAR;
    is_near(POISON)
        || is_near(POISON_AT_END)
        || is_near(POISON & ((1 << PACKED) - 1))
        || value == POISON & 0xffff_ffff
}

fn is_not_canonical(address: usize) -> bool {
    !matches!(address as isize >> CANONICAL_BITS, 0 | -1)
}

/// What lies on top of the stack.
struct Top {
    stack: usize,
    /// The instruction that called, or something in it; 0 if nothing did.
    caller: usize,
}

impl Top {
    extern "C-unwind" fn look(&mut self) {
        // SAFETY: aligned or not; where nothing can be read the attempt fails.
        let top = unsafe { (self.stack as *const usize).read_unaligned() };
        if modules::is_loaded(top.wrapping_sub(1)) {
            self.caller = top.wrapping_sub(1);
        }
    }
}

extern "C-unwind" fn store(walk: &mut Walk) {
    DETECTOR.record.crash_stack(&Host, walk.frames());
}
