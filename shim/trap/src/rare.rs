//! Operands that no ModRM byte names: moffs, xlat, maskmov, movdir64b.

use crate::context::{Machine, RAX, RDI};
use crate::insn::Insn;
use crate::relocate::implied;
use crate::run::Frame;
use crate::shape::Shape;
use crate::{Fault, Refused, stubs};

/// A form of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rare {
    /// `mov al, [address]` and its like.
    DirectAddress,
    /// A byte of a table.
    Xlat,
    /// maskmovdqu, maskmovq: to `[rdi]`.
    MaskMove,
    /// 64 bytes from one operand to another.
    Direct64,
}

/// Which one `shape` is.
pub fn classify(shape: &Shape) -> Option<Rare> {
    let memory = shape.modrm.is_some_and(|m| m.mode() != 3);
    match (shape.is_vex(), shape.map, shape.opcode) {
        (false, 0, 0xa0..=0xa3) => Some(Rare::DirectAddress),
        (false, 0, 0xd7) => Some(Rare::Xlat),
        (_, 1, 0xf7) if !memory => Some(Rare::MaskMove),
        (false, 2, 0xf8) if memory && shape.data16 && shape.repeat == 0 => Some(Rare::Direct64),
        _ => None,
    }
}

/// Performs `insn`.
///
/// # Errors
///
/// See [`Refused`]; nothing was done then.
pub fn perform(m: &mut Machine, insn: &Insn, rare: Rare) -> Result<(), Refused> {
    let shape = &insn.shape;
    match rare {
        Rare::DirectAddress => {
            let size = if shape.opcode & 1 == 0 { 1 } else { shape.operand_size() };
            let address = m.direct_address(insn);
            if shape.opcode & 2 == 0 {
                let value = m.memory.load(address, size)?;
                m.set_gpr(RAX, size, value);
            } else {
                m.memory.store(address, size, m.gprs[RAX])?;
            }
        }
        Rare::Xlat => {
            let value = m.memory.load(m.table_address(insn), 1)?;
            m.set_gpr(RAX, 1, value);
        }
        Rare::MaskMove => mask_move(m, insn)?,
        Rare::Direct64 => {
            let modrm = shape.modrm.ok_or(Refused::Undecodable)?;
            let to =
                m.gprs[shape.reg() as usize] & if shape.addr32 { 0xffff_ffff } else { u64::MAX };
            let to = to as usize;
            if !to.is_multiple_of(64) {
                return Err(Fault::protection());
            }
            let mut bytes = [0; 64];
            m.memory.read(m.effective(insn, &modrm), &mut bytes)?;
            m.memory.write(to, &bytes)?;
        }
    }
    m.rip += insn.len as u64;
    Ok(())
}

/// Runs it on two buffers, one of zeros and one of ones: what is the same in both
/// was written.
fn mask_move(m: &mut Machine, insn: &Insn) -> Result<(), Refused> {
    let len = if insn.shape.data16 { 16 } else { 8 };
    let address = m.linear(insn, m.gprs[RDI]);
    if m.vectors.area.is_null() {
        return Err(Refused::Unsupported("no vector state in the frame"));
    }
    let (stub, frame_register) = implied(insn);
    let code = stubs::find(&stub)?;
    let (mut zeros, mut ones) = ([0_u8; 16], [0xff_u8; 16]);
    for buffer in [&mut zeros, &mut ones] {
        let mut gprs = m.gprs;
        gprs[RDI] = buffer.as_mut_ptr() as u64;
        let mut frame = Frame::new(gprs, 2);
        // SAFETY: the instruction writes at most these 16 bytes, and cannot fault.
        unsafe { frame.run(code, frame_register, Some(m.vectors)) };
    }
    let written = |n: &usize| zeros[*n] == ones[*n];
    if !(0..len).filter(written).any(|n| m.memory.is_guarded(address.wrapping_add(n))) {
        return Err(Refused::NotGuarded);
    }
    for n in (0..len).filter(written) {
        m.memory.reach(address.wrapping_add(n), 1, true)?;
    }
    for n in (0..len).filter(written) {
        m.memory.store(address.wrapping_add(n), 1, zeros[n].into())?;
    }
    Ok(())
}
