//! The system calls the heap makes.
//!
//! Issued directly, not through libc's wrappers: those write `errno`, which
//! must stay as it was whenever an allocation succeeds, and some of them are
//! interposed by the very library this heap serves.

use core::arch::asm;

use crate::sandbox;

/// Page size of x86-64.
pub const PAGE: usize = 4096;

/// Why memory could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Somebody else's mapping is in the way.
    Taken,
    /// The system has no memory, or a limit was reached.
    NoMemory,
}

/// Raw system call; returns the kernel's value, errors as `-errno`. One that the
/// process gave up is not made, and fails.
///
/// # Safety
///
/// * As for the system call itself.
#[inline]
unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> isize {
    if sandbox::forbids(number, args[2]) {
        return -(libc::EPERM as isize);
    }
    let result: isize;
    // SAFETY: the x86-64 Linux convention; the kernel clobbers rcx and r11 only.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

const READ_WRITE: usize = (libc::PROT_READ | libc::PROT_WRITE) as usize;
const PRIVATE: usize = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE) as usize;

/// Maps `len` zeroed bytes exactly at `addr`, replacing nothing.
pub fn map_at(addr: usize, len: usize) -> Result<(), MapError> {
    let flags = PRIVATE | libc::MAP_FIXED_NOREPLACE as usize;
    // SAFETY: a new anonymous mapping that replaces nothing harms nobody.
    let got = unsafe { syscall(libc::SYS_mmap, [addr, len, READ_WRITE, flags, usize::MAX, 0]) };
    if got as usize == addr {
        return Ok(());
    }
    if got > 0 {
        // A kernel before 4.17 takes the address as a hint only.
        // SAFETY: this mapping was made just above and nobody knows it.
        unsafe { unmap(got as usize, len) };
        return Err(MapError::Taken);
    }
    Err(if got == -(libc::EEXIST as isize) { MapError::Taken } else { MapError::NoMemory })
}

/// Asks for huge pages where they are fit.
pub fn advise_huge(addr: usize, len: usize) {
    // SAFETY: advice; the content stays.
    unsafe { syscall(libc::SYS_madvise, [addr, len, libc::MADV_HUGEPAGE as usize, 0, 0, 0]) };
}

/// Makes a range read as zero, at once for all who look at it.
///
/// # Safety
///
/// * The range is page-aligned, mapped by this crate, and its content dead.
pub unsafe fn map_anew(addr: usize, len: usize) -> bool {
    let flags = PRIVATE | libc::MAP_FIXED as usize;
    // SAFETY: the caller owns what is replaced.
    let got = unsafe { syscall(libc::SYS_mmap, [addr, len, READ_WRITE, flags, usize::MAX, 0]) };
    got as usize == addr
}

/// Maps `len` zeroed bytes wherever the kernel likes.
pub fn map_anywhere(len: usize) -> Option<usize> {
    // SAFETY: a new anonymous mapping harms nobody.
    let got = unsafe { syscall(libc::SYS_mmap, [0, len, READ_WRITE, PRIVATE, usize::MAX, 0]) };
    (got > 0).then_some(got as usize)
}

/// Unmaps a range; false if the kernel refused (too many mappings).
///
/// # Safety
///
/// * The range was mapped by this crate and nothing in it is used any more.
pub unsafe fn unmap(addr: usize, len: usize) -> bool {
    // SAFETY: the caller owns the range.
    unsafe { syscall(libc::SYS_munmap, [addr, len, 0, 0, 0, 0]) == 0 }
}

/// Gives the pages of a range back; they read as zero afterwards. False if the
/// kernel refused (locked memory).
///
/// # Safety
///
/// * The range is page-aligned, mapped by this crate, and its content dead.
#[must_use = "after a refusal the pages still hold their content"]
pub unsafe fn discard(addr: usize, len: usize) -> bool {
    let advice = libc::MADV_DONTNEED as usize;
    // SAFETY: the caller owns the range and its content.
    unsafe { syscall(libc::SYS_madvise, [addr, len, advice, 0, 0, 0]) == 0 }
}

/// Linux 6.13 and later; not in the libc crate yet.
const MADV_GUARD_INSTALL: usize = 102;
const MADV_GUARD_REMOVE: usize = 103;

/// Takes the content of a range and all access to it away, without a mapping of
/// its own. False if the kernel cannot, or not there (locked memory).
///
/// # Safety
///
/// * As for [`discard`].
pub unsafe fn guard(addr: usize, len: usize) -> bool {
    // SAFETY: the caller owns the range and its content.
    unsafe { syscall(libc::SYS_madvise, [addr, len, MADV_GUARD_INSTALL, 0, 0, 0]) == 0 }
}

