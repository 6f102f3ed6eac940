//! SSE exceptions that the program wants as SIGFPE (`feenableexcept`).
//!
//! The stub must not raise them, so it runs with all masked, on a copy of the
//! state. If one came up that the program has not masked, the copy is dropped and
//! the fault is the program's. (A tiny but exact result is an unmasked underflow
//! natively; masked, the processor does not tell. It passes here.)

use crate::shape::Shape;
use crate::vectors::{AREA_BYTES, Vectors};
use crate::{Fault, Refused};
use std::ptr;

const FLAGS: u32 = 0x3f;
/// The masks lie above the flags, in the same order.
const MASK_SHIFT: u32 = 7;

#[repr(C, align(64))]
struct Area([u8; AREA_BYTES]);

/// Whether an instruction of this shape may raise an SSE exception that is wanted.
pub fn may_trap(vectors: &Vectors, shape: &Shape) -> bool {
    let state = shape.map == 1 && matches!(shape.opcode, 0xae | 0xc7);
    !shape.is_x87() && !state && vectors.mxcsr() >> MASK_SHIFT & FLAGS != FLAGS
}

/// Runs on a copy of the state, and takes that over if nothing was raised.
///
/// # Errors
///
/// The SIGFPE that the program's own instruction would raise at `rip`.
#[inline(never)]
pub fn guarded(vectors: Vectors, rip: u64, run: impl FnOnce(Vectors)) -> Result<(), Refused> {
    let mut area = Area([0; AREA_BYTES]);
    let copy = Vectors { area: area.0.as_mut_ptr(), ..vectors };
    // SAFETY: both have `bytes` bytes at least.
    unsafe { ptr::copy_nonoverlapping(vectors.area, copy.area, vectors.bytes()) };
    let before = vectors.mxcsr();
    copy.set_mxcsr(before & !FLAGS | FLAGS << MASK_SHIFT);
    run(copy);
    let raised = copy.mxcsr() & FLAGS;
    let wanted = raised & !(before >> MASK_SHIFT) & FLAGS;
    if wanted != 0 {
        vectors.set_mxcsr(before | raised);
        return Err(Fault::float(wanted, rip));
    }
    copy.set_mxcsr(before | raised);
    // SAFETY: as above, back into the frame.
    unsafe { ptr::copy_nonoverlapping(copy.area, vectors.area, vectors.bytes()) };
    Ok(())
}
