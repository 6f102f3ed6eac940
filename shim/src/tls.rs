//! Our thread-local cells: initial-exec, read without a call, so they work
//! inside malloc and in signal handlers. No destructor, no allocation.
//!
//! | cell | holds |
//! |---|---|
//! | hooks | what matters in this thread now: [`IN_HANDLER`], [`LANDED`], [`IN_LIBC`] |
//! | run | the handler run of this thread, 0 if none |
//! | tid | its kernel thread id, 0 before the first question |
//! | landed_ns | when its last delete that landed was, ns (timer_list) |
//! | landed_activity | what it had allocated and freed by then |
//! | segv_blocked | 1 if the program believes that it blocked SIGSEGV |
//! | interrupted | the innermost signal handler that interrupted libc, 0 if in none (`stdio`) |
//! | file_locks | streams that the program has locked by `flockfile` (`stdio`) |
//! | vforked | not 0 in a vfork child, which has its parent's memory (`vfork`) |
//! | access_stack | the record's stack of the access that is being told, 0 if none is (`signal/place.rs`) |
//! | cpu | which timer thread of timer_list it is, counted from 1; 0 for none |

use core::arch::{asm, global_asm};

use deadwalk_alloc::sandbox::forbids;
use deadwalk_detector::RunRef;

global_asm!(
    ".section .tbss.deadwalk_shim,\"awT\",@nobits",
    ".balign 8",
    ".hidden deadwalk_shim_hooks",
    ".globl deadwalk_shim_hooks",
    ".type deadwalk_shim_hooks,@object",
    "deadwalk_shim_hooks: .zero 8",
    ".size deadwalk_shim_hooks, 8",
    ".hidden deadwalk_shim_run",
    ".globl deadwalk_shim_run",
    ".type deadwalk_shim_run,@object",
    "deadwalk_shim_run: .zero 8",
    ".size deadwalk_shim_run, 8",
    ".hidden deadwalk_shim_tid",
    ".globl deadwalk_shim_tid",
    ".type deadwalk_shim_tid,@object",
    "deadwalk_shim_tid: .zero 8",
    ".size deadwalk_shim_tid, 8",
    ".hidden deadwalk_shim_cpu",
    ".globl deadwalk_shim_cpu",
    ".type deadwalk_shim_cpu,@object",
    "deadwalk_shim_cpu: .zero 8",
    ".size deadwalk_shim_cpu, 8",
    ".hidden deadwalk_shim_access_stack",
    ".globl deadwalk_shim_access_stack",
    ".type deadwalk_shim_access_stack,@object",
    "deadwalk_shim_access_stack: .zero 8",
    ".size deadwalk_shim_access_stack, 8",
    ".hidden deadwalk_shim_landed_ns",
    ".globl deadwalk_shim_landed_ns",
    ".type deadwalk_shim_landed_ns,@object",
    "deadwalk_shim_landed_ns: .zero 8",
    ".size deadwalk_shim_landed_ns, 8",
    ".hidden deadwalk_shim_landed_activity",
    ".globl deadwalk_shim_landed_activity",
    ".type deadwalk_shim_landed_activity,@object",
    "deadwalk_shim_landed_activity: .zero 8",
    ".size deadwalk_shim_landed_activity, 8",
    ".hidden deadwalk_shim_segv_blocked",
    ".globl deadwalk_shim_segv_blocked",
    ".type deadwalk_shim_segv_blocked,@object",
    "deadwalk_shim_segv_blocked: .zero 8",
    ".size deadwalk_shim_segv_blocked, 8",
    ".hidden deadwalk_shim_interrupted",
    ".globl deadwalk_shim_interrupted",
    ".type deadwalk_shim_interrupted,@object",
    "deadwalk_shim_interrupted: .zero 8",
    ".size deadwalk_shim_interrupted, 8",
    ".hidden deadwalk_shim_file_locks",
    ".globl deadwalk_shim_file_locks",
    ".type deadwalk_shim_file_locks,@object",
    "deadwalk_shim_file_locks: .zero 8",
    ".size deadwalk_shim_file_locks, 8",
    ".hidden deadwalk_shim_vforked",
    ".globl deadwalk_shim_vforked",
    ".type deadwalk_shim_vforked,@object",
    "deadwalk_shim_vforked: .zero 8",
    ".size deadwalk_shim_vforked, 8",
    ".text",
);

