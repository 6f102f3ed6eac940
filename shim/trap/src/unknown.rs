//! Instructions that the decoder does not know: vector ones that read one operand.
//!
//! Half precision (AVX512-FP16), AVX-VNNI, GFNI and the wide carry-less product in
//! their VEX forms, and moves of mask registers. Gathers are here too, since
//! `gather.rs` wants their encoding and nothing else. All of them were compared with the
//! processor (`tests/native.rs`).

use crate::access::AccessKind::{Read, Write};
use crate::gather;
use crate::insn::Form;
use crate::shape::{Coding, Shape};

/// An instruction as far as it must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The memory operand; none: gathers.
    pub form: Option<Form>,
    /// Bytes behind the displacement.
    pub immediate: usize,
    /// What EVEX counts one-byte displacements in.
    pub scale: i32,
}

/// What is known of `shape`, if the decoder need not be asked.
pub fn known(shape: &Shape) -> Option<Known> {
    if shape.modrm.is_none_or(|m| m.mode() == 3) {
        return None;
    }
    if gather::is_gather(shape) {
        let element = if shape.wide { 8 } else { 4 };
        let scale = if shape.coding == Coding::Evex { element } else { 1 };
        return Some(Known { form: None, immediate: 0, scale });
    }
    let vector = 16 << shape.length;
    let reads = |len| Some(Known { form: Some(Form { len, kind: Read }), immediate: 0, scale: 1 });
    match shape.coding {
        Coding::Legacy => None,
        Coding::Evex => half(shape, vector),
        _ => match (shape.map, shape.opcode) {
            (1, 0x90 | 0x91) => mask_move(shape),
            (2, 0x50..=0x53) if shape.data16 && !shape.wide => reads(vector),
            (2, 0xcf) if shape.data16 && !shape.wide => reads(vector),
            (3, 0x44) if shape.data16 => Some(Known { immediate: 1, ..reads(vector)? }),
            (3, 0xce | 0xcf) if shape.data16 && shape.wide => {
                Some(Known { immediate: 1, ..reads(vector)? })
            }
            _ => None,
        },
    }
}

fn mask_move(shape: &Shape) -> Option<Known> {
    if shape.length != 0 || shape.repeat != 0 {
        return None;
    }
    let len = match (shape.wide, shape.data16) {
        (false, true) => 1,
        (false, false) => 2,
        (true, true) => 4,
        (true, false) => 8,
    };
    let kind = if shape.opcode == 0x90 { Read } else { Write };
    Some(Known { form: Some(Form { len, kind }), immediate: 0, scale: 1 })
}

/// Arithmetic of half precision: lanes of two bytes.
fn half(shape: &Shape, vector: usize) -> Option<Known> {
    let plain = shape.repeat == 0 && !shape.data16;
    let scalar = shape.repeat == 0xf3;
    let (lane, immediate) = match (shape.map, shape.opcode) {
        (5, 0x51 | 0x58 | 0x59 | 0x5c..=0x5f) if (plain || scalar) && !shape.wide => (2, 0),
        // Fused multiply-add: the lowest bit says scalar.
        (6, 0x96..=0x9f | 0xa6..=0xaf | 0xb6..=0xbf) if shape.data16 && !shape.wide => {
            let one = shape.opcode & 0xf >= 9 && shape.opcode & 1 == 1;
            return read_lanes(if one { 2 } else { vector }, one, shape, 2, 0);
        }
        _ => return None,
    };
    read_lanes(if scalar { lane } else { vector }, scalar, shape, lane, immediate)
}

fn read_lanes(
    len: usize,
    scalar: bool,
    shape: &Shape,
    lane: usize,
    immediate: usize,
) -> Option<Known> {
    let len = if shape.broadcast && !scalar { lane } else { len };
    Some(Known { form: Some(Form { len, kind: Read }), immediate, scale: len as i32 })
}
