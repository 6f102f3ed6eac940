//! Encodes an instruction anew, with its operand at an address in a register.
//!
//! Only prefixes and the ModRM byte change: `[rdi]`, `[rsi]` or `[rbx]` needs no
//! SIB byte, no displacement and no fourth bit, so no prefix has to be added (a REX
//! prefix would turn ah into spl). Pure.

use crate::insn::Insn;
use crate::pages::STUB_BYTES;
use crate::run::{EXIT_AT, FRAME_REGISTERS};
use crate::shape::Coding;

/// The stub and what its registers are.
#[derive(Debug)]
pub struct Moved {
    /// Instruction and jump.
    pub stub: [u8; STUB_BYTES],
    /// Bytes of the instruction.
    pub len: usize,
    /// Must hold the operand's address.
    pub address_register: u8,
    /// Leads back to the frame.
    pub frame_register: u8,
    /// Stands in for rsp, if the instruction names it.
    pub stack_register: Option<u8>,
}

/// Registers that can hold the address; rbx only with VEX, where it never is implied.
const ADDRESS_REGISTERS: [u8; 3] = [7, 6, 3];
/// Registers that can stand in for rsp.
const STACK_REGISTERS: [u8; 3] = [5, 6, 7];
/// rsp's number.
const RSP: u8 = 4;

/// Moves `insn`; `None` if it has no ModRM operand in memory.
pub fn relocate(insn: &Insn) -> Option<Moved> {
    let shape = &insn.shape;
    let modrm = shape.modrm.filter(|m| m.mode() != 3)?;
    let named = [shape.reg() & 0xf, if shape.is_vex() { shape.vvvv & 0xf } else { 0 }];
    let free = |n: &&u8| !named.contains(n);
    let address_register = *ADDRESS_REGISTERS.iter().find(free)?;
    let frame_register = *FRAME_REGISTERS.iter().find(free)?;
    let stack_register = match insn.names_rsp {
        true => Some(*STACK_REGISTERS.iter().filter(free).find(|n| **n != address_register)?),
        false => None,
    };
    let mut out = Writer { stub: [0xcc; STUB_BYTES], len: 0 };
    out.copy_prefixes(insn);
    let head = out.len;
    insn.bytes[shape.lead..modrm.at].iter().for_each(|&b| out.put(b));
    match shape.coding {
        // Clear X and B.
        Coding::Legacy if shape.rex => out.stub[head] &= !3,
        // The same, inverted.
        Coding::Vex3 | Coding::Evex => out.stub[head + 1] |= 0x60,
        Coding::Legacy | Coding::Vex2 => {}
    }
    let mut digit = modrm.digit();
    if let Some(stand_in) = stack_register {
        if named[0] == RSP {
            digit = stand_in;
        }
        if shape.is_vex() && named[1] == RSP {
            let tail = head + shape_tail(shape.coding);
            out.stub[tail] = out.stub[tail] & !0x78 | (!stand_in & 0xf) << 3;
        }
    }
    out.put(digit << 3 | address_register);
    insn.bytes[modrm.end..insn.len].iter().for_each(|&b| out.put(b));
    let len = out.len;
    out.put_jump(frame_register);
    Some(Moved { stub: out.stub, len, address_register, frame_register, stack_register })
}

/// Where vvvv lies behind a VEX or EVEX prefix's first byte.
fn shape_tail(coding: Coding) -> usize {
    if coding == Coding::Vex2 { 1 } else { 2 }
}

struct Writer {
    stub: [u8; STUB_BYTES],
    len: usize,
}

impl Writer {
    fn put(&mut self, byte: u8) {
        self.stub[self.len] = byte;
        self.len += 1;
    }

    /// Address size and segments are in the address already; a REX prefix with another
    /// one behind it counted for nothing, and must not do so now.
    fn copy_prefixes(&mut self, insn: &Insn) {
        for &byte in &insn.bytes[..insn.shape.lead] {
            if !matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64 | 0x65 | 0x67) {
                self.put(byte);
            }
        }
    }

    /// jmp [frame register + exit]
    fn put_jump(&mut self, frame_register: u8) {
        self.put(0x41);
        self.put(0xff);
        self.put(0xa0 | frame_register & 7);
        EXIT_AT.to_le_bytes().iter().for_each(|&b| self.put(b));
    }
}

/// The stub of an instruction whose operand is at rdi without saying so, and its
/// frame register.
pub fn implied(insn: &Insn) -> ([u8; STUB_BYTES], u8) {
    let frame_register = FRAME_REGISTERS[0];
    let mut out = Writer { stub: [0xcc; STUB_BYTES], len: 0 };
    out.copy_prefixes(insn);
    insn.bytes[insn.shape.lead..insn.len].iter().for_each(|&b| out.put(b));
    out.put_jump(frame_register);
    (out.stub, frame_register)
}
