//! Does what may fault: unwinding a stack that is damaged, or code that says wrong things
//! of its frames; reading where there is nothing. A fault ends the attempt, and the thread
//! goes on behind it.
//!
//! Ground rules. One thread at a time ([`Turn`]). What is called holds no lock and needs
//! no destructor, for it may be left in the middle. SIGSEGV and SIGBUS must be unblocked
//! and ours; who is to go on afterwards has the other signals blocked, whose handlers may
//! fault too. Contexts: signal handlers.

use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::mem::size_of_val;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};

use crate::tls;

/// The thread whose turn it is; 0 for none.
static OWNER: AtomicU32 = AtomicU32::new(0);
/// The stack of the attempt that is being made; 0 if there is none.
static STACK: AtomicUsize = AtomicUsize::new(0);
/// Where it goes on after a fault.
static BEHIND: AtomicUsize = AtomicUsize::new(0);

/// A stack for those attempts that are not to need the thread's, which may be as small as
/// a coroutine's.
#[repr(C, align(16))]
struct OwnStack(UnsafeCell<[u8; 64 << 10]>);
// SAFETY: only who has the turn is on it.
unsafe impl Sync for OwnStack {}
static OWN_STACK: OwnStack = OwnStack(UnsafeCell::new([0; 64 << 10]));

/// A fork child has one thread, which makes no attempt.
pub fn reset_after_fork() {
    OWNER.store(0, Release);
    STACK.store(0, Release);
}

/// The right to make attempts.
pub struct Turn(());

impl Turn {
    /// Takes the turn for something short, with all signals blocked. Another thread that
    /// has it for that too is waited for; `None` if it takes longer.
    pub fn take_soon() -> Option<Turn> {
        const YIELDS: usize = 200;
        let own = tls::tid();
        for _ in 0..YIELDS {
            match OWNER.compare_exchange(0, own, AcqRel, Relaxed) {
                Ok(_) => return Some(Turn(())),
                Err(owner) if owner == own => return None,
                // SAFETY: takes no arguments.
                Err(_) => unsafe {
                    libc::syscall(libc::SYS_sched_yield);
                },
            }
        }
        None
    }

    /// Takes the turn. Another thread that has it is waited for a little: it dies of what
    /// it tells, and to die first would leave that untold. `None` if it takes too long, or
    /// the turn is this thread's already.
    pub fn take() -> Option<Turn> {
        /// Some 100 ms: a record that grows on a slow disk takes some ten.
        const NAPS: usize = 100;
        static NAP: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        let own = tls::tid();
        for _ in 0..NAPS {
            match OWNER.compare_exchange(0, own, AcqRel, Relaxed) {
                Ok(_) => return Some(Turn(())),
                Err(owner) if owner == own => return None,
                // SAFETY: a time of ours; no rest is wanted.
                Err(_) => unsafe {
                    libc::syscall(libc::SYS_nanosleep, &raw const NAP, 0usize);
                },
            }
        }
        None
    }

    /// Calls `f`; whether it came to its end.
    pub fn attempt<T>(&self, f: extern "C-unwind" fn(&mut T), argument: &mut T) -> bool {
        self.attempt_at(0, f, argument)
    }

    /// The same on a stack of ours. Not from the alternate stack: a fault would begin that
    /// anew.
    pub fn attempt_aside<T>(&self, f: extern "C-unwind" fn(&mut T), argument: &mut T) -> bool {
        let end = OWN_STACK.0.get() as usize + size_of_val(&OWN_STACK);
        self.attempt_at(end, f, argument)
    }

    fn attempt_at<T>(
        &self,
        stack: usize,
        f: extern "C-unwind" fn(&mut T),
        argument: &mut T,
    ) -> bool {
        let argument = (&raw mut *argument) as usize;
        // SAFETY: `f` takes what it is given; the cells are nobody else's meanwhile, nor is
        // the stack.
        let is_done =
            unsafe { enter(f as usize, argument, STACK.as_ptr(), BEHIND.as_ptr(), stack) };
        STACK.store(0, Release);
        is_done != 0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        OWNER.store(0, Release);
    }
}

/// Has the thread of `context`, which faulted, go on behind its attempt; false if it is
/// making none.
pub fn is_left(context: &mut libc::ucontext_t) -> bool {
    let owner = OWNER.load(Acquire);
    let stack = STACK.load(Acquire);
    if owner == 0 || stack == 0 || owner != tls::tid() {
        return false;
    }
    STACK.store(0, Release);
    let gregs = &mut context.uc_mcontext.gregs;
    gregs[libc::REG_RSP as usize] = stack as i64;
    gregs[libc::REG_RIP as usize] = BEHIND.load(Relaxed) as i64;
    true
}

/// Calls a function with one argument, on another stack unless `on` is 0; returns 1, or 0
/// if a fault ended it.
///
/// # Safety
///
/// * `function` may be called with `argument`, and left at any instruction.
/// * `stack` and `behind` are writable.
/// * `on` is 0 or the end of a stack that nobody uses.
#[unsafe(naked)]
unsafe extern "C-unwind" fn enter(
    function: usize,
    argument: usize,
    stack: *mut usize,
    behind: *mut usize,
    on: usize,
) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbp, 0",
        "mov rbp, rsp",
        // Whatever the stack, the frame is found from here.
        ".cfi_def_cfa_register rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "lea rax, [rip + 2f]",
        "mov [rcx], rax",
        // Last: from here on a fault leads there.
        "mov [rdx], rsp",
        "test r8, r8",
        "cmovne rsp, r8",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "lea rsp, [rbp - 48]",
        "mov eax, 1",
        "jmp 3f",
        "2:",
        // The stack pointer was put back, no other register.
        "lea rbp, [rsp + 48]",
        "xor eax, eax",
        "3:",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}
