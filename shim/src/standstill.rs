//! Whether any thread of the process will ever go on.
//!
//! It stands still if every other thread sleeps without a time limit for something that
//! only a thread of this process does, and no signal can make one run a handler. That a
//! thread slept all the time from one look to the next is told by its count of switches.
//!
//! libc's thread for SIGEV_THREAD timers waits for its own signal: it counts as asleep,
//! and the asker sees to it that no such timer is armed. Threads of ours that sleep for
//! a time (`sweep_ms`, the clock of timer_list) make the answer no.
//!
//! Context: a thread of our own, which is left out. Some system calls a thread.

use crate::kernel::holder;
use crate::{sample, sandbox, signal, tls};

/// More threads than this are not looked at.
const THREADS: usize = 256;
/// Signals with a handler of ours or libc's, which wakes nobody: SIGSEGV, and the two of
/// libc for cancellation and set-id calls. Our handlers for other crashes come on top.
const OURS: u64 = 1 << (libc::SIGSEGV - 1) | 1 << (LIBC_TIMER - 1) | 1 << LIBC_TIMER;
/// glibc's signal for SIGEV_THREAD timers, and for cancellation.
const LIBC_TIMER: u32 = 32;

/// Names how the process stands still; `None` if it does not, or that cannot be told.
pub fn seen() -> Option<u64> {
    if sandbox::is_sandboxed() {
        return None;
    }
    let mut tids = [0; THREADS];
    let count = list(&mut tids)?;
    let me = tls::tid();
    let others = tids[..count].iter().filter(|&&tid| tid != me);
    others.map(|&tid| sleep_of(tid)).try_fold(0, |how, sleep| Some(mix(how, sleep?)))
}

/// Names a thread's sleep, if it is one that only others end, or its end.
fn sleep_of(tid: u32) -> Option<u64> {
    let rest = sample::rest(tid)?;
    let is_over = matches!(rest.state, b'Z' | b'X');
    let is_asleep = || {
        rest.state == b'S'
            && rest.signals & !(OURS | signal::without_handler()) == 0
            && (holder::needs_waking(tid) || holder::awaits_signal(tid, LIBC_TIMER))
    };
    (is_over || is_asleep()).then(|| mix(u64::from(tid), rest.switches))
}

/// Lists the process's threads; `None` if there are more than fit.
fn list(tids: &mut [u32; THREADS]) -> Option<usize> {
    /// Of a `linux_dirent64`: where its length and its name stand.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let path = c"/proc/self/task".as_ptr();
    // SAFETY: a C string; no mode is wanted.
    let fd = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, 0) };
    if fd < 0 {
        return None;
    }
    let mut count = Some(0);
    let mut entries = [0u8; 4096];
    loop {
        // SAFETY: the buffer is writable for its length.
        let got =
            unsafe { libc::syscall(libc::SYS_getdents64, fd, entries.as_mut_ptr(), entries.len()) };
        let mut rest = match usize::try_from(got) {
            Ok(got) => &entries[..got.min(entries.len())],
            Err(_) => {
                count = None;
                break;
            }
        };
        if rest.is_empty() {
            break;
        }
        while rest.len() > NAME {
            let length = usize::from(u16::from_ne_bytes([rest[LENGTH], rest[LENGTH + 1]]));
            let name = rest[NAME..].split(|&byte| byte == 0).next().unwrap_or_default();
            let tid = core::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
            if let Some(tid) = tid {
                count = count.filter(|&at| at < THREADS);
                if let Some(at) = &mut count {
                    tids[*at] = tid;
                    *at += 1;
                }
            }
            rest = rest.get(length.max(1)..).unwrap_or_default();
        }
    }
    // SAFETY: the descriptor is ours.
    unsafe { libc::syscall(libc::SYS_close, fd) };
    count
}

fn mix(how: u64, sleep: u64) -> u64 {
    (how ^ sleep).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}
