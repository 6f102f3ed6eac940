//! `vfork`: a child in its parent's memory, and on its stack, until it execs or ends.
//!
//! The child has its parent's thread-local words too, and the parent stands still
//! meanwhile: a word can tell the two apart, where asking for the process's id would be a
//! system call a time.
//!
//! The function returns twice, the second time when the child has written over the place
//! where its return address stood. So it makes the system call itself, and keeps in
//! registers, of which each process has its own, what has to last: the address, and the
//! parent's word, since a vfork child may vfork.
//!
//! Signals that came for the parent meanwhile are handled before its first instruction
//! after the call, with the child's mark still set: [`interrupted`] sets it right.
//!
//! Contexts: as libc's function.

use core::arch::naked_asm;

use crate::tls;

unsafe extern "C" {
    /// Between these the system call has returned, and the mark is being set.
    #[link_name = "deadwalk_shim_vfork_returned"]
    static RETURNED: u8;
    #[link_name = "deadwalk_shim_vfork_marked"]
    static MARKED: u8;
}

/// A signal has come at instruction `ip`, with these registers.
pub fn interrupted(ip: usize, rax: usize, rsi: usize) {
    if (&raw const RETURNED as usize..&raw const MARKED as usize).contains(&ip) {
        tls::set_vforked(if rax == 0 { 1 } else { rsi as u64 });
    }
}

/// Sets errno; returns what a system call returns that failed.
extern "C" fn failed(error: i32) -> isize {
    // SAFETY: errno is thread-local and always valid.
    unsafe { *libc::__errno_location() = error };
    -1
}

/// `vfork` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vfork() {
    naked_asm!(
        "pop rdi",
        "mov rdx, qword ptr [rip + deadwalk_shim_vforked@GOTTPOFF]",
        "mov rsi, qword ptr fs:[rdx]",
        "mov eax, {vfork}",
        "syscall",
        ".hidden deadwalk_shim_vfork_returned",
        ".globl deadwalk_shim_vfork_returned",
        "deadwalk_shim_vfork_returned:",
        "push rdi",
        "test rax, rax",
        "js 2f",
        "jne 3f",
        "mov qword ptr fs:[rdx], 1",
        "ret",
        "3:",
        "mov qword ptr fs:[rdx], rsi",
        "ret",
        ".hidden deadwalk_shim_vfork_marked",
        ".globl deadwalk_shim_vfork_marked",
        "deadwalk_shim_vfork_marked:",
        "2:",
        "neg eax",
        "mov edi, eax",
        "jmp {failed}",
        vfork = const libc::SYS_vfork,
        failed = sym failed,
    )
}

/// `vfork` under libc's other name.
///
/// # Safety
///
/// As libc's function.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vfork() {
    naked_asm!("jmp {vfork}", vfork = sym vfork)
}
