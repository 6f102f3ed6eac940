//! Operands that the decoder does not describe, or not safely enough.
//!
//! From the Intel SDM, volume 2. Sizes of XSAVE's are those of the components that
//! `vectors.rs` keeps.

use std::arch::x86_64::__cpuid;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use crate::access::AccessKind::{self, Read, Update, Write};
use crate::insn::Form;
use crate::masks;
use crate::shape::{Coding, Shape};
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
        // Stores, which the decoder takes for updates.
        (false, 0, 0x88 | 0xc6) => (1, Write),
        (false, 0, 0x89 | 0xc7) => (shape.operand_size(), Write),
        (false, 0, 0x8c) => (2, Write),
        (false, 1, 0x11) => (scalar(shape), Write),
        (false, 1, 0x13 | 0x17) => (8, Write),
        (true, 3, 0x1d) if shape.coding != Coding::Evex => (8 << shape.length, Write),
        (true, 1, 0x13 | 0x17) => (8, Write),
        (false, 1, 0xa3) => (shape.operand_size(), Read),
        (false, 1, 0xab | 0xb3 | 0xbb) => (shape.operand_size(), Update),
        (false, 1, 0xba) if digit == 4 => (shape.operand_size(), Read),
        (false, 1, 0xba) => (shape.operand_size(), Update),
        (false, 1, 0x00) if matches!(digit, 4 | 5) => (2, Read),
        // Hints, and what only the kernel may do or emulates.
        (false, 1, 0x00 | 0x01 | 0x0d | 0x18..=0x1f) => return Some(None),
        // Lengths that the decoder has wrong: all found by `tests/native.rs`.
        (false, 0, 0x63) if shape.operand_size() == 2 && !reads_words() => (2, Read),
        (false, 0, 0x63) => (4, Read),
        (false, 2, 0xf1) if shape.repeat == 0xf2 => (shape.operand_size(), Read),
        (false, 1, 0x2c | 0x2d) if shape.repeat == 0 && !shape.data16 => (8, Read),
        (false, 1, 0x6e) => (if shape.wide { 8 } else { 4 }, Read),
        (false, 1, 0x7e) if shape.repeat == 0 => (if shape.wide { 8 } else { 4 }, Write),
        (false, 1, 0xe6) if shape.repeat == 0xf3 => (8, Read),
        _ => (vector_read(shape)?, Read),
    };
    Some(Some(Form { len: form.0, kind: form.1 }))
}

/// Bytes that a vector instruction reads, where the decoder has it wrong.
fn vector_read(shape: &Shape) -> Option<usize> {
    let vector = 16 << shape.length;
    let by_w = if shape.wide { 8 } else { 4 };
    let evex = shape.coding == Coding::Evex;
    Some(match (shape.map, shape.opcode) {
        _ if !shape.is_vex() => return None,
        (1, 0x70) if shape.broadcast => 4,
        (1, 0x70) => vector,
        (2, 0x20..=0x25 | 0x30..=0x35) if shape.data16 => {
            let (from, to) = masks::narrowing(shape.opcode & 7);
            vector * from / to
        }
        _ if evex => return None,
        (1, 0x51..=0x53 | 0x58..=0x5a | 0x5c..=0x5f | 0xc2) if shape.repeat == 0xf3 => 4,
        (1, 0x51 | 0x58..=0x5a | 0x5c..=0x5f | 0xc2) if shape.repeat == 0xf2 => 8,
        (1, 0x12 | 0x16) if shape.repeat == 0 => 8,
        (1, 0xe6) if shape.repeat == 0xf3 => vector / 2,
        (2, 0x13) => vector / 2,
        (2, 0x99 | 0x9b | 0x9d | 0x9f | 0xa9 | 0xab | 0xad | 0xaf | 0xb9 | 0xbb | 0xbd | 0xbf) => {
            by_w
        }
        (3, 0x04 | 0x05 | 0x08 | 0x09) => vector,
        (3, 0x0a | 0x21) => 4,
        (3, 0x0b) => 8,
        _ => return None,
    })
}

/// Bytes of an SSE operand by its prefix.
fn scalar(shape: &Shape) -> usize {
    match shape.repeat {
        0xf3 => 4,
        0xf2 => 8,
        _ => 16,
    }
}

/// Whether `movsxd` with a 16-bit operand reads 32 bits all the same, as AMD's processors
/// do, and who took theirs over.
fn reads_words() -> bool {
    /// The end of "AuthenticAMD" and of "HygonGenuine".
    const VENDORS: [u32; 2] = [u32::from_le_bytes(*b"cAMD"), u32::from_le_bytes(*b"uine")];
    /// 0: nobody asked yet; else the answer + 1. A guest's cpuid costs an exit.
    static ANSWER: AtomicU8 = AtomicU8::new(0);
    if ANSWER.load(Relaxed) == 0 {
        ANSWER.store(1 + u8::from(VENDORS.contains(&__cpuid(0).ecx)), Relaxed);
    }
    ANSWER.load(Relaxed) == 2
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
    if shape.data16 && !shape.wide { 14 } else { 28 }
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
