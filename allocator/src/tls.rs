//! The calling thread's words: its cache, whether it is ending, how deep it is in
//! slow paths of the heap ("busy"), and whether it works for a signal handler
//! that interrupted the heap ("nested": the stack pointer at the interruption).
//!
//! A thread-local of the initial-exec model, defined in assembly because
//! `thread_local!` in a shared object calls `__tls_get_addr`, which may call
//! malloc. No destructor hangs on it; a pthread key reports a thread's end.

use core::arch::{asm, global_asm};

use crate::cache::Cache;

global_asm!(
    ".pushsection .tbss.deadwalk_alloc_thread,\"awT\",@nobits",
    ".balign 16",
    ".hidden __deadwalk_alloc_thread",
    ".globl __deadwalk_alloc_thread",
    ".type __deadwalk_alloc_thread,@object",
    "__deadwalk_alloc_thread:",
    ".zero 32",
    ".size __deadwalk_alloc_thread,32",
    ".popsection",
);

/// The calling thread's cache, null if it has none.
#[inline(always)]
pub fn cache() -> *mut Cache {
    let cache: *mut Cache;
    // SAFETY: reads the calling thread's own word; nobody else writes it.
    unsafe {
        asm!("mov {o}, qword ptr [rip + __deadwalk_alloc_thread@GOTTPOFF]",
            "mov {o}, qword ptr fs:[{o}]",
            o = out(reg) cache, options(nostack, readonly, preserves_flags));
    }
    cache
}

/// The calling thread's identity: the address of its control block, not zero.
#[inline(always)]
pub fn thread() -> usize {
    let thread: usize;
    // SAFETY: the x86-64 ABI keeps the block's own address in its first word.
    unsafe {
        asm!("mov {o}, qword ptr fs:[0]", o = out(reg) thread,
            options(nostack, readonly, preserves_flags));
    }
    thread
}

/// Sets the calling thread's cache.
pub fn set_cache(cache: *mut Cache) {
    // SAFETY: writes the calling thread's own word.
    unsafe {
        asm!("mov {o}, qword ptr [rip + __deadwalk_alloc_thread@GOTTPOFF]",
            "mov qword ptr fs:[{o}], {v}",
            o = out(reg) _, v = in(reg) cache, options(nostack, preserves_flags));
    }
}

/// Reads and writes a further word of the calling thread.
macro_rules! word {
    ($get:ident, $set:ident, $offset:literal, $what:literal) => {
        #[doc = concat!($what, ".")]
        #[inline(always)]
        pub fn $get() -> usize {
            let value: usize;
            // SAFETY: as in `cache`.
            unsafe {
                asm!("mov {o}, qword ptr [rip + __deadwalk_alloc_thread@GOTTPOFF]",
                    concat!("mov {o}, qword ptr fs:[{o} + ", $offset, "]"),
                    o = out(reg) value, options(nostack, readonly, preserves_flags));
            }
            value
        }

        #[doc = concat!("Sets: ", $what, ".")]
        #[inline(always)]
        pub fn $set(value: usize) {
            // SAFETY: as in `set_cache`; a signal handler leaves it as it was.
            unsafe {
                asm!("mov {o}, qword ptr [rip + __deadwalk_alloc_thread@GOTTPOFF]",
                    concat!("mov qword ptr fs:[{o} + ", $offset, "], {v}"),
                    o = out(reg) _, v = in(reg) value, options(nostack, preserves_flags));
            }
        }
    };
}

word!(ending, set_ending_word, 8, "1 if the thread gave its cache back because it ends");
word!(busy, set_busy, 16, "how many slow paths of the heap the thread is in");
word!(nested, set_nested, 24, "the stack pointer at which a signal interrupted the heap, or 0");

/// Whether the calling thread gave its cache back because it ends.
pub fn is_ending() -> bool {
    ending() != 0
}

/// Notes that the calling thread ends: it gets no cache any more.
pub fn set_ending() {
    set_ending_word(1);
}
