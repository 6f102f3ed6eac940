//! The calling thread's two words: its cache, and whether it is ending.
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
    ".zero 16",
    ".size __deadwalk_alloc_thread,16",
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

/// Whether the calling thread gave its cache back because it ends.
pub fn is_ending() -> bool {
    let ending: usize;
    // SAFETY: as in `cache`.
    unsafe {
        asm!("mov {o}, qword ptr [rip + __deadwalk_alloc_thread@GOTTPOFF]",
            "mov {o}, qword ptr fs:[{o} + 8]",
            o = out(reg) ending, options(nostack, readonly, preserves_flags));
    }
    ending != 0
}

/// Notes that the calling thread ends: it gets no cache any more.
pub fn set_ending() {
    // SAFETY: as in `set_cache`.
    unsafe {
        asm!("mov {o}, qword ptr [rip + __deadwalk_alloc_thread@GOTTPOFF]",
            "mov qword ptr fs:[{o} + 8], {v}",
            o = out(reg) _, v = in(reg) 1_usize, options(nostack, preserves_flags));
    }
}
