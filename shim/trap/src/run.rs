//! Performs a moved instruction with the program's registers.
//!
//! The stub (`stubs.rs`) is the instruction and a jump back. Around it all general
//! registers but three are the program's: rsp stays ours, so that a signal may come
//! at any time; the *frame register* leads back here; the *address register* holds
//! the operand's address. `relocate.rs` chooses the last two among those that the
//! instruction does not use. Nothing but the frame on the stack is written, so this
//! may be interrupted by itself.

use crate::vectors::Vectors;
use std::arch::global_asm;

/// Registers that can lead back; the instruction names two registers at most,
/// and none of these without saying so.
pub const FRAME_REGISTERS: [u8; 3] = [15, 14, 13];

/// Offset of [`Frame::exit`], for the stub's jump.
pub const EXIT_AT: u32 = std::mem::offset_of!(Frame, exit) as u32;

/// What goes in and comes out. Offsets are known to the assembly below.
#[repr(C)]
#[derive(Debug)]
pub struct Frame {
    /// General registers by the processor's numbers.
    pub gprs: [u64; 16],
    /// Status flags.
    pub flags: u64,
    host_rsp: u64,
    exit: u64,
    /// The stub.
    code: u64,
    /// Save area, 0: leave vector registers alone.
    area: u64,
    /// Components for XSAVE, 0: FXSAVE.
    components: u64,
    host_mxcsr: u32,
    host_x87: u32,
}

const _: () = assert!(std::mem::offset_of!(Frame, exit) == 144);
const _: () = assert!(std::mem::offset_of!(Frame, host_x87) == 180);

impl Frame {
    /// Registers for a run.
    pub fn new(gprs: [u64; 16], flags: u64) -> Frame {
        Frame {
            gprs,
            flags,
            host_rsp: 0,
            exit: 0,
            code: 0,
            area: 0,
            components: 0,
            host_mxcsr: 0,
            host_x87: 0,
        }
    }

    /// Runs the stub at `code`, with the vector state of `vectors` if given.
    ///
    /// # Safety
    ///
    /// * `code` is a stub whose frame register is `frame_register`, its instruction
    ///   does not use rsp, and it cannot fault.
    /// * `vectors` is the area of a running handler's frame or a copy of one.
    pub unsafe fn run(&mut self, code: u64, frame_register: u8, vectors: Option<Vectors>) {
        self.code = code;
        if let Some(vectors) = vectors {
            self.area = vectors.area as u64;
            self.components = vectors.components;
        }
        // SAFETY: as promised by the caller; the assembly keeps the ABI.
        unsafe {
            match frame_register {
                15 => deadwalk_trap_run_r15(self),
                14 => deadwalk_trap_run_r14(self),
                _ => deadwalk_trap_run_r13(self),
            }
        }
    }
}

unsafe extern "C" {
    fn deadwalk_trap_run_r15(frame: *mut Frame);
    fn deadwalk_trap_run_r14(frame: *mut Frame);
    fn deadwalk_trap_run_r13(frame: *mut Frame);
}

/// One variant per frame register `$t`; `$others` are the two high registers that
/// must be loaded with the rest.
macro_rules! variant {
    ($t:literal, $a:literal, $a_at:literal, $b:literal, $b_at:literal) => {
        global_asm!(
            concat!(".globl deadwalk_trap_run_", $t),
            concat!(".hidden deadwalk_trap_run_", $t),
            concat!(".type deadwalk_trap_run_", $t, ", @function"),
            concat!("deadwalk_trap_run_", $t, ":"),
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
            concat!("mov ", $t, ", rdi"),
            "lea rax, [rip + 20f]",
            concat!("mov [", $t, " + 144], rax"),
            concat!("mov [", $t, " + 136], rsp"),
            concat!("mov rcx, [", $t, " + 160]"),
            "test rcx, rcx",
            "jz 11f",
            concat!("stmxcsr [", $t, " + 176]"),
            concat!("fnstcw [", $t, " + 180]"),
            concat!("mov rax, [", $t, " + 168]"),
            "test rax, rax",
            "jz 10f",
            "xor edx, edx",
            "xrstor64 [rcx]",
            "jmp 11f",
            "10: fxrstor64 [rcx]",
            "11:",
            concat!("push qword ptr [", $t, " + 128]"),
            "popfq",
            concat!("mov rax, [", $t, "]"),
            concat!("mov rcx, [", $t, " + 8]"),
            concat!("mov rdx, [", $t, " + 16]"),
            concat!("mov rbx, [", $t, " + 24]"),
            concat!("mov rbp, [", $t, " + 40]"),
            concat!("mov rsi, [", $t, " + 48]"),
            concat!("mov rdi, [", $t, " + 56]"),
            concat!("mov r8, [", $t, " + 64]"),
            concat!("mov r9, [", $t, " + 72]"),
            concat!("mov r10, [", $t, " + 80]"),
            concat!("mov r11, [", $t, " + 88]"),
            concat!("mov r12, [", $t, " + 96]"),
            concat!("mov ", $a, ", [", $t, " + ", $a_at, "]"),
            concat!("mov ", $b, ", [", $t, " + ", $b_at, "]"),
            concat!("jmp qword ptr [", $t, " + 152]"),
            "20:",
            concat!("mov [", $t, "], rax"),
            concat!("mov [", $t, " + 8], rcx"),
            concat!("mov [", $t, " + 16], rdx"),
            concat!("mov [", $t, " + 24], rbx"),
            concat!("mov [", $t, " + 40], rbp"),
            concat!("mov [", $t, " + 48], rsi"),
            concat!("mov [", $t, " + 56], rdi"),
            concat!("mov [", $t, " + 64], r8"),
            concat!("mov [", $t, " + 72], r9"),
            concat!("mov [", $t, " + 80], r10"),
            concat!("mov [", $t, " + 88], r11"),
            concat!("mov [", $t, " + 96], r12"),
            concat!("mov [", $t, " + ", $a_at, "], ", $a),
            concat!("mov [", $t, " + ", $b_at, "], ", $b),
            concat!("mov rsp, [", $t, " + 136]"),
            "pushfq",
            concat!("pop qword ptr [", $t, " + 128]"),
            "cld",
            concat!("mov rcx, [", $t, " + 160]"),
            "test rcx, rcx",
            "jz 31f",
            concat!("mov rax, [", $t, " + 168]"),
            "test rax, rax",
            "jz 30f",
            "xor edx, edx",
            "xsave64 [rcx]",
            "test al, 4",
            "jz 32f",
            "vzeroupper",
            "jmp 32f",
            "30: fxsave64 [rcx]",
            "32: fninit",
            concat!("fldcw [", $t, " + 180]"),
            concat!("ldmxcsr [", $t, " + 176]"),
            "31:",
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
            concat!(".size deadwalk_trap_run_", $t, ", . - deadwalk_trap_run_", $t),
        );
    };
}

variant!("r15", "r13", "104", "r14", "112");
variant!("r14", "r13", "104", "r15", "120");
variant!("r13", "r14", "112", "r15", "120");
