//! One line to stderr, from any context: constant parts, write(2), no format
//! machinery, no allocation.

use core::ffi::c_int;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::sandbox;

/// What descriptor 2 was at the start: (device, inode), 0 if it was closed.
static STDERR: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

fn identity() -> [u64; 2] {
    // SAFETY: an all-zero stat is valid, and fstat only writes to it.
    unsafe {
        let mut stat: libc::stat = core::mem::zeroed();
        if libc::syscall(libc::SYS_fstat, 2, &raw mut stat) == 0 {
            [stat.st_dev ^ 1 << 63, stat.st_ino]
        } else {
            [0, 0]
        }
    }
}

/// Remembers what descriptor 2 is now; nothing is written if it was or becomes
/// something else (a daemon's log file, a socket).
pub fn remember_stderr() {
    for (cell, value) in STDERR.iter().zip(identity()) {
        cell.store(value, Relaxed);
    }
}

fn is_stderr() -> bool {
    let now = identity();
    now[0] != 0 && now == [STDERR[0].load(Relaxed), STDERR[1].load(Relaxed)]
}

/// Writes bytes to stderr if it is still the stderr of the start. The signals
/// of a failing write are held back; errno is kept. Raw calls: no cancellation
/// point. In a sandbox nothing is written: it may forbid one of the calls.
pub fn write_stderr(bytes: &[u8]) {
    if sandbox::is_sandboxed() {
        return;
    }
    // SAFETY: errno is thread-local and always valid; the signal sets (one word
    // each, as the kernel has them) are locals; the buffer is valid for its length.
    unsafe {
        let errno = *libc::__errno_location();
        if is_stderr() {
            let held: u64 = bit(libc::SIGPIPE) | bit(libc::SIGXFSZ);
            let (mut old, mut pending) = (0u64, 0u64);
            libc::syscall(libc::SYS_rt_sigpending, &raw mut pending, size_of::<u64>());
            mask(libc::SIG_BLOCK, held, &mut old);
            let written = libc::syscall(libc::SYS_write, 2, bytes.as_ptr(), bytes.len());
            let failed =
                written < 0 && matches!(*libc::__errno_location(), libc::EPIPE | libc::EFBIG);
            let ours = held & !pending;
            if failed && ours != 0 {
                let none = core::ptr::null_mut::<libc::siginfo_t>();
                let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                let set = &raw const ours;
                libc::syscall(libc::SYS_rt_sigtimedwait, set, none, &raw const now, 8usize);
            }
            mask(libc::SIG_SETMASK, old, &mut 0);
        }
        *libc::__errno_location() = errno;
    }
}

const fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// Changes the calling thread's signal mask without libc.
pub fn mask(how: c_int, set: u64, old: &mut u64) {
    // SAFETY: two words, which the kernel takes for sets of 64 signals.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, how, &raw const set, &raw mut *old, 8usize);
    }
}

/// A place without room for the whole would hold us up: not from inside the
/// program's own calls.
fn is_writable() -> bool {
    let mut stderr = libc::pollfd { fd: 2, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry, which outlives the call.
    let ready = unsafe { libc::syscall(libc::SYS_poll, &raw mut stderr, 1, 0) };
    // Where poll is refused (a sandbox), write decides.
    ready != 0
}

/// Decimal digits of a number, for want of the format machinery.
pub fn digits(mut number: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &room[at..];
        }
    }
}

/// A line put together from parts, cut at its capacity.
pub struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    /// A line that begins with the tool's name.
    pub fn new() -> Line {
        let mut line = Line { bytes: [0; 512], len: 0 };
        line.push(b"deadwalk: ");
        line
    }

    fn push(&mut self, part: &[u8]) {
        let room = self.bytes.len() - 1 - self.len;
        let part = &part[..part.len().min(room)];
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    /// Adds text; control characters become `?`.
    pub fn text(mut self, text: &str) -> Line {
        for byte in text.bytes() {
            self.push(&[if byte.is_ascii_control() { b'?' } else { byte }]);
        }
        self
    }

    /// Adds a number.
    pub fn number(mut self, number: u64) -> Line {
        self.push(digits(number, &mut [0; 20]));
        self
    }

    /// Writes it, if stderr takes it at once.
    pub fn say(mut self) {
        self.bytes[self.len] = b'\n';
        if is_writable() {
            write_stderr(&self.bytes[..=self.len]);
        }
    }
}
