//! What the thunks ask: whether any of a call's memory lies in a freed block. With all
//! registers kept that a call may need, and the answer in the flags ("not equal": yes).

use core::arch::global_asm;

use super::{Shape, is_stale};
use crate::sandbox::Arguments;

macro_rules! looks {
    ($($symbol:literal: $name:ident, $shape:expr;)+) => {
        $(
            extern "C" fn $name(
                a: usize, b: usize, c: usize, d: usize, e: usize, f: usize,
            ) -> bool {
                is_stale($shape, &Arguments([a, b, c, d, e, f]))
            }

            global_asm!(
                ".text",
                ".balign 16",
                concat!(".hidden ", $symbol),
                concat!(".globl ", $symbol),
                concat!(".type ", $symbol, ",@function"),
                concat!($symbol, ":"),
                ".cfi_startproc",
                "push rdi",
                ".cfi_adjust_cfa_offset 8",
                "push rsi",
                ".cfi_adjust_cfa_offset 8",
                "push rdx",
                ".cfi_adjust_cfa_offset 8",
                "push rcx",
                ".cfi_adjust_cfa_offset 8",
                "push r8",
                ".cfi_adjust_cfa_offset 8",
                "push r9",
                ".cfi_adjust_cfa_offset 8",
                // Aligned: two return addresses and these six.
                "call {look}",
                "pop r9",
                ".cfi_adjust_cfa_offset -8",
                "pop r8",
                ".cfi_adjust_cfa_offset -8",
                "pop rcx",
                ".cfi_adjust_cfa_offset -8",
                "pop rdx",
                ".cfi_adjust_cfa_offset -8",
                "pop rsi",
                ".cfi_adjust_cfa_offset -8",
                "pop rdi",
                ".cfi_adjust_cfa_offset -8",
                "test al, al",
                "ret",
                ".cfi_endproc",
                concat!(".size ", $symbol, ", . - ", $symbol),
                look = sym $name,
            );
        )+
    };
}

looks! {
    "deadwalk_shim_stale_buffer": buffer, Shape::Buffer;
    "deadwalk_shim_stale_addressed": addressed, Shape::Addressed;
    "deadwalk_shim_stale_vector": vector, Shape::Vector;
    "deadwalk_shim_stale_message": message, Shape::Message;
}
