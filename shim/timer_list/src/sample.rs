//! What another thread is doing: state and switches from /proc, CPU clock.
//!
//! Only on the slow path (something landed). Raw system calls: no cancellation
//! point, no buffer beyond this stack, and none of our own exports.

#![allow(unsafe_code)]

use std::io::Write;

use deadwalk_alloc::ActivityProbe;
use deadwalk_detector::ladder::Sample;
use deadwalk_detector::platform::ThreadToken;

/// Samples another thread of this process; what cannot be seen is `u64::MAX`.
pub fn other(thread: ThreadToken) -> Sample {
    let cpu_ns = cpu_ns(thread_clock(thread.tid)).unwrap_or(u64::MAX);
    let (asleep, voluntary_switches) = status(thread.tid).unwrap_or((false, u64::MAX));
    Sample { asleep, voluntary_switches, cpu_ns, activity: activity(thread.probe) }
}

/// All that is seen of another thread without asking the kernel.
pub fn other_unasked(thread: ThreadToken) -> Sample {
    let activity = activity(thread.probe);
    Sample { asleep: false, voluntary_switches: u64::MAX, cpu_ns: u64::MAX, activity }
}

/// All that the calling thread sees of itself without asking.
pub fn own_unasked() -> Sample {
    Sample { activity: own_activity(), ..Sample::default() }
}

/// The calling thread's kernel id.
pub fn own_tid() -> u32 {
    // SAFETY: takes no arguments and cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

fn own_activity() -> u64 {
    deadwalk_alloc::thread_activity().read()
}

/// Samples the calling thread.
pub fn own() -> Sample {
    // SAFETY: an all-zero rusage is valid and getrusage only writes to it.
    let switches = unsafe {
        let mut usage: libc::rusage = core::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        usage.ru_nvcsw as u64
    };
    Sample {
        asleep: false,
        voluntary_switches: switches,
        cpu_ns: cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or(0),
        activity: own_activity(),
    }
}

fn activity(probe: u64) -> u64 {
    // SAFETY: the run table holds 0 or what `thread_activity` gave.
    unsafe { ActivityProbe::from_raw(probe as usize) }.read()
}

/// The kernel's clock id of another thread's CPU time.
fn thread_clock(tid: u32) -> libc::clockid_t {
    const PER_THREAD: i32 = 4;
    const SCHED: i32 = 2;
    (!(tid as i32) << 3) | PER_THREAD | SCHED
}

fn cpu_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (result == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// What may wake a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Its state, as the kernel's letter.
    pub state: u8,
    /// How often it stopped running.
    pub switches: u64,
    /// Signals that have a handler and are not blocked, as a mask.
    pub signals: u64,
}

/// How a thread rests, if it can be told.
pub fn rest(tid: u32) -> Option<Rest> {
    let mut text = [0u8; 4096];
    let got = read_task(tid, b"status\0", &mut text)?;
    parse_rest(&text[..got])
}

fn parse_rest(text: &[u8]) -> Option<Rest> {
    Some(Rest {
        state: *field(text, b"\nState:\t")?.first()?,
        switches: number(text, b"\nvoluntary_ctxt_switches:\t")?
            .wrapping_add(number(text, b"\nnonvoluntary_ctxt_switches:\t")?),
        signals: mask(text, b"\nSigCgt:\t")? & !mask(text, b"\nSigBlk:\t")?,
    })
}

/// Is the thread asleep, and how often did it switch voluntarily?
fn status(tid: u32) -> Option<(bool, u64)> {
    let mut text = [0u8; 4096];
    let got = read_task(tid, b"status\0", &mut text)?;
    parse_status(&text[..got])
}

/// Reads the start of a thread's file in /proc; `name` ends with NUL.
pub fn read_task(tid: u32, name: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut path = [0u8; 64];
    let mut rest = &mut path[..];
    write!(rest, "/proc/self/task/{tid}/").ok()?;
    rest.write_all(name).ok()?;
    read_file(&path, out)
}

/// Reads the start of a file; `path` ends with NUL.
pub fn read_file(path: &[u8], out: &mut [u8]) -> Option<usize> {
    // SAFETY: the path is NUL-terminated, the buffer writable for its length;
    // the descriptor is ours and closed before we return.
    unsafe {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0);
        if fd < 0 {
            return None;
        }
        let mut len = 0;
        while len < out.len() {
            let rest = &mut out[len..];
            let got = libc::syscall(libc::SYS_read, fd, rest.as_mut_ptr(), rest.len());
            if got <= 0 {
                break;
            }
            len += got as usize;
        }
        libc::syscall(libc::SYS_close, fd);
        Some(len)
    }
}

/// How many threads are left, if the main thread has ended; it still counts.
pub fn threads_without_main() -> Option<u64> {
    let mut text = [0u8; 4096];
    let got = read_task(std::process::id(), b"status\0", &mut text)?;
    let text = &text[..got];
    let state = *field(text, b"\nState:\t")?.first()?;
    if state == b'Z' { number(text, b"\nThreads:\t") } else { None }
}

fn parse_status(text: &[u8]) -> Option<(bool, u64)> {
    let state = *field(text, b"\nState:\t")?.first()?;
    Some((state == b'S', number(text, b"\nvoluntary_ctxt_switches:\t")?))
}

/// What follows `name` in a status file.
fn field<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    text.windows(name.len()).position(|w| w == name).map(|at| &text[at + name.len()..])
}

fn mask(text: &[u8], name: &[u8]) -> Option<u64> {
    let digits = field(text, name)?.get(..16)?;
    u64::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

fn number(text: &[u8], name: &[u8]) -> Option<u64> {
    let digits = field(text, name)?.iter().take_while(|b| b.is_ascii_digit());
    Some(digits.fold(0u64, |n, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0'))))
}
