//! What the kernel calls instead of the program's handler.
//!
//! Nearly always it jumps on, with stack and registers as the kernel made them: the
//! handler is called as before, and its caller is the kernel's return path. Three kinds
//! are called from here: a timer's; one that interrupted the heap, which runs under
//! `deadwalk_alloc::signal::interrupt`; and one that interrupted libc (`stdio`).

use core::arch::naked_asm;
use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering::Acquire;

use deadwalk_alloc::signal as heap;

use super::{HANDLERS, SEGV, fatal, fault, is_function, timed};
use crate::{modules, stdio, vfork};

/// What a handler is called with, whether it wants it or not.
pub type Handler = extern "C-unwind" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The kernel's entry.
///
/// # Safety
///
/// * Called by the kernel, as a signal handler.
#[unsafe(naked)]
pub unsafe extern "C" fn trampoline() {
    naked_asm!(
        ".cfi_startproc",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "push rdx",
        ".cfi_adjust_cfa_offset 8",
        "call {decide}",
        // Behind the arguments of a handler, for ours.
        "mov rcx, rdx",
        "pop rdx",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "test rax, rax",
        "je 2f",
        "jmp rax",
        "2:",
        "ret",
        ".cfi_endproc",
        decide = sym decide,
    )
}

/// Where the trampoline goes, in two registers.
#[repr(C)]
struct Way {
    /// Where to jump; 0 if all is done.
    to: usize,
    /// The program's handler, for a function of ours: one that its first signal used up
    /// stands nowhere else any more.
    handler: usize,
}

extern "C" fn decide(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) -> Way {
    // SAFETY: the kernel's structures, valid while the handler runs.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<libc::ucontext_t>()) };
    let handler = HANDLERS[signal as usize % super::SIGNALS].load(Acquire);
    let interrupted = register(context, libc::REG_RIP);
    vfork::interrupted(
        interrupted,
        register(context, libc::REG_RAX),
        register(context, libc::REG_RSI),
    );
    if fatal::is_left(signal, info, context) {
        return Way { to: 0, handler };
    }
    if signal == SEGV && fault::is_handled(info, context, handler) || !is_function(handler) {
        if signal != SEGV && handler == libc::SIG_DFL {
            fatal::end(signal, info, context);
        }
        return Way { to: 0, handler };
    }
    if signal == SEGV {
        fault::mask_for_handler(context);
    }
    let to = if heap::is_inside(interrupted) {
        interrupting as *const () as usize
    } else if modules::is_libc(interrupted) {
        interrupting_libc as *const () as usize
    } else if timed::may_be_expiry(signal, info) {
        timed::call as *const () as usize
    } else {
        handler
    };
    Way { to, handler }
}

/// A register of the interrupted thread.
pub fn register(context: &libc::ucontext_t, which: c_int) -> usize {
    context.uc_mcontext.gregs[which as usize] as usize
}

/// Calls the handler of a signal that interrupted the heap.
extern "C-unwind" fn interrupting(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
    handler: usize,
) {
    // SAFETY: the kernel's structure.
    let stack = unsafe { register(&*context.cast::<libc::ucontext_t>(), libc::REG_RSP) };
    // Who called the heap may have been libc.
    stdio::interrupt(stack, || {
        heap::interrupt(stack, || timed::call(signal, info, context, handler));
    });
}

/// Calls the handler of a signal that interrupted libc, perhaps stdio.
extern "C-unwind" fn interrupting_libc(
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
    handler: usize,
) {
    // SAFETY: the kernel's structure.
    let stack = unsafe { register(&*context.cast::<libc::ucontext_t>(), libc::REG_RSP) };
    stdio::interrupt(stack, || timed::call(signal, info, context, handler));
}