/// Whether the process still may make the call of [`guard`].
pub fn may_guard() -> bool {
    !sandbox::forbids(libc::SYS_madvise, MADV_GUARD_INSTALL)
}

/// Undoes [`guard`]: the pages read as zero. Others in the range stay as they are.
///
/// # Safety
///
/// * The range is page-aligned and was mapped by this crate.
pub unsafe fn unguard(addr: usize, len: usize) -> bool {
    // SAFETY: a range of this crate's.
    unsafe { syscall(libc::SYS_madvise, [addr, len, MADV_GUARD_REMOVE, 0, 0, 0]) == 0 }
}

/// Allows all access to a range, or none.
///
/// # Safety
///
/// * The range is page-aligned and was mapped by this crate; nobody relies on
///   an access that is taken away.
pub unsafe fn protect(addr: usize, len: usize, access: bool) -> bool {
    let allowed = if access { READ_WRITE } else { libc::PROT_NONE as usize };
    // SAFETY: the caller owns the range.
    unsafe { syscall(libc::SYS_mprotect, [addr, len, allowed, 0, 0, 0]) == 0 }
}

/// Unlocks a range, if it was locked as all future mappings are.
///
/// # Safety
///
/// * The range was mapped by this crate.
pub unsafe fn unlock(addr: usize, len: usize) {
    // SAFETY: locking changes no content.
    unsafe { syscall(libc::SYS_munlock, [addr, len, 0, 0, 0, 0]) };
}

/// Copies bytes that others may take the access to at any time; false if they
/// did. Costs a system call.
pub fn read_any(addr: usize, bytes: &mut [u8]) -> bool {
    let here = [bytes.as_mut_ptr() as usize, bytes.len()];
    let there = [addr, bytes.len()];
    // SAFETY: getpid touches nothing; the kernel writes into `bytes` only.
    let got = unsafe {
        let me = syscall(libc::SYS_getpid, [0; 6]) as usize;
        let (to, from) = (here.as_ptr() as usize, there.as_ptr() as usize);
        syscall(libc::SYS_process_vm_readv, [me, to, 1, from, 1, 0])
    };
    got == bytes.len() as isize
}

/// Copies bytes to memory that others may take the access to at any time; if they
/// did, nothing happens. False if the kernel makes no such copies.
///
/// # Safety
///
/// * What is at `addr` is nobody's content.
#[must_use = "without such a copy nothing was written"]
pub unsafe fn write_any(addr: usize, bytes: &[u8]) -> bool {
    let here = [bytes.as_ptr() as usize, bytes.len()];
    let there = [addr, bytes.len()];
    // SAFETY: getpid touches nothing; the kernel reads `bytes` and writes to `addr`.
    let got = unsafe {
        let me = syscall(libc::SYS_getpid, [0; 6]) as usize;
        let (from, to) = (here.as_ptr() as usize, there.as_ptr() as usize);
        syscall(libc::SYS_process_vm_writev, [me, from, 1, to, 1, 0])
    };
    got == bytes.len() as isize || got == -(libc::EFAULT as isize)
}

/// Asks which pages from `addr` on are in memory: bit 0 of a byte for each. False
/// if the kernel does not tell.
pub fn in_core(addr: usize, pages: &mut [u8]) -> bool {
    let (len, to) = (pages.len() * PAGE, pages.as_mut_ptr() as usize);
    // SAFETY: the kernel writes a byte per page to `pages`.
    unsafe { syscall(libc::SYS_mincore, [addr, len, to, 0, 0, 0]) == 0 }
}

/// Moves or resizes a mapping; `to` is a free address or `None` for "in place".
///
/// # Safety
///
/// * `addr..addr + old` was mapped by this crate as one piece, and the caller
///   owns it; so is the address range at `to`.
pub unsafe fn remap(addr: usize, old: usize, new: usize, to: Option<usize>) -> bool {
    let (flags, target) = match to {
        None => (0, 0),
        Some(target) => ((libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize, target),
    };
    // SAFETY: the caller owns both ranges.
    unsafe { syscall(libc::SYS_mremap, [addr, old, new, flags, target, 0]) > 0 }
}

/// Whether a page may be read. Asked by a call that takes a signal set from there
/// and refuses it unseen: most sandboxes let it through.
pub fn is_readable(page: usize) -> bool {
    let no_such_way = usize::MAX;
    // SAFETY: the kernel reads at most; nothing is changed.
    let got = unsafe { syscall(libc::SYS_rt_sigprocmask, [no_such_way, page, 0, 8, 0, 0]) };
    // Who may not even ask shall not read.
    got != -(libc::EFAULT as isize) && got != -(libc::EPERM as isize)
}

/// Which of up to 64 mapped pages from `page` on were touched since they were mapped
/// or given back, one bit each; all if the kernel does not say.
pub fn resident(page: usize, pages: usize) -> u64 {
    let mut answers = [1_u8; 64];
    // If it does not say, they stay as they are.
    in_core(page, &mut answers[..pages]);
    let bits = answers.iter().enumerate().map(|(at, &answer)| u64::from(answer & 1) << at);
    bits.fold(0, |all, bit| all | bit)
}

/// Nanoseconds of a clock that only goes on, to some milliseconds; none without
/// leave to ask.
pub fn now_ns() -> Option<u64> {
    clock_ns(libc::CLOCK_MONOTONIC_COARSE)
}

/// The same to the nanosecond.
pub fn exact_ns() -> Option<u64> {
    clock_ns(libc::CLOCK_MONOTONIC)
}

fn clock_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut now = [0_u64; 2];
    let to = now.as_mut_ptr() as usize;
    // SAFETY: the kernel writes two words to `now`.
    let got = unsafe { syscall(libc::SYS_clock_gettime, [clock as usize, to, 0, 0, 0, 0]) };
    (got == 0).then(|| now[0] * 1_000_000_000 + now[1])
}

