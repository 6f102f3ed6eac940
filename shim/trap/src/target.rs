//! Where an instruction that faulted meant to go: for the hint behind a crash.
//!
//! The kernel tells no address of an access that is not canonical (#GP, #SS), and those
//! are what pointers made of poison lead to. Nothing is performed here.

use std::ptr::NonNull;

use libc::ucontext_t;

use crate::access::Accesses;
use crate::context::{Machine, RBP, RDI, RSI, RSP};
use crate::insn::Insn;
use crate::memory::Memory;
use crate::{AccessKind, Alias, plain, stack, strings};

/// What an instruction is about to access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address.
    pub address: usize,
    /// The pointers that it is made of, 0 if there is no such.
    pub pointers: [usize; 2],
    /// What is done to it.
    pub kind: AccessKind,
}

/// All memory is plain.
struct Nothing;

impl Alias for Nothing {
    fn at(&self, _: usize, _: usize, _: bool) -> Option<NonNull<u8>> {
        None
    }
}

/// What the instruction that `context` stands at accesses; `None` if it cannot be read,
/// or accesses no memory that is known. Async-signal-safe.
///
/// `is_meant` says of an address whether it may be what the fault was about: of several,
/// the first such counts.
///
/// # Safety
///
/// * `context` is the third argument of a SA_SIGINFO handler that is running on this
///   thread.
pub unsafe fn target(context: *mut ucontext_t, is_meant: impl Fn(usize) -> bool) -> Option<Target> {
    let mut log = Accesses::new();
    // SAFETY: as promised by the caller.
    let mut m = unsafe { Machine::new(context, Memory::new(&Nothing, &mut log)) };
    let rip = m.rip as usize;
    if !plain::readable(rip) {
        return Some(Target { address: rip, pointers: [rip, 0], kind: AccessKind::Execute });
    }
    // SAFETY: it is mapped, as was asked just now.
    let insn = unsafe { Insn::fetch(m.rip) }.ok()?;
    let own = operand(&m, &insn).filter(|own| is_meant(own.address));
    own.or_else(|| implied(&mut m, &insn).into_iter().flatten().find(|t| is_meant(t.address)))
}

/// The ModRM operand.
fn operand(m: &Machine, insn: &Insn) -> Option<Target> {
    /// Neither an index nor, with mode 0, a base.
    const NO_INDEX: u8 = 4;
    const NO_BASE: u8 = 5;
    let modrm = insn.shape.modrm.filter(|modrm| modrm.mode() != 3)?;
    let (base_high, index_high) = (insn.shape.base_high, insn.shape.index_high);
    let (base, index) = match modrm.sib {
        Some(sib) => {
            let index = sib >> 3 & 7 | index_high;
            (Some(sib & 7), Some(index).filter(|&index| index != NO_INDEX))
        }
        None => (Some(modrm.rm()), None),
    };
    let base = base.filter(|&base| base != NO_BASE || modrm.mode() != 0);
    let gpr = |n: Option<u8>| n.map_or(0, |n| m.gprs[n as usize & 15] as usize);
    Some(Target {
        address: m.effective(insn, &modrm),
        pointers: [gpr(base.map(|base| base | base_high)), gpr(index)],
        kind: insn.form.map_or(AccessKind::Read, |form| form.kind),
    })
}

/// What an instruction accesses without an operand in its bytes, and where it jumps.
fn implied(m: &mut Machine, insn: &Insn) -> [Option<Target>; 2] {
    let shape = &insn.shape;
    let through = |pointer: u64, kind| {
        let address = pointer as usize;
        Some(Target { address, pointers: [address, 0], kind })
    };
    if strings::is_string(shape) {
        return [through(m.gprs[RSI], AccessKind::Read), through(m.gprs[RDI], AccessKind::Write)];
    }
    if shape.map == 0 && !shape.is_vex() && matches!(shape.opcode, 0xa0..=0xa3) {
        let kind = if shape.opcode < 0xa2 { AccessKind::Read } else { AccessKind::Write };
        return [through(m.direct_address(insn) as u64, kind), None];
    }
    if !stack::is_stack(shape) {
        return [None, None];
    }
    let modrm = shape.modrm.filter(|_| shape.opcode == 0xff);
    let callee = match (shape.opcode, modrm) {
        (0xff, Some(modrm)) if !matches!(modrm.digit(), 2 | 4) => None,
        (0xff, Some(modrm)) if modrm.mode() == 3 => {
            Some(m.gprs[(modrm.rm() | shape.base_high) as usize])
        }
        (0xff, Some(modrm)) => m.memory.load(m.effective(insn, &modrm), 8).ok(),
        (0xc2 | 0xc3, _) => m.memory.load(m.gprs[RSP] as usize, 8).ok(),
        _ => None,
    };
    let kind = match shape.opcode {
        0x58..=0x5f | 0x8f | 0x9d | 0xc2 | 0xc3 | 0xc9 => AccessKind::Read,
        _ => AccessKind::Write,
    };
    let leaves = shape.opcode == 0xc9;
    let stack = if leaves { m.gprs[RBP] } else { m.gprs[RSP] };
    [callee.and_then(|callee| through(callee, AccessKind::Execute)), through(stack, kind)]
}
