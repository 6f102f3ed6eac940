//! Divisions by an operand: #DE must not be raised by our stub.
//!
//! The divisor is looked at in a copy, on which the division then runs, so no other
//! thread can make it zero in between.

use crate::context::{Machine, RAX, RDX};
use crate::insn::Insn;
use crate::shape::Shape;

/// div or idiv.
pub fn is_division(shape: &Shape) -> bool {
    !shape.is_vex()
        && shape.map == 0
        && matches!(shape.opcode, 0xf6 | 0xf7)
        && shape.modrm.is_some_and(|m| m.digit() >= 6)
}

/// Whether dividing by `divisor` raises #DE: by zero, or a quotient that is too long.
pub fn would_fault(m: &Machine, insn: &Insn, divisor: &[u8]) -> bool {
    let bits = divisor.len() as u32 * 8;
    let mut bytes = [0; 8];
    bytes[..divisor.len()].copy_from_slice(divisor);
    let divisor = u64::from_le_bytes(bytes);
    if divisor == 0 {
        return true;
    }
    let (low, high) = match bits {
        8 => (m.gprs[RAX] & 0xff, m.gprs[RAX] >> 8 & 0xff),
        64 => (m.gprs[RAX], m.gprs[RDX]),
        _ => (m.gprs[RAX] & ((1 << bits) - 1), m.gprs[RDX] & ((1 << bits) - 1)),
    };
    let signed = insn.shape.modrm.is_some_and(|m| m.digit() == 7);
    if !signed {
        return high >= divisor;
    }
    let both = (high as u128) << bits | low as u128;
    let shift = 128 - 2 * bits;
    let dividend = (both << shift) as i128 >> shift;
    let divisor = ((divisor as i128) << (128 - bits)) >> (128 - bits);
    let limit = 1_i128 << (bits - 1);
    // The one quotient that i128 cannot hold is too long as well.
    dividend.checked_div(divisor).is_none_or(|q| q < -limit || q >= limit)
}
