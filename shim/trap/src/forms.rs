//! Operands that the decoder does not describe, or not safely enough.
//!
//! From the Intel SDM, volume 2. Sizes of XSAVE's are those of the components that
//! `vectors.rs` keeps.

use crate::access::AccessKind::{self, Read, Update, Write};
use crate::insn::Form;
use crate::shape::Shape;
use crate::vectors::{AREA_BYTES, LEGACY_BYTES};

/// The line that a cache instruction works on; it may fault as a read of a byte does.
const FLUSHED: usize = 1;

/// `Some(None)`: no memory is accessed, or a form that is not to be moved.
pub fn special(shape: &Shape) -> Option<Option<Form>> {
    let modrm = shape.modrm?;
    if modrm.mode() == 3 {
        return None;
    }
    let digit = modrm.digit();
    let form = match (shape.is_vex(), shape.map, shape.opcode) {
        (_, 1, 0xae) => state(shape, digit)?,
        (false, 1, 0xc7) => match digit {
            1 => (if shape.wide { 16 } else { 8 }, Update),
            4 => (AREA_BYTES, Write),
            _ => return Some(None),
        },
        (false, 0, 0xd9) => match digit {
            4 => (environment(shape), Read),
            5 => (2, Read),
            6 => (environment(shape), Write),
            7 => (2, Write),
            _ => return None,
        },
        (false, 0, 0xdd) => match digit {
            4 => (environment(shape) + 80, Read),
            6 => (environment(shape) + 80, Write),
            7 => (2, Write),
            _ => return None,
        },
        (false, 1, 0xa3) => (shape.operand_size(), Read),
        (false, 1, 0xab | 0xb3 | 0xbb) => (shape.operand_size(), Update),
        (false, 1, 0xba) if digit == 4 => (shape.operand_size(), Read),
        (false, 1, 0xba) => (shape.operand_size(), Update),
        // Hints, and what only the kernel may do or emulates.
        (false, 1, 0x00 | 0x01 | 0x0d | 0x18..=0x1f) => return Some(None),
        _ => return None,
    };
    Some(Some(Form { len: form.0, kind: form.1 }))
}

fn state(shape: &Shape, digit: u8) -> Option<(usize, AccessKind)> {
    Some(match digit {
        0 => (LEGACY_BYTES, Write),
        1 => (LEGACY_BYTES, Read),
        2 => (4, Read),
        3 => (4, Write),
        4 if shape.repeat != 0 => (shape.operand_size(), Read),
        4 => (AREA_BYTES, Write),
        5 => (AREA_BYTES, Read),
        6 if shape.data16 => (FLUSHED, Read),
        6 => (AREA_BYTES, Write),
        _ => (FLUSHED, Read),
    })
}

/// Bytes of the x87 environment.
fn environment(shape: &Shape) -> usize {
    if shape.data16 { 14 } else { 28 }
}

/// Whether the operand must be aligned to its size, or #GP is raised.
pub fn must_be_aligned(shape: &Shape, len: usize) -> Option<usize> {
    let op = shape.opcode;
    match (shape.map, op) {
        (1, 0xae) if len == LEGACY_BYTES => return Some(16),
        (1, 0xae | 0xc7) if len == AREA_BYTES => return Some(64),
        (1, 0xc7) if len == 16 => return Some(16),
        _ => {}
    }
    let moves = match (shape.map, op) {
        (1, 0x28 | 0x29 | 0x2b | 0xe7) => true,
        (1, 0x6f | 0x7f) => shape.data16,
        (2, 0x2a) => shape.data16,
        _ => false,
    };
    if shape.is_vex() {
        return (moves && len >= 16).then_some(len);
    }
    let loose = match (shape.map, op) {
        (1, 0x10 | 0x11) => true,
        (1, 0x6f | 0x7f) => shape.repeat == 0xf3,
        (1, 0xf0) => true,
        (3, 0x60..=0x63) => true,
        _ => false,
    };
    (len == 16 && shape.touches_vectors() && !loose).then_some(16)
}

/// Whether an x87 instruction runs though an exception is pending.
pub fn is_no_wait(shape: &Shape) -> bool {
    let digit = shape.modrm.map_or(0, |m| m.digit());
    match shape.opcode {
        0xd9 => digit >= 6,
        0xdd => digit >= 6,
        _ => false,
    }
}
