//! Finds or makes the stub of a moved instruction.
//!
//! A stub is known by its bytes, not by the place it came from: the operand's
//! address is in a register, so all places with the same instruction share one, and
//! code that changes cannot meet a stale one. A place goes Empty -> Busy -> Ready
//! and stays so; readers compare bytes only when Ready was seen (acquire/release).
//! No lock: who meets Busy goes on to the next place, and may make a second copy.

use crate::Refused;
use crate::pages::{BUSY, Pages, READY, STUB_BYTES};
use std::sync::atomic::{AtomicBool, Ordering};

/// Places that are looked at before the table counts as full.
const PROBES: usize = 64;

static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// Whether code may be made at all; without, plain forms are still emulated.
pub fn allow(yes: bool) {
    FORBIDDEN.store(!yes, Ordering::Relaxed);
}

/// The address of a stub with these bytes.
///
/// # Errors
///
/// [`Refused::NoCode`] if there is no executable memory, or no place left.
pub fn find(stub: &[u8; STUB_BYTES]) -> Result<u64, Refused> {
    if FORBIDDEN.load(Ordering::Relaxed) {
        return Err(Refused::NoCode);
    }
    let pages = Pages::get().ok_or(Refused::NoCode)?;
    let hash = hash(stub);
    for probe in 0..PROBES {
        let n = (hash as usize + probe) & (pages.count - 1);
        let mut state = pages.states[n].load(Ordering::Acquire);
        if state == 0 {
            match pages.states[n].compare_exchange(0, BUSY, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => {
                    if !pages.write(n, stub) {
                        return Err(Refused::NoCode);
                    }
                    pages.states[n].store(READY | hash, Ordering::Release);
                    return Ok(pages.code(n) as u64);
                }
                Err(now) => state = now,
            }
        }
        if state == READY | hash && holds(pages.code(n), stub) {
            return Ok(pages.code(n) as u64);
        }
    }
    Err(Refused::NoCode)
}

fn holds(code: *const u8, stub: &[u8; STUB_BYTES]) -> bool {
    // SAFETY: a ready place is readable and does not change any more.
    unsafe { *code.cast::<[u8; STUB_BYTES]>() == *stub }
}

/// FNV-1a by words, without the highest bit, which is [`READY`].
fn hash(stub: &[u8; STUB_BYTES]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for word in stub.chunks_exact(8) {
        let word = u64::from_le_bytes([
            word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7],
        ]);
        hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    (hash >> 20) as u32 & !READY
}
