//! The calling thread's stack, without symbols: the reader resolves them.

use crate::modules;

/// Writes addresses inside the calling instructions, innermost first, without
/// our own frames; returns how many.
///
/// Contexts: ordinary threads, also inside `free`; not in a signal handler.
/// The unwinder takes no lock and allocates nothing with glibc 2.35 or later.
pub fn capture(out: &mut [usize]) -> usize {
    let mut depth = 0;
    // SAFETY: the unsynchronized form shares no state when it only walks.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let addr = (frame.ip() as usize).wrapping_sub(1);
            if addr != 0 && !modules::is_own(addr) && depth < out.len() {
                out[depth] = addr;
                depth += 1;
            }
            depth < out.len()
        });
    }
    depth
}
