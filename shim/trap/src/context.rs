//! The interrupted program's registers, as the signal frame holds them.
//!
//! A [`Machine`] is a copy: what is refused leaves the frame as it was, and
//! [`Machine::commit`] is the one place that writes general registers back.
//! Vector state stays where the kernel put it, see `vectors.rs`.

use crate::memory::Memory;
use crate::vectors::Vectors;
use libc::ucontext_t;

/// Flags that instructions compute.
pub const STATUS: u64 = CF | PF | AF | ZF | SF | OF;
/// Carry.
pub const CF: u64 = 1;
const PF: u64 = 4;
const AF: u64 = 0x10;
/// Zero.
pub const ZF: u64 = 0x40;
const SF: u64 = 0x80;
/// String instructions go downwards.
pub const DF: u64 = 0x400;
const OF: u64 = 0x800;
/// Set in frames of faults; an instruction that was completed leaves it clear.
const RF: u64 = 0x1_0000;

/// Numbers of the registers that instructions name without saying so.
pub const RAX: usize = 0;
/// Count of string instructions.
pub const RCX: usize = 1;
/// High half of products.
pub const RDX: usize = 2;
/// Table of `xlat`.
pub const RBX: usize = 3;
/// Stack pointer.
pub const RSP: usize = 4;
/// Frame pointer.
pub const RBP: usize = 5;
/// Source of string instructions.
pub const RSI: usize = 6;
/// Destination of string instructions.
pub const RDI: usize = 7;

/// Place in `gregs` of the register with the processor's number 0, 1, ...
const GREGS: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// Bit of the page fault's error code: the access was an instruction fetch.
const FETCH: i64 = 0x10;

/// What an instruction is performed on.
pub struct Machine<'a> {
    /// General registers by the processor's numbers.
    pub gprs: [u64; 16],
    /// Address of the next instruction.
    pub rip: u64,
    /// Flags.
    pub flags: u64,
    /// Vector, mask and x87 registers, in the frame.
    pub vectors: Vectors,
    /// Guarded and plain memory.
    pub memory: Memory<'a>,
}

impl<'a> Machine<'a> {
    /// Copies the registers of `context`.
    ///
    /// # Safety
    ///
    /// * `context` is the third argument of a running SA_SIGINFO handler.
    pub unsafe fn new(context: *mut ucontext_t, memory: Memory<'a>) -> Machine<'a> {
        // SAFETY: the kernel wrote the frame, see above.
        let machine = unsafe { &(*context).uc_mcontext };
        // SAFETY: likewise.
        let vectors = unsafe { Vectors::new(machine.fpregs.cast()) };
        Machine {
            gprs: GREGS.map(|n| machine.gregs[n as usize] as u64),
            rip: machine.gregs[libc::REG_RIP as usize] as u64,
            flags: machine.gregs[libc::REG_EFL as usize] as u64,
            vectors,
            memory,
        }
    }

    /// Writes the registers back.
    ///
    /// # Safety
    ///
    /// As for [`Machine::new`].
    pub unsafe fn commit(&self, context: *mut ucontext_t) {
        // SAFETY: as in `new`.
        let gregs = unsafe { &mut (*context).uc_mcontext.gregs };
        for (n, value) in GREGS.iter().zip(self.gprs) {
            gregs[*n as usize] = value as i64;
        }
        gregs[libc::REG_RIP as usize] = self.rip as i64;
        gregs[libc::REG_EFL as usize] = (self.flags & !RF) as i64;
    }

    /// Takes over the status flags of `flags`.
    pub fn set_status(&mut self, flags: u64) {
        self.flags = self.flags & !STATUS | flags & STATUS;
    }

    /// Writes the low `size` bytes of a register as the processor does: four bytes
    /// clear the upper half, fewer leave the rest.
    pub fn set_gpr(&mut self, n: usize, size: usize, value: u64) {
        let old = self.gprs[n];
        self.gprs[n] = match size {
            1 => old & !0xff | value & 0xff,
            2 => old & !0xffff | value & 0xffff,
            4 => value & 0xffff_ffff,
            _ => value,
        };
    }
}

/// Whether the fault of `context` was an instruction fetch.
///
/// # Safety
///
/// As for [`Machine::new`].
pub unsafe fn was_fetch(context: *mut ucontext_t) -> bool {
    // SAFETY: as in `new`.
    unsafe { (*context).uc_mcontext.gregs[libc::REG_ERR as usize] & FETCH != 0 }
}
