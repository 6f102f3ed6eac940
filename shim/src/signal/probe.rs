//! A copy from or to an address that the program gave the kernel: there may be nothing,
//! which is the kernel's to say and must be no fault.
//!
//! Contexts: any; the copy ends early if it faults ([`is_over`] is asked first by the
//! handler of SIGSEGV).

use core::arch::global_asm;
use core::sync::atomic::Ordering::Relaxed;

use super::SEGV_IS_OURS;
use super::trampoline::register;

global_asm!(
    ".text",
    ".balign 16",
    ".hidden deadwalk_shim_probe",
    ".hidden deadwalk_shim_probe_copies",
    ".hidden deadwalk_shim_probe_ends",
    ".globl deadwalk_shim_probe",
    ".globl deadwalk_shim_probe_copies",
    ".globl deadwalk_shim_probe_ends",
    ".type deadwalk_shim_probe,@function",
    "deadwalk_shim_probe:",
    ".cfi_startproc",
    "mov rcx, rdx",
    // Most of it is some words.
    "deadwalk_shim_probe_copies:",
    "2: cmp rcx, 8",
    "jb 3f",
    "mov rax, qword ptr [rsi]",
    "mov qword ptr [rdi], rax",
    "add rsi, 8",
    "add rdi, 8",
    "sub rcx, 8",
    "jmp 2b",
    "3: test rcx, rcx",
    "je deadwalk_shim_probe_ends",
    "mov al, byte ptr [rsi]",
    "mov byte ptr [rdi], al",
    "inc rsi",
    "inc rdi",
    "dec rcx",
    "jmp 3b",
    "deadwalk_shim_probe_ends:",
    "mov rax, rcx",
    "ret",
    ".cfi_endproc",
    ".size deadwalk_shim_probe, . - deadwalk_shim_probe",
);

unsafe extern "C" {
    /// Copies `len` bytes; how many it did not.
    fn deadwalk_shim_probe(to: usize, from: usize, len: usize) -> usize;
    /// The instructions that may fault, and the one behind them. No functions.
    fn deadwalk_shim_probe_copies();
    fn deadwalk_shim_probe_ends();
}

/// Copies `len` bytes; whether there was memory for all of them.
///
/// # Safety
///
/// * What is written to, if it is memory, may be.
pub unsafe fn copy(to: usize, from: usize, len: usize) -> bool {
    // SAFETY: a fault ends it; the caller's promise.
    SEGV_IS_OURS.load(Relaxed) && unsafe { deadwalk_shim_probe(to, from, len) } == 0
}

/// Whether a fault was the copy's, which is over then.
pub fn is_over(context: &mut libc::ucontext_t) -> bool {
    let [start, end] = [deadwalk_shim_probe_copies, deadwalk_shim_probe_ends]
        .map(|label| label as *const () as usize);
    let is_it = (start..end).contains(&register(context, libc::REG_RIP));
    if is_it {
        context.uc_mcontext.gregs[libc::REG_RIP as usize] = end as i64;
    }
    is_it
}
