//! Gathers and scatters, lane by lane.
//!
//! Lanes go from the lowest up, and a lane that was done has its mask bit cleared,
//! so a fault in plain memory leaves what the processor leaves: the program comes
//! again for the rest. Vector registers are read and written by small instructions
//! of our own, run like moved ones.

use crate::context::Machine;
use crate::insn::Insn;
use crate::shape::{Coding, ModRm, Shape};
use crate::{Refused, general};

/// Bytes of the longest vector.
const ZMM: usize = 64;

/// Whether `shape` has a vector of addresses.
pub fn is_gather(shape: &Shape) -> bool {
    shape.map == 2
        && shape.data16
        && shape.modrm.is_some_and(|m| m.mode() != 3)
        && match shape.coding {
            Coding::Vex3 => matches!(shape.opcode, 0x90..=0x93),
            Coding::Evex => matches!(shape.opcode, 0x90..=0x93 | 0xa0..=0xa3),
            _ => false,
        }
}

struct Lanes {
    count: usize,
    element: usize,
    index: usize,
    bytes: usize,
}

impl Lanes {
    fn of(shape: &Shape) -> Lanes {
        let element = if shape.wide { 8 } else { 4 };
        let index = if shape.opcode & 1 != 0 { 8 } else { 4 };
        let bytes = 16 << shape.length;
        Lanes { count: bytes / element.max(index), element, index, bytes }
    }
}

/// Performs `insn`.
///
/// # Errors
///
/// See [`Refused`]; no lane was done then.
pub fn perform(m: &mut Machine, insn: &Insn) -> Result<(), Refused> {
    let shape = &insn.shape;
    let modrm = shape.modrm.ok_or(Refused::Undecodable)?;
    let lanes = Lanes::of(shape);
    let scatter = shape.opcode & 0x20 != 0;
    let addresses = addresses(m, insn, &modrm, &lanes)?;
    let mut value = vector(m, shape, shape.reg())?;
    let mut mask = Mask::read(m, shape, &lanes);
    let mut done = 0;
    for (n, address) in addresses[..lanes.count].iter().copied().enumerate() {
        if !mask.has(n) {
            continue;
        }
        let lane = &mut value[n * lanes.element..][..lanes.element];
        let result =
            if scatter { m.memory.write(address, lane) } else { m.memory.read(address, lane) };
        match result {
            Ok(()) => mask.clear(n),
            Err(refused) if done == 0 => return Err(refused),
            Err(_) => break,
        }
        done += 1;
    }
    if done == 0 {
        return Err(Refused::NotGuarded);
    }
    let finished = mask.bits == 0;
    if !scatter {
        let mut bytes = ZMM;
        if finished {
            value[lanes.count * lanes.element..].fill(0);
            bytes = (lanes.count * lanes.element).max(16);
        }
        set_vector(m, shape, shape.reg(), &mut value, bytes)?;
    }
    mask.store(m, shape, &lanes)?;
    if finished {
        m.rip += insn.len as u64;
    }
    Ok(())
}

fn addresses(
    m: &mut Machine,
    insn: &Insn,
    modrm: &ModRm,
    lanes: &Lanes,
) -> Result<[usize; 16], Refused> {
    let shape = &insn.shape;
    let sib = modrm.sib.ok_or(Refused::Undecodable)?;
    // With EVEX the fifth bit of the index is where vvvv has its own.
    let fifth = if shape.coding == Coding::Evex { shape.vvvv & 0x10 } else { 0 };
    let indexes = vector(m, shape, sib >> 3 & 7 | shape.index_high | fifth)?;
    let base = m.vector_base(insn, modrm);
    let mut addresses = [0; 16];
    for (n, address) in addresses[..lanes.count].iter_mut().enumerate() {
        let mut bytes = [0; 8];
        bytes[..lanes.index].copy_from_slice(&indexes[n * lanes.index..][..lanes.index]);
        let index = match lanes.index {
            4 => i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as u64,
            _ => u64::from_le_bytes(bytes),
        };
        *address = m.linear(insn, base.wrapping_add(index << (sib >> 6)));
    }
    Ok(addresses)
}

