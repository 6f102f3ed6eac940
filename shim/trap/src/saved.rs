//! Processor state that the program loads from memory: what the processor would
//! refuse must not reach our stub, where #GP kills.

use crate::context::Machine;
use crate::insn::Insn;
use crate::vectors::COMPONENTS;
use crate::{Fault, Refused};

/// Where MXCSR lies in a saved state.
const MXCSR_AT: usize = 24;
/// Where XSAVE's header begins, and its bytes.
const HEADER_AT: usize = 512;
const HEADER_BYTES: usize = 64;

/// Looks at what ldmxcsr, fxrstor and xrstor would load. True for the family of
/// xsave and xrstor, whose components in edx:eax are to be cut to those we keep.
///
/// # Errors
///
/// The #GP of the program's own instruction; a compacted state is refused.
///
/// # Safety
///
/// * `at` is valid for the operand's access.
pub unsafe fn check(m: &Machine, insn: &Insn, at: *const u8) -> Result<bool, Refused> {
    let shape = &insn.shape;
    let Some(modrm) = shape.modrm.filter(|_| shape.map == 1) else { return Ok(false) };
    let word = |at: *const u8| {
        // SAFETY: inside the operand, as promised by the caller.
        unsafe { at.cast::<u32>().read_unaligned() }
    };
    let mxcsr_ok = |value: u32| value & !m.vectors.mxcsr_allowed() == 0;
    match (shape.opcode, modrm.digit()) {
        (0xae, 2) if !mxcsr_ok(word(at)) => Err(Fault::protection()),
        (0xae, 1) if !mxcsr_ok(word(at.wrapping_add(MXCSR_AT))) => Err(Fault::protection()),
        (0xae, 5) => {
            // SAFETY: inside the operand, as promised by the caller.
            let header = unsafe { *at.add(HEADER_AT).cast::<[u8; HEADER_BYTES]>() };
            let plain = header[0] & !COMPONENTS as u8 == 0 && header[1..].iter().all(|b| *b == 0);
            if plain && mxcsr_ok(word(at.wrapping_add(MXCSR_AT))) {
                Ok(true)
            } else {
                Err(Refused::Unsupported("xrstor of an unusual state"))
            }
        }
        (0xae, 4 | 6) if shape.repeat == 0 && !shape.data16 => Ok(true),
        (0xc7, 4) => Ok(true),
        _ => Ok(false),
    }
}
