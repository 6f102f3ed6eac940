//! Jumps out of handlers: out of a timer's, which ends its run, and out of one that
//! interrupted the heap. A single-threaded program gets away with that under glibc,
//! so it does here.

use core::arch::asm;

use deadwalk_alloc::signal as heap;

use super::timed;
use crate::{stdio, tls};

/// Word of glibc's `jmp_buf` that holds the stack pointer.
const STACK_WORD: usize = 6;

/// The calling thread, in a handler, is about to jump to `target`, a `jmp_buf`. Ends
/// every run, and every interruption of the heap, that the jump leaves.
pub fn leaving(target: usize) {
    // SAFETY: a `jmp_buf` that setjmp filled, by the promise of longjmp's caller.
    let stack = unsafe { stack_of(target) };
    let alternate = alternate_stack();
    let is_left = |interrupted_at| {
        match (alternate.contains(&interrupted_at), alternate.contains(&stack)) {
            (true, false) => true,
            (false, true) => false,
            // Where `setjmp` was called may be the very function that was interrupted.
            _ => stack >= interrupted_at,
        }
    };
    timed::end_those(is_left);
    stdio::end_those(is_left);
    // What the handler had interrupted may have been the start or end of another.
    if tls::hooks() & tls::IN_LIBC != 0 {
        tls::set_hooks(tls::hooks() & !tls::IN_LIBC);
        timed::end_unframed();
    }
    if alternate.contains(&stack) {
        return;
    }
    // On the same stack, a jump to above the interruption leaves it; from the
    // alternate stack, every jump that does not stay there does.
    let here = &raw const stack as usize;
    while heap::interrupted_at() != 0
        && (alternate.contains(&here) || stack > heap::interrupted_at())
    {
        heap::abandon();
    }
}

/// The calling thread, in a handler, is about to go on in another context. It may come
/// back, but who waits for the handler meanwhile waits for another stack.
pub fn switching() {
    timed::end_those(|_| true);
    stdio::end_those(|_| true);
}

/// The stack pointer in a `jmp_buf`: glibc keeps it rotated and masked.
///
/// # Safety
///
/// * `target` is a filled `jmp_buf`.
unsafe fn stack_of(target: usize) -> usize {
    let stack: usize;
    // SAFETY: the caller's promise; the mask is in every thread's control block.
    unsafe {
        let kept = (target as *const usize).add(STACK_WORD).read();
        asm!("ror {s}, 17", "xor {s}, qword ptr fs:[0x30]", s = inout(reg) kept => stack,
            options(nostack, readonly));
    }
    stack
}

/// The alternate stack, if the thread is on it.
pub fn alternate_stack() -> core::ops::Range<usize> {
    // SAFETY: a structure of ours; nothing is changed.
    unsafe {
        let mut now: libc::stack_t = core::mem::zeroed();
        if libc::sigaltstack(core::ptr::null(), &raw mut now) != 0
            || now.ss_flags & libc::SS_ONSTACK == 0
        {
            return 0..0;
        }
        let start = now.ss_sp as usize;
        start..start + now.ss_size
    }
}