/// A limit of this process, such as `RLIMIT_AS`; the largest number if there is
/// none.
pub fn limit(resource: libc::__rlimit_resource_t) -> usize {
    let mut limit = [usize::MAX; 2];
    let to = limit.as_mut_ptr() as usize;
    // SAFETY: the kernel writes two words to `limit`.
    unsafe { syscall(libc::SYS_prlimit64, [0, resource as usize, 0, to, 0, 0]) };
    limit[0]
}

/// Blocks all signals but faults for the calling thread; the mask it had.
pub fn block_signals() -> u64 {
    const FAULTS: [libc::c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];
    let mut all = !0_u64;
    for fault in FAULTS {
        all &= !(1 << (fault - 1));
    }
    let mut old = 0;
    set_mask(libc::SIG_BLOCK, &all, &mut old);
    old
}

/// Sets the mask that [`block_signals`] found.
pub fn restore_signals(mask: u64) {
    set_mask(libc::SIG_SETMASK, &mask, &mut 0);
}

fn set_mask(how: libc::c_int, new: &u64, old: &mut u64) {
    let sets = [core::ptr::from_ref(new) as usize, core::ptr::from_mut(old) as usize];
    // SAFETY: the kernel reads and writes eight bytes at each.
    unsafe { syscall(libc::SYS_rt_sigprocmask, [how as usize, sets[0], sets[1], 8, 0, 0]) };
}

/// Lets another thread run.
pub fn yield_now() {
    // SAFETY: no memory is involved.
    unsafe { syscall(libc::SYS_sched_yield, [0; 6]) };
}

/// Sleeps for a tenth of a millisecond.
pub fn nap() {
    let nap = libc::timespec { tv_sec: 0, tv_nsec: 100_000 };
    // SAFETY: a structure of this stack; no rest is wanted.
    unsafe { syscall(libc::SYS_nanosleep, [&raw const nap as usize, 0, 0, 0, 0, 0]) };
}

/// Sleeps while `word` holds `value`.
pub fn futex_wait(word: &core::sync::atomic::AtomicU32, value: u32) {
    let op = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    let addr = word.as_ptr() as usize;
    // SAFETY: the word outlives the call; the kernel only reads it.
    unsafe { syscall(libc::SYS_futex, [addr, op, value as usize, 0, 0, 0]) };
}

/// Wakes one thread sleeping on `word`.
pub fn futex_wake(word: &core::sync::atomic::AtomicU32) {
    let op = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
    let addr = word.as_ptr() as usize;
    // SAFETY: only the address is used.
    unsafe { syscall(libc::SYS_futex, [addr, op, 1, 0, 0, 0]) };
}

/// A random number; from clock and stack address where `getrandom` is missing.
pub fn random() -> u64 {
    let mut value = 0_u64;
    let nonblocking = libc::GRND_NONBLOCK as usize;
    let addr = &raw mut value as usize;
    // SAFETY: eight writable bytes at `addr`.
    let got = unsafe { syscall(libc::SYS_getrandom, [addr, 8, nonblocking, 0, 0, 0]) };
    if got == 8 {
        return value;
    }
    // SAFETY: reading the time-stamp counter has no precondition.
    let clock = unsafe { core::arch::x86_64::_rdtsc() };
    (clock ^ (addr as u64) << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Sets the calling thread's `errno` to `ENOMEM`.
#[cold]
pub fn set_enomem() {
    // SAFETY: libc guarantees a valid pointer to the calling thread's errno.
    unsafe { *libc::__errno_location() = libc::ENOMEM };
}
