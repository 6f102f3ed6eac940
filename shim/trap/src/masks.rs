//! Which bytes of a vector operand are accessed at all.
//!
//! Lanes whose mask bit is clear must not be touched: they may lie in memory that
//! is not there. One bit per byte of the operand, which has 64 bytes at most.

use crate::context::Machine;
use crate::insn::Insn;
use crate::shape::{Coding, Shape};

/// Bytes of the operand that are accessed.
pub fn active(m: &Machine, insn: &Insn, len: usize) -> u64 {
    let all = if len >= 64 { u64::MAX } else { (1 << len) - 1 };
    let shape = &insn.shape;
    match shape.coding {
        Coding::Vex3 if shape.map == 2 && matches!(shape.opcode, 0x2c..=0x2f | 0x8c | 0x8e) => {
            by_sign(m, shape, len)
        }
        Coding::Evex if shape.mask != 0 => by_opmask(m, shape, len, all),
        _ => all,
    }
}

/// vmaskmov: the signs of the lanes of vvvv.
fn by_sign(m: &Machine, shape: &Shape, len: usize) -> u64 {
    let lane = match shape.opcode {
        0x2d | 0x2f => 8,
        0x8c | 0x8e if shape.wide => 8,
        _ => 4,
    };
    let mask = m.vectors.ymm(shape.vvvv);
    let set = |n: usize| mask[(n + 1) * lane - 1] & 0x80 != 0;
    spread((0..len / lane).filter(|n| set(*n)).fold(0, |bits, n| bits | 1 << n), lane)
}

fn by_opmask(m: &Machine, shape: &Shape, len: usize, all: u64) -> u64 {
    let mask = m.vectors.opmask(shape.mask);
    let (lane, register_lane) = lanes(shape);
    let register_lanes = (16 << shape.length) / register_lane;
    let mask = if register_lanes < 64 { mask & ((1 << register_lanes) - 1) } else { mask };
    if is_packing(shape) {
        let bytes = mask.count_ones() as usize * lane;
        return if bytes >= 64 { u64::MAX } else { (1 << bytes) - 1 };
    }
    if is_scalar(shape) {
        return if mask & 1 != 0 { all } else { 0 };
    }
    // One element, or a group of them, for many lanes.
    if shape.broadcast || len != register_lanes * lane {
        return if mask != 0 { all } else { 0 };
    }
    spread(mask, lane)
}

/// One bit per lane to one bit per byte.
fn spread(mut lanes: u64, lane: usize) -> u64 {
    let mut bytes = 0;
    while lanes != 0 {
        bytes |= ((1 << lane) - 1) << (lanes.trailing_zeros() as usize * lane);
        lanes &= lanes - 1;
    }
    bytes
}

/// vcompress, vexpand: the active lanes lie side by side.
fn is_packing(shape: &Shape) -> bool {
    shape.map == 2 && shape.data16 && matches!(shape.opcode, 0x62 | 0x63 | 0x88..=0x8b)
}

/// Only lane 0: the arithmetic of F3 and F2 prefixes, and fused multiply-add's.
fn is_scalar(shape: &Shape) -> bool {
    match shape.map {
        1 => {
            shape.repeat != 0
                && matches!(shape.opcode, 0x10 | 0x11 | 0x51 | 0x58..=0x5a | 0x5c..=0x5f | 0xc2)
        }
        2 => {
            shape.data16
                && matches!(
                    shape.opcode,
                    0x43 | 0x4d
                        | 0x4f
                        | 0x99
                        | 0x9b
                        | 0x9d
                        | 0x9f
                        | 0xa9
                        | 0xab
                        | 0xad
                        | 0xaf
                        | 0xb9
                        | 0xbb
                        | 0xbd
                        | 0xbf
                        | 0x2d
                )
        }
        3 => shape.data16 && matches!(shape.opcode, 0x0a | 0x0b | 0x27 | 0x51 | 0x55 | 0x57 | 0x67),
        5 => shape.repeat != 0,
        6 => shape.opcode & 0xf >= 9 && shape.opcode & 1 == 1,
        _ => false,
    }
}

/// Bytes of a lane in memory, and of that lane in the register that the mask counts.
fn lanes(shape: &Shape) -> (usize, usize) {
    let by_w = if shape.wide { 8 } else { 4 };
    let byte_or_word = if shape.wide { 2 } else { 1 };
    let op = shape.opcode;
    match shape.map {
        1 if matches!(op, 0x6f | 0x7f) && shape.repeat == 0xf2 => (byte_or_word, byte_or_word),
        1 if shape.data16 && is_byte_op(op) => (1, 1),
        1 if shape.data16 && is_word_op(op) => (2, 2),
        2 if matches!(op, 0x62 | 0x63 | 0x66) => (byte_or_word, byte_or_word),
        // vpmov*: stores of narrowed lanes.
        2 if shape.repeat == 0xf3 && matches!(op, 0x10..=0x15 | 0x20..=0x25 | 0x30..=0x35) => {
            narrowing(op & 7)
        }
        2 if shape.data16 && matches!(op, 0x20..=0x25 | 0x30..=0x35) => narrowing(op & 7),
        2 if shape.data16 && matches!(op, 0x00 | 0x1c | 0x38 | 0x3c) => (1, 1),
        2 if shape.data16 && matches!(op, 0x04 | 0x0b | 0x1d | 0x3a | 0x3e) => (2, 2),
        2 if op == 0x13 => (2, 4),
        3 if op == 0x1d => (2, 4),
        3 if matches!(op, 0x19 | 0x1b | 0x39 | 0x3b) => (by_w, by_w),
        1 if op == 0x5a || op == 0xe6 => (if shape.wide { 8 } else { 4 }, 8),
        5 | 6 => (2, 2),
        _ => (by_w, by_w),
    }
}

/// Bytes before and behind for the six pairs that vpmov knows, in its order.
pub fn narrowing(pair: u8) -> (usize, usize) {
    [(1, 2), (1, 4), (1, 8), (2, 4), (2, 8), (4, 8)][pair as usize % 6]
}

fn is_byte_op(op: u8) -> bool {
    matches!(op, 0x64 | 0x74 | 0xd8 | 0xda | 0xdc | 0xde | 0xe0 | 0xec | 0xf8 | 0xfc)
}

fn is_word_op(op: u8) -> bool {
    matches!(
        op,
        0x65 | 0x75
            | 0xd5
            | 0xd9
            | 0xdd
            | 0xe3
            | 0xe4
            | 0xe5
            | 0xe8
            | 0xe9
            | 0xea
            | 0xed
            | 0xee
            | 0xf9
            | 0xfd
    )
}
