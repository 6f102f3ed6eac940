//! Who holds the lock that another thread sleeps for, or which thread it joins.
//!
//! Asked by a delete that waits for a handler: if the handler's thread sleeps
//! for a lock of the deleter's, neither will ever go on. A yes is a proof as
//! long as the holder named stays where it is, which the asker knows of itself;
//! a no proves nothing (the thread may sleep in the next instruction).
//!
//! What is asked of the kernel: whether the thread sleeps in `futex` now, before
//! and after the lock was read, and the lock's bytes, so that memory which is
//! gone is an error and no fault.
//!
//! Cost: four to ten system calls. Contexts: any but a sandbox, where the answer
//! is no; no lock, no allocation; errno is kept.

use crate::kernel::lock;
use crate::kernel::mutex::{Call, WORDS};
use crate::kernel::rwlock::{self, READERS};
use crate::kernel::waiters::{self, SHARED};
use crate::{sample, sandbox, tls};

/// The thread that holds the lock on which `tid` is blocked now, a lock of ours or a
/// pthread mutex, or that it joins; none if there is none, or that cannot be told. Of
/// several readers the calling thread, if it is one.
pub fn waits_for(tid: u32) -> Option<u32> {
    if sandbox::is_sandboxed() {
        return None;
    }
    // SAFETY: errno is thread-local and always valid.
    let errno = unsafe { *libc::__errno_location() };
    let holder = match waiters::lock_of(tid) {
        Some(lock) => own_holder(tid, lock),
        None => mutex_holder(tid).or_else(|| joined(tid)),
    };
    let holder = holder.filter(|&holder| is_thread(holder));
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    holder
}

/// Where `tid` called for the lock that it is blocked on, innermost first;
/// returns how many addresses. For a pthread mutex only where it goes on, which
/// is in libc.
pub fn stack_of_waiter(tid: u32, out: &mut [usize]) -> usize {
    match waiters::stack_of(tid, out) {
        0 if out.is_empty() || sandbox::is_sandboxed() => 0,
        0 => match call_of(tid) {
            Task::Sleeps(call) => {
                out[0] = call.pc();
                1
            }
            Task::Runs | Task::Unknown => 0,
        },
        depth => depth,
    }
}

/// The holder of a lock of ours, or the one that matters.
fn own_holder(tid: u32, lock: usize) -> Option<u32> {
    let addr = lock & !SHARED;
    // The table says what a thread is about to do; whether it does, the kernel
    // knows, where it may be asked.
    let sleeps = match call_of(tid) {
        Task::Sleeps(call) => call.futex() == Some(addr),
        Task::Runs => false,
        Task::Unknown => true,
    };
    let holder = if lock == addr {
        let [word, owner] = read_words(addr)?;
        (word != 0 && owner != 0).then_some(owner)
    } else {
        rwlock::holder(&read_words::<{ 2 + READERS }>(addr)?, tls::tid(), tid)
    };
    holder.filter(|_| sleeps && waiters::lock_of(tid) == Some(lock))
}

fn mutex_holder(tid: u32) -> Option<u32> {
    let Task::Sleeps(call) = call_of(tid) else { return None };
    let words: [u32; WORDS] = read_words(call.futex()?)?;
    let holder = call.holder(words)?;
    match call_of(tid) {
        Task::Sleeps(again) if again == call => Some(holder),
        _ => None,
    }
}

/// Does `tid` sleep until another thread of this process wakes it, or ends?
pub fn needs_waking(tid: u32) -> bool {
    if sandbox::is_sandboxed() {
        return false;
    }
    match call_of(tid) {
        Task::Sleeps(call) if call.lasts() => true,
        // Robust mutexes are slept for as if they were other processes' too.
        Task::Sleeps(call) => joined_by(call).or_else(|| mutex_holder(tid)).is_some_and(is_thread),
        Task::Runs | Task::Unknown => false,
    }
}

/// The thread whose end `tid` waits for.
fn joined(tid: u32) -> Option<u32> {
    let Task::Sleeps(call) = call_of(tid) else { return None };
    let joined = joined_by(call)?;
    match call_of(tid) {
        Task::Sleeps(again) if again == call => Some(joined),
        _ => None,
    }
}

fn joined_by(call: Call) -> Option<u32> {
    let [word] = read_words(call.futex()?)?;
    call.joined(word)
}

/// Does `tid` sleep until this signal alone comes?
pub fn awaits_signal(tid: u32, signal: u32) -> bool {
    let Task::Sleeps(call) = call_of(tid) else { return false };
    let set = call.signals().and_then(read_words::<2>);
    set.is_some_and(|[low, high]| u64::from(low) | u64::from(high) << 32 == 1 << (signal - 1))
}

/// What the kernel says of a thread.
enum Task {
    Sleeps(Call),
    Runs,
    /// Its files cannot be read.
    Unknown,
}

fn call_of(tid: u32) -> Task {
    let mut line = [0; 256];
    match sample::read_task(tid, b"syscall\0", &mut line) {
        None | Some(0) => Task::Unknown,
        Some(len) => Call::parse(&line[..len]).map_or(Task::Runs, Task::Sleeps),
    }
}

fn read_words<const N: usize>(addr: usize) -> Option<[u32; N]> {
    let mut words = [0; N];
    let bytes = size_of_val(&words);
    let local = libc::iovec { iov_base: words.as_mut_ptr().cast(), iov_len: bytes };
    let remote = libc::iovec { iov_base: addr as *mut libc::c_void, iov_len: bytes };
    // Whole words: the last one goes over the stack.
    let (one, no_flags) = (1usize, 0usize);
    // SAFETY: our own words are writable; what is not readable at `addr` makes
    // the call fail, since the kernel does the reading.
    let got = unsafe {
        let (local, remote) = (&raw const local, &raw const remote);
        let me = libc::getpid();
        libc::syscall(libc::SYS_process_vm_readv, me, local, one, remote, one, no_flags)
    };
    (got == bytes as i64).then_some(words)
}

/// Is this the id of a living thread of this process?
fn is_thread(tid: u32) -> bool {
    // SAFETY: signal 0 is none, it only asks.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, 0) == 0 }
}

const _: () = assert!(lock::OWNER_OFFSET == 4, "read as the second word");