/// Hook: the thread is in a timer handler.
pub const IN_HANDLER: u64 = 1;
/// Hook: a delete by this thread landed on a handler.
pub const LANDED: u64 = 2;
/// Hook: the thread is in an allocation that libc itself or the loader makes, or at the
/// start or end of a timer's signal handler, which may have interrupted anything.
pub const IN_LIBC: u64 = 4;

macro_rules! cell {
    ($get:ident, $set:ident, $symbol:literal) => {
        /// Reads the cell.
        #[inline]
        pub fn $get() -> u64 {
            let value: u64;
            // SAFETY: the symbol is ours, 8 bytes in this thread's static TLS.
            unsafe {
                asm!(
                    concat!("mov {v}, qword ptr [rip + ", $symbol, "@GOTTPOFF]"),
                    "mov {v}, qword ptr fs:[{v}]",
                    v = out(reg) value,
                    options(nostack, readonly, preserves_flags),
                );
            }
            value
        }

        /// Writes the cell.
        #[inline]
        pub fn $set(value: u64) {
            // SAFETY: as above; only this thread and its signal handlers use it.
            unsafe {
                asm!(
                    concat!("mov {t}, qword ptr [rip + ", $symbol, "@GOTTPOFF]"),
                    "mov qword ptr fs:[{t}], {v}",
                    t = out(reg) _,
                    v = in(reg) value,
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

cell!(hooks, set_hooks, "deadwalk_shim_hooks");
cell!(run_word, set_run_word, "deadwalk_shim_run");
cell!(tid_word, set_tid_word, "deadwalk_shim_tid");
cell!(landed_ns_word, set_landed_ns_word, "deadwalk_shim_landed_ns");
cell!(landed_activity_word, set_landed_activity_word, "deadwalk_shim_landed_activity");
cell!(segv_blocked, set_segv_blocked, "deadwalk_shim_segv_blocked");
cell!(interrupted, set_interrupted, "deadwalk_shim_interrupted");
cell!(file_locks, set_file_locks, "deadwalk_shim_file_locks");
cell!(vforked, set_vforked, "deadwalk_shim_vforked");
cell!(access_stack, set_access_stack, "deadwalk_shim_access_stack");
cell!(cpu_word, set_cpu_word, "deadwalk_shim_cpu");

/// Is the caller a child that `vfork` made, in its parent's memory?
#[inline]
pub fn is_vfork_child() -> bool {
    vforked() != 0
}

/// The handler run of this thread.
pub fn run() -> Option<RunRef> {
    match run_word() {
        0 => None,
        word => Some(unpacked_run(word)),
    }
}

/// The run of a word that is not 0, as [`run_word`] tells it.
pub fn unpacked_run(word: u64) -> RunRef {
    RunRef { index: (word >> 32) as u32, generation: word as u32 }
}

/// Sets or clears the handler run of this thread; returns the one before.
pub fn set_run(run: Option<RunRef>) -> Option<RunRef> {
    let old = self::run();
    set_packed_run(run.map_or(0, |r| u64::from(r.index) << 32 | u64::from(r.generation)));
    old
}

/// As [`set_run`], for what [`run_word`] told.
pub fn set_packed_run(word: u64) {
    set_run_word(word);
    set_hooks(if word == 0 { hooks() & !IN_HANDLER } else { hooks() | IN_HANDLER });
}

/// The calling thread's kernel id; 0 if it may not ask any more.
#[inline]
pub fn tid() -> u32 {
    match tid_word() {
        0 if forbids(libc::SYS_gettid, 0) => 0,
        0 => {
            // SAFETY: takes no arguments and cannot fail.
            let tid = unsafe { libc::syscall(libc::SYS_gettid) } as u32;
            set_tid_word(u64::from(tid));
            tid
        }
        tid => tid as u32,
    }
}

/// Runs `f` and leaves errno as it was.
#[inline]
pub fn keeping_errno<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: errno is thread-local and always valid; `f` ends on this thread.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        let result = f();
        *errno = before;
        result
    }
}
