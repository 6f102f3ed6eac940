//! The record file of this process: made small at the start, extended at the
//! first timer or finding, never sparse, its descriptor closed at once.
//!
//! Contexts: the constructor, a fork child, and (extension) anywhere a timer or
//! finding may arise, also inside `free`: system calls only, no allocation.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::*};

use deadwalk_detector::record::layout::{
    BodySegment, FULL_BYTES, HEAD_BYTES, HeadSegment, MAGIC, SUFFIX, VERSION,
};
use deadwalk_detector::record::mapped;
use deadwalk_detector::record::writer::store_bytes;

use crate::host;
use crate::say::{Line, digits, mask};

const PATH_BYTES: usize = 4096;

/// The record's path with its NUL; bytes 0 if there is none.
struct Path {
    bytes: [AtomicU64; PATH_BYTES / 8],
    len: AtomicUsize,
    device: AtomicU64,
    inode: AtomicU64,
}

static PATH: Path = Path {
    bytes: [const { AtomicU64::new(0) }; PATH_BYTES / 8],
    len: AtomicUsize::new(0),
    device: AtomicU64::new(0),
    inode: AtomicU64::new(0),
};

impl Path {
    /// Sets it; `path` ends with NUL.
    fn set(&self, path: &[u8], stat: &libc::stat) {
        for (cell, chunk) in self.bytes.iter().zip(path.chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            cell.store(u64::from_le_bytes(word), Relaxed);
        }
        self.device.store(stat.st_dev, Relaxed);
        self.inode.store(stat.st_ino, Relaxed);
        self.len.store(path.len(), Release);
    }

    /// The path, if there is one. No copy: a handler's stack may be too small for it.
    fn get(&self) -> Option<&CStr> {
        // SAFETY: ends with NUL by the promise of `set`, whose callers, the constructor
        // and a fork child, are the process's only thread.
        (self.len.load(Acquire) > 0).then(|| unsafe { CStr::from_ptr(self.bytes.as_ptr().cast()) })
    }
}

/// Why a record could not be made: which call failed, and errno.
struct Failure(&'static str, c_int);

fn errno() -> c_int {
    // SAFETY: errno is thread-local and always valid.
    unsafe { *libc::__errno_location() }
}

/// Makes this process's record in `folder`; `None` and a line on stderr if that
/// fails, and the process counts in private memory.
pub fn create(folder: &str) -> Option<&'static HeadSegment> {
    match try_create(folder) {
        Ok(head) => Some(head),
        Err(failure) => {
            complain("no record of this process", &failure);
            None
        }
    }
}

fn complain(what: &str, failure: &Failure) {
    let Failure(call, code) = *failure;
    // SAFETY: takes no arguments and cannot fail.
    let pid = unsafe { libc::getpid() } as u64;
    Line::new()
        .text(what)
        .text(" (pid ")
        .number(pid)
        .text("): ")
        .text(call)
        .text(": ")
        .text(error_name(code))
        .text("; its counts are incomplete")
        .say();
}

fn error_name(code: c_int) -> &'static str {
    match code {
        libc::ENOSPC => "no space left",
        libc::EACCES => "permission denied",
        libc::EPERM => "not permitted",
        libc::ENOENT => "no such folder",
        libc::ENOTDIR => "not a folder",
        libc::EROFS => "read-only file system",
        libc::EFBIG => "beyond the file size limit",
        libc::EMFILE | libc::ENFILE => "too many open files",
        libc::ENOMEM => "out of memory",
        libc::ENAMETOOLONG => "path too long",
        libc::EDQUOT => "quota exceeded",
        _ => "failed",
    }
}

fn try_create(folder: &str) -> Result<&'static HeadSegment, Failure> {
    static ATTEMPT: AtomicU32 = AtomicU32::new(0);
    check_size_limit(HEAD_BYTES)?;
    let mut path = [0u8; PATH_BYTES];
    // SAFETY: takes no arguments and cannot fail.
    let pid = unsafe { libc::getpid() } as u64;
    for _ in 0..16 {
        let salt = host::now_ns() ^ u64::from(ATTEMPT.fetch_add(1, Relaxed)) << 56;
        let len =
            make_path(&mut path, folder, pid, salt).ok_or(Failure("path", libc::ENAMETOOLONG))?;
        let flags =
            libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_RDWR;
        match open(&path[..len], flags) {
            Ok(fd) => {
                let mapped = grow_and_map(fd, 0, HEAD_BYTES);
                let stat = stat_of(fd);
                close(fd);
                let mapped = mapped.inspect_err(|_| unlink(&path[..len]))?;
                let stat = stat.ok_or(Failure("fstat", errno()))?;
                PATH.set(&path[..len], &stat);
                // SAFETY: fresh, zeroed, page-aligned, mapped for good.
                return Ok(unsafe { mapped::head_at(mapped) });
            }
            Err(libc::EEXIST) => {}
            Err(code) => return Err(Failure("open", code)),
        }
    }
    Err(Failure("open", libc::EEXIST))
}

