//! A SIGSEGV handler that asks the heap, and a way to look without trapping.
#![allow(dead_code)]

use core::ffi::{c_int, c_void};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use deadwalk_alloc::{Config, configure, sweep, trim};

use crate::common;

static TRAPS: AtomicUsize = AtomicUsize::new(0);

/// Bit of the page fault's error code: a write.
const WRITE: i64 = 2;

extern "C" fn on_segv(_signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes both; the default action is the last resort.
    unsafe {
        let registers = &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let is_write = registers[libc::REG_ERR as usize] & WRITE != 0;
        let ip = registers[libc::REG_RIP as usize] as usize;
        TRAPS.fetch_add(1, SeqCst);
        if !deadwalk_alloc::trap::trap((*info).si_addr() as usize, is_write, ip) {
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
        }
    }
}

/// One test at a time from here on, with guards, nothing told, trapped or retained.
pub fn begin() -> MutexGuard<'static, ()> {
    let serial = common::begin();
    configure(Config { guard: true, ..Config::default() });
    install();
    trim();
    sweep();
    common::told();
    traps();
    serial
}

/// Lets the heap see every SIGSEGV of this process.
pub fn install() {
    // SAFETY: an all-zero structure is a valid one, filled in here.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = on_segv as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, core::ptr::null_mut()), 0);
    }
}

/// How often something trapped since the last call.
pub fn traps() -> usize {
    TRAPS.swap(0, SeqCst)
}

/// Whether the byte at `addr` can be read.
pub fn is_readable(addr: *const u8) -> bool {
    // SAFETY: the kernel does the reading, and refuses instead of trapping.
    unsafe {
        let mut ends = [0; 2];
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        let got = libc::write(ends[1], addr.cast(), 1);
        ends.iter().for_each(|&end| assert_eq!(libc::close(end), 0));
        got == 1
    }
}

/// Lines of /proc/self/maps.
pub fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

/// Kilobytes of memory in use.
pub fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Stores bytes in a way no compiler removes.
///
/// # Safety
///
/// * As for the stores themselves: the misuse under test, on the heap's memory.
pub unsafe fn store(at: *mut u8, len: usize) {
    // SAFETY: passed on.
    unsafe {
        match len {
            8 if (at as usize).is_multiple_of(8) => {
                at.cast::<u64>().write_volatile(0x4141_4141_4141_4141)
            }
            _ => (0..len).for_each(|byte| at.add(byte).write_volatile(0x41)),
        }
    }
}
