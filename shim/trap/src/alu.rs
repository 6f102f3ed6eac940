//! Integer arithmetic with the flags as the processor makes them.

use crate::context::STATUS;
use std::arch::asm;

/// Compare, in the numbering of opcodes 00 to 3F.
pub const CMP: u8 = 7;
/// Test, behind those eight.
pub const TEST: u8 = 8;

/// `op a, b` on `size` bytes: the result (of which `size` bytes count) and the flags.
pub fn binary(op: u8, size: usize, a: u64, b: u64, flags: u64) -> (u64, u64) {
    let (mut result, mut out) = (a, flags & STATUS | 2);
    macro_rules! run {
        ($name:literal, $a:literal, $b:literal) => {
            // SAFETY: registers and the flags that are named; popf gets status flags.
            unsafe {
                asm!(
                    "push {f}",
                    "popfq",
                    concat!($name, " ", $a, ", ", $b),
                    "pushfq",
                    "pop {f}",
                    f = inout(reg) out,
                    inout("rax") result,
                    in("rcx") b,
                )
            }
        };
    }
    macro_rules! sized {
        ($name:literal) => {
            match size {
                1 => run!($name, "al", "cl"),
                2 => run!($name, "ax", "cx"),
                4 => run!($name, "eax", "ecx"),
                _ => run!($name, "rax", "rcx"),
            }
        };
    }
    match op {
        0 => sized!("add"),
        1 => sized!("or"),
        2 => sized!("adc"),
        3 => sized!("sbb"),
        4 => sized!("and"),
        5 => sized!("sub"),
        6 => sized!("xor"),
        CMP => sized!("cmp"),
        _ => sized!("test"),
    }
    (result, out & STATUS)
}
