//! movs, stos, lods, cmps and scas, with their repeats in one go.
//!
//! As long as a side is guarded we go on; when both have left for plain memory the
//! registers are those of an interrupted string instruction, and the processor does
//! the rest. The same where plain memory would fault: the program runs into that
//! itself, with the registers as the processor leaves them. (If the other side is
//! still guarded it comes here first, and the fault is named then.)

use crate::access::AccessKind;
use crate::context::{DF, Machine, RAX, RCX, RDI, RSI, ZF};
use crate::insn::Insn;
use crate::{Fault, Refused, alu, shape::Shape};
use std::ptr;

const PAGE: usize = 4096;

/// The page that a side was last seen in, and where it can be accessed.
struct Window {
    page: usize,
    at: *mut u8,
    guarded: bool,
    kind: AccessKind,
}

impl Window {
    fn new(kind: AccessKind) -> Window {
        // An odd number is no page.
        Window { page: 1, at: ptr::null_mut(), guarded: false, kind }
    }

    /// Where the `size` bytes at `address` are; `None` if they lie in two pages.
    fn locate(
        &mut self,
        m: &mut Machine,
        address: usize,
        size: usize,
    ) -> Result<Option<*mut u8>, Refused> {
        let page = address & !(PAGE - 1);
        if address - page + size > PAGE {
            return Ok(None);
        }
        if self.page != page {
            let write = self.kind == AccessKind::Write;
            self.at = m.memory.reach(page, PAGE, write).map_err(|_| Fault::segv(address))?;
            self.guarded = m.memory.is_guarded(page);
            self.page = page;
        }
        if self.guarded {
            m.memory.log.add(address, size, self.kind);
        }
        Ok(Some(self.at.wrapping_add(address - page)))
    }

    fn load(&mut self, m: &mut Machine, address: usize, size: usize) -> Result<u64, Refused> {
        match self.locate(m, address, size)? {
            Some(from) => {
                let mut bytes = [0; 8];
                // SAFETY: `reach` says that the page can be read.
                unsafe { crate::memory::copy(from, bytes.as_mut_ptr(), size) };
                Ok(u64::from_le_bytes(bytes))
            }
            None => m.memory.load(address, size),
        }
    }

    fn store(
        &mut self,
        m: &mut Machine,
        address: usize,
        size: usize,
        value: u64,
    ) -> Result<(), Refused> {
        match self.locate(m, address, size)? {
            Some(to) => {
                // SAFETY: `reach` says that the page can be written.
                unsafe { crate::memory::copy(value.to_le_bytes().as_ptr(), to, size) };
                Ok(())
            }
            None => m.memory.store(address, size, value),
        }
    }
}

/// What a string instruction does, by its opcode without the lowest bit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Movs,
    Cmps,
    Stos,
    Lods,
    Scas,
}

impl Op {
    fn of(shape: &Shape) -> Option<Op> {
        if shape.is_vex() || shape.map != 0 {
            return None;
        }
        Some(match shape.opcode & 0xfe {
            0xa4 => Op::Movs,
            0xa6 => Op::Cmps,
            0xaa => Op::Stos,
            0xac => Op::Lods,
            0xae => Op::Scas,
            _ => return None,
        })
    }

    fn compares(self) -> bool {
        matches!(self, Op::Cmps | Op::Scas)
    }

    fn uses_source(self) -> bool {
        matches!(self, Op::Movs | Op::Cmps | Op::Lods)
    }

    fn uses_destination(self) -> bool {
        self != Op::Lods
    }
}

/// Whether `shape` is a string instruction on memory only.
pub fn is_string(shape: &Shape) -> bool {
    Op::of(shape).is_some()
}

/// Performs as much of it as concerns us.
///
/// # Errors
///
/// What the first element would raise; nothing was done then.
pub fn perform(m: &mut Machine, insn: &Insn) -> Result<(), Refused> {
    let shape = &insn.shape;
    let op = Op::of(shape).ok_or(Refused::Unsupported("string"))?;
    let size = if shape.opcode & 1 == 0 { 1 } else { shape.operand_size() };
    let to_kind = if op.compares() { AccessKind::Read } else { AccessKind::Write };
    let mut sides = (Window::new(AccessKind::Read), Window::new(to_kind));
    let mut done = 0_u64;
    loop {
        if shape.repeat != 0 && count(m, shape) == 0 {
            break;
        }
        let source = m.linear(insn, m.gprs[RSI]);
        // The destination has no segment but es, whose base is zero.
        let destination = cut(shape, m.gprs[RDI]) as usize;
        let concerned = op.uses_source() && guarded(m, &sides.0, source, size)
            || op.uses_destination() && guarded(m, &sides.1, destination, size);
        if !concerned {
            return if done > 0 { Ok(()) } else { Err(Refused::NotGuarded) };
        }
        match element(m, op, size, (source, destination), &mut sides) {
            Ok(()) => {}
            Err(_) if done > 0 => return Ok(()),
            Err(refused) => return Err(refused),
        }
        done += 1;
        let step = if m.flags & DF != 0 { (size as u64).wrapping_neg() } else { size as u64 };
        if op.uses_source() {
            m.gprs[RSI] = cut(shape, m.gprs[RSI].wrapping_add(step));
        }
        if op.uses_destination() {
            m.gprs[RDI] = cut(shape, m.gprs[RDI].wrapping_add(step));
        }
        if shape.repeat == 0 {
            break;
        }
        m.gprs[RCX] = cut(shape, count(m, shape).wrapping_sub(1));
        if op.compares() && (m.flags & ZF != 0) != (shape.repeat == 0xf3) {
            break;
        }
    }
    m.rip += insn.len as u64;
    Ok(())
}

fn guarded(m: &Machine, window: &Window, address: usize, size: usize) -> bool {
    if address & !(PAGE - 1) == window.page && address % PAGE + size <= PAGE {
        return window.guarded;
    }
    m.memory.any_guarded(address, size)
}

fn element(
    m: &mut Machine,
    op: Op,
    size: usize,
    (source, destination): (usize, usize),
    (from, to): &mut (Window, Window),
) -> Result<(), Refused> {
    match op {
        Op::Movs => {
            let value = from.load(m, source, size)?;
            to.store(m, destination, size, value)?;
        }
        Op::Stos => to.store(m, destination, size, m.gprs[RAX])?,
        Op::Lods => {
            let value = from.load(m, source, size)?;
            m.set_gpr(RAX, size, value);
        }
        Op::Cmps => {
            let (a, b) = (from.load(m, source, size)?, to.load(m, destination, size)?);
            m.set_status(alu::binary(alu::CMP, size, a, b, m.flags).1);
        }
        Op::Scas => {
            let b = to.load(m, destination, size)?;
            m.set_status(alu::binary(alu::CMP, size, m.gprs[RAX], b, m.flags).1);
        }
    }
    Ok(())
}

fn count(m: &Machine, shape: &Shape) -> u64 {
    cut(shape, m.gprs[RCX])
}

fn cut(shape: &Shape, value: u64) -> u64 {
    if shape.addr32 { value & 0xffff_ffff } else { value }
}
