//! The calling thread's stack, without symbols: the reader resolves them.

use crate::{modules, signal};

/// Writes addresses inside the calling instructions, innermost first, without
/// our own frames; returns how many.
///
/// Contexts: ordinary threads, also inside `free`. The unwinder takes no lock and
/// allocates nothing with glibc 2.35 or later. In a timer's signal handler, which may
/// have interrupted anything, there is no stack to be had.
pub fn capture(out: &mut [usize]) -> usize {
    let mut depth = 0;
    if signal::is_in_handler() {
        return depth;
    }
    // SAFETY: the unsynchronized form shares no state when it only walks.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let return_addr = frame.ip() as usize;
            if return_addr == 0 {
                return false; // the thread's bottom
            }
            if !modules::is_own(return_addr - 1) && depth < out.len() {
                out[depth] = return_addr - 1;
                depth += 1;
            }
            depth < out.len()
        });
    }
    depth
}