/// What became of an extension.
pub enum Extended {
    /// The record has a body.
    Yes(&'static BodySegment),
    /// It could not be had; a line on stderr said so.
    Failed,
    /// This process has no record file.
    NoFile,
}

/// Extends the record by its body.
pub fn extend() -> Extended {
    let Some(path) = PATH.get() else { return Extended::NoFile };
    // SAFETY: errno is thread-local and always valid.
    let saved = unsafe { *libc::__errno_location() };
    // A handler that arms a timer may want the same in the middle of this, and
    // a periodic signal would break `fallocate` off again and again.
    let mut old = 0;
    mask(libc::SIG_SETMASK, !0, &mut old);
    let result = try_extend(path);
    mask(libc::SIG_SETMASK, old, &mut 0);
    if let Err(failure) = &result {
        complain("the record cannot be extended", failure);
        PATH.len.store(0, Release);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = saved };
    result.map_or(Extended::Failed, Extended::Yes)
}

fn try_extend(path: &CStr) -> Result<&'static BodySegment, Failure> {
    check_size_limit(FULL_BYTES)?;
    let fd = open(path.to_bytes_with_nul(), libc::O_RDWR | libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .map_err(|code| Failure("open", code))?;
    let same = stat_of(fd).is_some_and(|s| {
        s.st_dev == PATH.device.load(Relaxed) && s.st_ino == PATH.inode.load(Relaxed)
    });
    let mapped = if same {
        grow_and_map(fd, HEAD_BYTES, FULL_BYTES - HEAD_BYTES)
    } else {
        Err(Failure("open", libc::ENOENT))
    };
    close(fd);
    // SAFETY: fresh, zeroed, page-aligned, mapped for good.
    mapped.map(|memory| unsafe { mapped::body_at(memory) })
}

/// A head in private memory, for a process without a record file.
pub fn private_head() -> Option<&'static HeadSegment> {
    // SAFETY: fresh, zeroed, page-aligned, mapped for good.
    map_private(HEAD_BYTES).map(|memory| unsafe { mapped::head_at(memory) })
}

/// A body in private memory.
pub fn private_body() -> Option<&'static BodySegment> {
    // SAFETY: fresh, zeroed, page-aligned, mapped for good.
    map_private(FULL_BYTES - HEAD_BYTES).map(|memory| unsafe { mapped::body_at(memory) })
}

fn map_private(bytes: usize) -> Option<*mut u8> {
    let (access, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice.
    let memory = unsafe { libc::mmap(core::ptr::null_mut(), bytes, access, flags, -1, 0) };
    (memory != libc::MAP_FAILED).then_some(memory.cast())
}

/// Forgets the parent's record, in a fork child: a child never extends it.
pub fn forget() {
    PATH.len.store(0, Release);
}

/// Writing beyond RLIMIT_FSIZE is a signal, not an error.
fn check_size_limit(bytes: usize) -> Result<(), Failure> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
    if limit.rlim_cur < bytes as u64 { Err(Failure("fallocate", libc::EFBIG)) } else { Ok(()) }
}

/// `folder/PID-SALT.dwrec` with its NUL; its length.
fn make_path(out: &mut [u8], folder: &str, pid: u64, salt: u64) -> Option<usize> {
    let mut len = 0;
    let mut push = |bytes: &[u8]| {
        out.get_mut(len..len + bytes.len())?.copy_from_slice(bytes);
        len += bytes.len();
        Some(())
    };
    push(folder.as_bytes())?;
    push(b"/")?;
    push(digits(pid, &mut [0; 20]))?;
    push(b"-")?;
    for nibble in (0..16).rev() {
        push(&[b"0123456789abcdef"[(salt >> (nibble * 4)) as usize & 15]])?;
    }
    push(b".")?;
    push(SUFFIX.as_bytes())?;
    push(b"\0")?;
    Some(len)
}

fn open(path: &[u8], flags: c_int) -> Result<c_int, c_int> {
    let path = CStr::from_bytes_until_nul(path).map_err(|_| libc::ENAMETOOLONG)?;
    // SAFETY: a C string.
    let fd =
        unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o600) };
    if fd < 0 { Err(errno()) } else { Ok(fd as c_int) }
}

fn close(fd: c_int) {
    // SAFETY: the descriptor is ours.
    unsafe { libc::syscall(libc::SYS_close, fd) };
}

