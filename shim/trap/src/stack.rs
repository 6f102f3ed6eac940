//! Instructions that use the stack beside (or as) their operand, and jumps.
//!
//! Done by hand, since a stub has no stack of the program's. The flags that a pushf
//! stores are those of the frame: we never single-step, so no TF can leak into them.

use crate::context::{Machine, RBP, RSP};
use crate::insn::Insn;
use crate::shape::Shape;
use crate::{Fault, Refused, emulate};

/// Flags that popf changes for a program.
const POPPED: u64 = 0x24_4dd5;
/// Flags that pushf does not store.
const NOT_PUSHED: u64 = 0x3_0000;

/// Whether `shape` is one of them.
pub fn is_stack(shape: &Shape) -> bool {
    if shape.is_vex() || shape.map != 0 {
        return false;
    }
    let digit = shape.modrm.map_or(0, |m| m.digit());
    match shape.opcode {
        0xff => digit >= 2 && digit != 7,
        0x8f => digit == 0,
        op => {
            matches!(op, 0x50..=0x5f | 0x68 | 0x6a | 0x9c | 0x9d | 0xc2 | 0xc3 | 0xc8 | 0xc9 | 0xe8)
        }
    }
}

/// Performs `insn`.
///
/// # Errors
///
/// See [`Refused`]; nothing was done then.
pub fn perform(m: &mut Machine, insn: &Insn) -> Result<(), Refused> {
    let shape = &insn.shape;
    let next = m.rip + insn.len as u64;
    let size = if shape.data16 && !shape.wide { 2 } else { 8 };
    let low_register = (shape.opcode & 7 | shape.base_high) as usize;
    let branches = matches!(shape.opcode, 0xc2 | 0xc3 | 0xe8)
        || shape.opcode == 0xff && shape.modrm.is_some_and(|m| m.digit() < 6);
    if branches && size == 2 {
        return Err(Refused::Unsupported("branch with a 16-bit operand"));
    }
    match shape.opcode {
        0xff => return indirect(m, insn, size, next),
        0x8f => {
            let modrm = shape.modrm.ok_or(Refused::Undecodable)?;
            let rsp = m.gprs[RSP];
            let value = m.memory.load(rsp as usize, size).map_err(Fault::on_stack)?;
            // The address is computed with the stack pointer behind the pop.
            let after = rsp.wrapping_add(size as u64);
            m.memory.store(m.effective_with(insn, &modrm, after), size, value)?;
            m.gprs[RSP] = after;
        }
        0x50..=0x57 => m.push(size, m.gprs[low_register])?,
        0x58..=0x5f => {
            let value = m.pop(size)?;
            m.set_gpr(low_register, size, value);
        }
        0x68 | 0x6a => m.push(size, emulate::immediate(insn))?,
        0x9c => m.push(size, m.flags & !NOT_PUSHED)?,
        0x9d => {
            let mask = if size == 2 { POPPED & 0xffff } else { POPPED };
            let flags = m.pop(size)?;
            m.flags = m.flags & !mask | flags & mask;
        }
        0xc2 | 0xc3 => {
            let target = m.pop(8)?;
            if shape.opcode == 0xc2 {
                let drop = u16::from_le_bytes([insn.bytes[shape.body], insn.bytes[shape.body + 1]]);
                m.gprs[RSP] = m.gprs[RSP].wrapping_add(drop.into());
            }
            m.rip = target;
            return Ok(());
        }
        0xc8 => {
            let room = u16::from_le_bytes([insn.bytes[shape.body], insn.bytes[shape.body + 1]]);
            if insn.bytes[shape.body + 2] & 0x1f != 0 || size != 8 {
                return Err(Refused::Unsupported("nested enter"));
            }
            m.push(8, m.gprs[RBP])?;
            m.gprs[RBP] = m.gprs[RSP];
            m.gprs[RSP] = m.gprs[RSP].wrapping_sub(room.into());
        }
        0xc9 => {
            let value = m.memory.load(m.gprs[RBP] as usize, size).map_err(Fault::on_stack)?;
            m.gprs[RSP] = m.gprs[RBP].wrapping_add(size as u64);
            m.set_gpr(RBP, size, value);
        }
        _ => {
            m.push(8, next)?;
            m.rip = next.wrapping_add(emulate::immediate(insn));
            return Ok(());
        }
    }
    m.rip = next;
    Ok(())
}

/// call, jmp and push of an operand.
fn indirect(m: &mut Machine, insn: &Insn, size: usize, next: u64) -> Result<(), Refused> {
    let modrm = insn.shape.modrm.ok_or(Refused::Undecodable)?;
    if matches!(modrm.digit(), 3 | 5) {
        return Err(Refused::Unsupported("far branch"));
    }
    let value = if modrm.mode() == 3 {
        m.gprs[(modrm.rm() | insn.shape.base_high) as usize]
    } else {
        m.memory.load(m.effective(insn, &modrm), size)?
    };
    match modrm.digit() {
        2 => {
            m.push(8, next)?;
            m.rip = value;
        }
        4 => m.rip = value,
        _ => {
            m.push(size, value)?;
            m.rip = next;
        }
    }
    Ok(())
}

impl Machine<'_> {
    fn push(&mut self, size: usize, value: u64) -> Result<(), Refused> {
        let top = self.gprs[RSP].wrapping_sub(size as u64);
        self.memory.store(top as usize, size, value).map_err(Fault::on_stack)?;
        self.gprs[RSP] = top;
        Ok(())
    }

    fn pop(&mut self, size: usize) -> Result<u64, Refused> {
        let value = self.memory.load(self.gprs[RSP] as usize, size).map_err(Fault::on_stack)?;
        self.gprs[RSP] = self.gprs[RSP].wrapping_add(size as u64);
        Ok(value)
    }
}
