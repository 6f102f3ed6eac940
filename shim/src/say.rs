//! One line to stderr, from any context: constant parts, write(2), no format
//! machinery, no allocation.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

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

/// Writes bytes to stderr if it is still the stderr of the start. SIGPIPE is
/// held back; errno is kept.
pub fn write_stderr(bytes: &[u8]) {
    // SAFETY: errno is thread-local and always valid; the signal sets are
    // initialised before use; the buffer is valid for its length.
    unsafe {
        let errno = *libc::__errno_location();
        if is_stderr() {
            let mut pipe: libc::sigset_t = core::mem::zeroed();
            let mut old: libc::sigset_t = core::mem::zeroed();
            let mut pending: libc::sigset_t = core::mem::zeroed();
            libc::sigemptyset(&raw mut pipe);
            libc::sigaddset(&raw mut pipe, libc::SIGPIPE);
            libc::sigpending(&raw mut pending);
            let was_pending = libc::sigismember(&raw const pending, libc::SIGPIPE) == 1;
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, &raw mut old);
            let written = libc::syscall(libc::SYS_write, 2, bytes.as_ptr(), bytes.len());
            if written < 0 && *libc::__errno_location() == libc::EPIPE && !was_pending {
                let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                libc::sigtimedwait(&raw const pipe, core::ptr::null_mut(), &raw const zero);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const old, core::ptr::null_mut());
        }
        *libc::__errno_location() = errno;
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
    pub fn number(mut self, mut number: u64) -> Line {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[at..]);
        self
    }

    /// Writes it.
    pub fn say(mut self) {
        self.bytes[self.len] = b'\n';
        write_stderr(&self.bytes[..=self.len]);
    }
}
