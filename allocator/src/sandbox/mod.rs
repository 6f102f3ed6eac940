//! System calls that the process gave up (seccomp), as far as this library makes
//! them: one that is not allowed may be the process's end.
//!
//! The filter is read before the kernel gets it, and asked about each of our own
//! calls. What it does not allow is not made any more: the heap takes it for
//! refused, goes on with the memory that it has, and maps some of every size in
//! advance, as libc's heap has some to spare.
//!
//! Ground rules. The set of forbidden calls only grows, as filters add up. It is
//! read before every call, at the cost of a load.

mod filter;

pub use filter::Instruction;

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::class::{CLASSES, SLOT_SIZE};
use crate::depot::DEPOTS;
use crate::large;

/// What a process submits to.
#[derive(Clone, Copy)]
pub enum Rules<'a> {
    /// `SECCOMP_MODE_STRICT`: read, write, exit of a thread, return of a handler.
    Strict,
    /// `SECCOMP_MODE_FILTER`.
    Filter(&'a [Instruction]),
}

/// A call of ours: its number and, where a filter may tell them apart, its third
/// argument.
struct Call(libc::c_long, Option<usize>);

const ANY: Option<usize> = None;
const MADV_GUARD_INSTALL: usize = 102;
const MADV_GUARD_REMOVE: usize = 103;
/// Every call that goes on after the start; one bit each.
const CALLS: [Call; 21] = [
    Call(libc::SYS_mmap, ANY),
    Call(libc::SYS_munmap, ANY),
    Call(libc::SYS_mremap, ANY),
    Call(libc::SYS_mprotect, ANY),
    Call(libc::SYS_madvise, Some(libc::MADV_DONTNEED as usize)),
    Call(libc::SYS_madvise, Some(libc::MADV_HUGEPAGE as usize)),
    Call(libc::SYS_madvise, Some(MADV_GUARD_INSTALL)),
    Call(libc::SYS_madvise, Some(MADV_GUARD_REMOVE)),
    Call(libc::SYS_munlock, ANY),
    Call(libc::SYS_mincore, ANY),
    Call(libc::SYS_clock_gettime, ANY),
    Call(libc::SYS_process_vm_readv, ANY),
    Call(libc::SYS_process_vm_writev, ANY),
    Call(libc::SYS_prlimit64, ANY),
    Call(libc::SYS_futex, ANY),
    Call(libc::SYS_sched_yield, ANY),
    Call(libc::SYS_getrandom, ANY),
    Call(libc::SYS_getpid, ANY),
    Call(libc::SYS_gettid, ANY),
    Call(libc::SYS_rt_sigprocmask, ANY),
    Call(libc::SYS_openat, ANY),
];

/// Bits of `CALLS`.
static FORBIDDEN: AtomicU32 = AtomicU32::new(0);

/// Memory of each size that is mapped in advance, untouched: libc's heap has 128
/// KiB to spare, and ours moves twice as much at a time.
const SPARE: usize = 256 << 10;

/// To be called before the process submits to `rules`.
pub fn enter(rules: Rules<'_>) {
    for (class, depot) in DEPOTS.iter().enumerate().take(CLASSES) {
        if SLOT_SIZE[class] <= SPARE {
            depot.map_in_advance(class, SPARE);
        }
    }
    let allows = |call: &Call| match rules {
        Rules::Strict => false,
        Rules::Filter(filter) => filter::allows(filter, call.0, call.1.unwrap_or(0)),
    };
    if !allows(&Call(libc::SYS_mprotect, ANY)) {
        large::open_all();
    }
    let forbidden = (0..CALLS.len()).filter(|&at| !allows(&CALLS[at]));
    FORBIDDEN.fetch_or(forbidden.fold(0, |bits, at| bits | 1 << at), Relaxed);
}

/// Whether the process gave up a call of ours. A call that is not in the table is
/// allowed.
#[inline]
pub fn forbids(number: libc::c_long, third: usize) -> bool {
    let forbidden = FORBIDDEN.load(Relaxed);
    forbidden != 0 && is_among(forbidden, number, third)
}

#[cold]
fn is_among(forbidden: u32, number: libc::c_long, third: usize) -> bool {
    let is_it = |call: &Call| call.0 == number && call.1.is_none_or(|wanted| wanted == third);
    CALLS.iter().position(is_it).is_some_and(|at| forbidden & 1 << at != 0)
}