fn unlink(path: &[u8]) {
    if let Ok(path) = CStr::from_bytes_until_nul(path) {
        // SAFETY: a C string.
        unsafe { libc::unlink(path.as_ptr()) };
    }
}

fn stat_of(fd: c_int) -> Option<libc::stat> {
    // SAFETY: an all-zero stat is valid, and fstat only writes to it.
    unsafe {
        let mut stat: libc::stat = core::mem::zeroed();
        (libc::syscall(libc::SYS_fstat, fd, &raw mut stat) == 0).then_some(stat)
    }
}

/// Puts blocks behind a range of the file. Not by `posix_fallocate`, which is a
/// cancellation point.
fn reserve(fd: c_int, offset: usize, bytes: usize) -> Result<(), c_int> {
    loop {
        // SAFETY: the descriptor is ours.
        let result = unsafe { libc::syscall(libc::SYS_fallocate, fd, 0, offset, bytes) };
        match errno() {
            _ if result == 0 => return Ok(()),
            libc::EINTR => {}
            libc::EOPNOTSUPP => return write_zeros(fd, offset, bytes),
            code => return Err(code),
        }
    }
}

/// For file systems without fallocate.
fn write_zeros(fd: c_int, offset: usize, bytes: usize) -> Result<(), c_int> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut done = 0;
    while done < bytes {
        let len = ZEROS.len().min(bytes - done);
        // SAFETY: the descriptor is ours, the buffer has that many bytes.
        let put =
            unsafe { libc::syscall(libc::SYS_pwrite64, fd, ZEROS.as_ptr(), len, offset + done) };
        match errno() {
            _ if put > 0 => done += put as usize,
            libc::EINTR => {}
            code => return Err(code),
        }
    }
    Ok(())
}

/// Gives the file `bytes` more from `offset` on, with blocks behind them, and
/// maps them shared.
fn grow_and_map(fd: c_int, offset: usize, bytes: usize) -> Result<*mut u8, Failure> {
    // SAFETY: the descriptor is ours; a new mapping at an address of the
    // kernel's choice touches nothing that exists.
    unsafe {
        reserve(fd, offset, bytes).map_err(|code| Failure("fallocate", code))?;
        let memory = libc::mmap(
            core::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            fd,
            offset as i64,
        );
        if memory == libc::MAP_FAILED { Err(Failure("mmap", errno())) } else { Ok(memory.cast()) }
    }
}

/// Fills a new record's head.
pub fn fill(head: &HeadSegment, facts: &Facts<'_>) {
    store_bytes(&head.exe, facts.exe);
    store_bytes(&head.options, facts.options);
    store_bytes(&head.argv, facts.argv);
    head.argv_used.store(facts.argv.len().min(head.argv.len()) as u32, Relaxed);
    // SAFETY: take no arguments and cannot fail.
    let (pid, parent) = unsafe { (libc::getpid(), libc::getppid()) };
    head.pid.store(pid as u32, Relaxed);
    head.parent_pid.store(parent as u32, Relaxed);
    head.process_start_ticks.store(start_ticks(), Relaxed);
    head.start_unix_ns.store(host::clock_ns(libc::CLOCK_REALTIME), Relaxed);
    head.start_mono_ns.store(host::now_ns(), Relaxed);
    head.forked.store(facts.forked as u32, Relaxed);
    head.head_bytes.store(size_of::<HeadSegment>() as u32, Relaxed);
    head.body_bytes.store(size_of::<BodySegment>() as u32, Relaxed);
    head.version.store(VERSION, Relaxed);
    store_bytes(&head.magic, &MAGIC);
}

/// What a record says of its process.
pub struct Facts<'a> {
    /// Path of the executable.
    pub exe: &'a [u8],
    /// Option string in force.
    pub options: &'a [u8],
    /// Command line, a NUL behind each argument.
    pub argv: &'a [u8],
    /// A fork made this process.
    pub forked: bool,
}

/// Field 22 of /proc/self/stat; 0 if it cannot be read.
fn start_ticks() -> u64 {
    let mut text = [0u8; 1024];
    let Some(len) = crate::sample::read_file(b"/proc/self/stat\0", &mut text) else { return 0 };
    let text = &text[..len];
    // The command's name is in parentheses and may hold anything.
    let Some(close) = text.iter().rposition(|&b| b == b')') else { return 0 };
    let field = text[close + 1..].split(|&b| b == b' ').nth(20).unwrap_or(&[]);
    field.iter().take_while(|b| b.is_ascii_digit()).fold(0, |n, b| n * 10 + u64::from(b - b'0'))
}
