//! Does what may fault in a thread that is about to die: unwinding a stack that is
//! damaged, reading where there is nothing. A fault ends the attempt, and the thread goes
//! on behind it.
//!
//! Ground rules. One thread at a time ([`Turn`]). What is called holds no lock and needs
//! no destructor, for it may be left in the middle. SIGSEGV and SIGBUS must be unblocked
//! and ours. Contexts: signal handlers.

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};

use crate::tls;

/// The thread whose turn it is; 0 for none.
static OWNER: AtomicU32 = AtomicU32::new(0);
/// The stack of the attempt that is being made; 0 if there is none.
static STACK: AtomicUsize = AtomicUsize::new(0);
/// Where it goes on after a fault.
static BEHIND: AtomicUsize = AtomicUsize::new(0);

/// The right to make attempts.
pub struct Turn(());

impl Turn {
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
        // SAFETY: `f` takes what it is given; the cells are nobody else's meanwhile.
        let is_done = unsafe {
            enter(f as usize, (&raw mut *argument) as usize, STACK.as_ptr(), BEHIND.as_ptr())
        };
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

/// Calls a function with one argument and returns 1, or 0 if a fault ended it.
///
/// # Safety
///
/// * `function` may be called with `argument`, and left at any instruction.
/// * `stack` and `behind` are writable.
#[unsafe(naked)]
unsafe extern "C-unwind" fn enter(
    function: usize,
    argument: usize,
    stack: *mut usize,
    behind: *mut usize,
) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "lea rax, [rip + 2f]",
        "mov [rcx], rax",
        // Last: from here on a fault leads there.
        "mov [rdx], rsp",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "mov eax, 1",
        "jmp 3f",
        "2:",
        "xor eax, eax",
        "3:",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop r15",
        ".cfi_adjust_cfa_offset -8",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        "pop r13",
        ".cfi_adjust_cfa_offset -8",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
    )
}
