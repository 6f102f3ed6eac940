//! The plain forms, where no executable memory is to be had.
//!
//! mov, movzx, movsx, the eight arithmetic operations and test. What must be atomic
//! is not here: it is refused rather than torn.

use crate::alu;
use crate::context::Machine;
use crate::insn::Insn;
use crate::memory::copy;

/// Performs `insn` on the operand at `at`; `None` if it is not one of the plain forms.
///
/// # Safety
///
/// * `at` is valid for the operand's access.
pub unsafe fn perform(m: &mut Machine, insn: &Insn, at: *mut u8) -> Option<()> {
    let shape = &insn.shape;
    if shape.is_vex() || shape.lock || shape.map > 1 {
        return None;
    }
    let modrm = shape.modrm?;
    let size = if shape.opcode & 1 == 0 { 1 } else { shape.operand_size() };
    let load = |size: usize| {
        let mut bytes = [0; 8];
        // SAFETY: the caller's promise.
        unsafe { copy(at, bytes.as_mut_ptr(), size) };
        u64::from_le_bytes(bytes)
    };
    // SAFETY: the caller's promise.
    let store = |size: usize, value: u64| unsafe { copy(value.to_le_bytes().as_ptr(), at, size) };
    let reg = Register::named(insn, size);
    match (shape.map, shape.opcode) {
        (0, op @ 0..=0x3f) => {
            let op_number = op >> 3;
            let (a, b) =
                if op & 2 == 0 { (load(size), reg.get(m)) } else { (reg.get(m), load(size)) };
            let (result, flags) = alu::binary(op_number, size, a, b, m.flags);
            m.set_status(flags);
            match (op_number, op & 2) {
                (alu::CMP, _) => {}
                (_, 0) => store(size, result),
                _ => reg.set(m, size, result),
            }
        }
        (0, 0x80 | 0x81 | 0x83) => {
            let (result, flags) =
                alu::binary(modrm.digit(), size, load(size), immediate(insn), m.flags);
            m.set_status(flags);
            if modrm.digit() != alu::CMP {
                store(size, result);
            }
        }
        (0, 0x84 | 0x85) => {
            let (_, flags) = alu::binary(alu::TEST, size, load(size), reg.get(m), m.flags);
            m.set_status(flags);
        }
        (0, 0xf6 | 0xf7) if modrm.digit() < 2 => {
            let (_, flags) = alu::binary(alu::TEST, size, load(size), immediate(insn), m.flags);
            m.set_status(flags);
        }
        (0, 0x88 | 0x89) => store(size, reg.get(m)),
        (0, 0x8a | 0x8b) => reg.set(m, size, load(size)),
        (0, 0xc6 | 0xc7) if modrm.digit() == 0 => store(size, immediate(insn)),
        (0, 0x63) => reg.set(m, size, load(insn.form?.len) as i32 as u64),
        (1, 0xb6) => reg.wide().set(m, shape.operand_size(), load(1)),
        (1, 0xb7) => reg.set(m, shape.operand_size(), load(2)),
        (1, 0xbe) => reg.wide().set(m, shape.operand_size(), load(1) as i8 as u64),
        (1, 0xbf) => reg.set(m, shape.operand_size(), load(2) as i16 as u64),
        _ => return None,
    }
    Some(())
}

/// The register operand; without REX, byte registers 4 to 7 are ah to bh.
struct Register {
    number: usize,
    high_byte: bool,
}

impl Register {
    fn named(insn: &Insn, size: usize) -> Register {
        let number = insn.shape.reg() as usize;
        Register { number, high_byte: size == 1 && !insn.shape.rex && number >= 4 }
    }

    fn wide(self) -> Register {
        Register { high_byte: false, ..self }
    }

    fn get(&self, m: &Machine) -> u64 {
        if self.high_byte { m.gprs[self.number - 4] >> 8 } else { m.gprs[self.number] }
    }

    fn set(&self, m: &mut Machine, size: usize, value: u64) {
        if self.high_byte {
            let gpr = &mut m.gprs[self.number - 4];
            *gpr = *gpr & !0xff00 | (value & 0xff) << 8;
        } else {
            m.set_gpr(self.number, size, value);
        }
    }
}

/// The immediate, sign-extended.
pub fn immediate(insn: &Insn) -> u64 {
    let from = insn.shape.modrm.map_or(insn.shape.body, |m| m.end);
    match *insn.bytes.get(from..insn.len).unwrap_or_default() {
        [a] => a as i8 as u64,
        [a, b] => i16::from_le_bytes([a, b]) as u64,
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]) as u64,
        _ => 0,
    }
}