/// Bits of the lanes that are still to be done.
struct Mask {
    bits: u64,
    /// Bits of a mask register above the lanes; cleared with the last lane.
    above: u64,
}

impl Mask {
    fn read(m: &Machine, shape: &Shape, lanes: &Lanes) -> Mask {
        let all = (1 << lanes.count) - 1;
        if shape.coding == Coding::Evex {
            let mask = m.vectors.opmask(shape.mask);
            return Mask { bits: mask & all, above: mask & !all };
        }
        let signs = m.vectors.ymm(shape.vvvv);
        let set = |n: &usize| signs[(n + 1) * lanes.element - 1] & 0x80 != 0;
        Mask { bits: (0..lanes.count).filter(set).fold(0, |bits, n| bits | 1 << n), above: 0 }
    }

    fn has(&self, n: usize) -> bool {
        self.bits >> n & 1 != 0
    }

    fn clear(&mut self, n: usize) {
        self.bits &= !(1 << n);
    }

    fn store(&self, m: &mut Machine, shape: &Shape, lanes: &Lanes) -> Result<(), Refused> {
        if shape.coding == Coding::Evex {
            let modrm = shape.mask << 3 | 7;
            let left = if self.bits == 0 { 0 } else { self.bits | self.above };
            let mut value = left.to_le_bytes();
            if left >> 16 != 0 {
                // kmovq k, [rdi], on processors that have such masks.
                return general::on_buffer(m, &[0xc4, 0xe1, 0xf8, 0x90, modrm], &mut value);
            }
            // kmovw k, [rdi]
            return general::on_buffer(m, &[0xc5, 0xf8, 0x90, modrm], &mut value[..2]);
        }
        let mut value = [0; ZMM];
        for n in (0..lanes.count).filter(|n| self.has(*n)) {
            value[n * lanes.element..][..lanes.element].fill(0xff);
        }
        set_vector(m, shape, shape.vvvv, &mut value, lanes.bytes)
    }
}

/// A vector register's value; with VEX only its low half.
fn vector(m: &mut Machine, shape: &Shape, n: u8) -> Result<[u8; ZMM], Refused> {
    let mut value = [0; ZMM];
    if shape.coding == Coding::Evex {
        // vmovdqu64 [rdi], zmm
        general::on_buffer(m, &evex_move(0x7f, n, 2), &mut value)?;
    } else {
        value[..32].copy_from_slice(&m.vectors.ymm(n));
    }
    Ok(value)
}

/// Sets the low `bytes` of a vector register, and clears the rest.
fn set_vector(
    m: &mut Machine,
    shape: &Shape,
    n: u8,
    value: &mut [u8; ZMM],
    bytes: usize,
) -> Result<(), Refused> {
    let longest = if shape.coding == Coding::Evex { ZMM } else { 32 };
    let length = (bytes.min(longest) / 32) as u8;
    let part = &mut value[..16 << length];
    if shape.coding == Coding::Evex {
        return general::on_buffer(m, &evex_move(0x6f, n, length), part);
    }
    // vmovdqu xmm or ymm, [rdi]
    let code = [0xc5, (!n >> 3 & 1) << 7 | 0x7a | length << 2, 0x6f, (n & 7) << 3 | 7];
    general::on_buffer(m, &code, part)
}

/// vmovdqu64 between a vector register and `[rdi]`.
fn evex_move(opcode: u8, n: u8, length: u8) -> [u8; 6] {
    let p0 = (!n >> 3 & 1) << 7 | 0x60 | (!n >> 4 & 1) << 4 | 1;
    [0x62, p0, 0xfe, length << 5 | 0x08, opcode, (n & 7) << 3 | 7]
}
