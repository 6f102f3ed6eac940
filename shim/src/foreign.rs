//! Pointers of another heap that reach our `free`: blocks of libc's own malloc,
//! made before we were there or by an object that binds to it, and blocks of a
//! heap that the program links or that is preloaded behind us, made by functions
//! that we do not have (jemalloc's `mallocx`, tcmalloc's `tc_malloc`).
//!
//! Such a pointer is passed on, never reported. libc's lie in `[heap]`, or in
//! anonymous memory behind a header that looks like a chunk of libc's. If there
//! is another heap, libc's serves nobody, and any pointer into such memory is
//! the other's. Anything else (unmapped, stack, a file's data) is an invalid
//! free.
//!
//! Contexts: inside free, on the slow path only; system calls on this stack.

use core::ffi::c_void;

use crate::real::Real;
use crate::{modules, sandbox};

/// What kind of memory an address lies in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Heap {
        start: usize,
        end: usize,
    },
    Anonymous {
        start: usize,
        end: usize,
    },
    Other,
    /// The kernel's list cannot be read (no descriptor left, a sandbox).
    Unknown,
}

/// The functions behind ours: libc's, or another heap's.
static FREE: Real = Real::new(c"free");
static REALLOC: Real = Real::new(c"realloc");
static USABLE_SIZE: Real = Real::new(c"malloc_usable_size");

/// Looks the functions up, in the constructor: later that would be in `free`.
pub fn prepare() {
    for real in [&FREE, &REALLOC, &USABLE_SIZE] {
        real.addr();
    }
}

/// Is there another heap behind ours, before libc's?
fn has_other_heap() -> bool {
    [&FREE, &REALLOC].iter().all(|real| real.addr() != 0 && !modules::is_libc(real.addr()))
}

/// Frees a block of another heap; `false` if it is none. One of which that cannot
/// be told is kept: neither a crash nor a false finding.
pub fn free(addr: usize) -> bool {
    let function = FREE.addr();
    if function == 0 {
        return false;
    }
    match is_foreign(addr) {
        None => return true,
        Some(false) => return false,
        Some(true) => {}
    }
    // SAFETY: every free has this type; the pointer looks like a block of its.
    unsafe {
        let free: unsafe extern "C" fn(*mut c_void) = core::mem::transmute(function);
        free(addr as *mut c_void);
    }
    true
}

/// Reallocates a block of another heap there; `None` if it is none.
pub fn realloc(addr: usize, size: usize) -> Option<*mut u8> {
    let function = REALLOC.addr();
    if function == 0 || is_foreign(addr) != Some(true) {
        return None;
    }
    // SAFETY: every realloc has this type; the pointer looks like a block of its.
    unsafe {
        let realloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut u8 =
            core::mem::transmute(function);
        Some(realloc(addr as *mut c_void, size))
    }
}

/// The usable size of a block of another heap; 0 if it is none.
pub fn usable_size(addr: usize) -> usize {
    let function = USABLE_SIZE.addr();
    if function == 0 || is_foreign(addr) != Some(true) {
        return 0;
    }
    // SAFETY: every such function has this type; the pointer looks like a block of
    // its.
    unsafe {
        let usable_size: unsafe extern "C" fn(*mut c_void) -> usize =
            core::mem::transmute(function);
        usable_size(addr as *mut c_void)
    }
}

/// Is this a block of another heap? `None` if that cannot be told.
fn is_foreign(addr: usize) -> Option<bool> {
    let has_other_heap = has_other_heap();
    // Other heaps have blocks of eight bytes, and align them so.
    if !addr.is_multiple_of(if has_other_heap { 8 } else { 16 }) {
        return Some(false);
    }
    match memory_of(addr) {
        Memory::Heap { .. } | Memory::Anonymous { .. } if has_other_heap => Some(true),
        Memory::Heap { start, end } => Some(is_chunk(addr, start, end, true)),
        Memory::Anonymous { start, end } => Some(is_chunk(addr, start, end, false)),
        Memory::Other => Some(false),
        Memory::Unknown => None,
    }
}

/// Does the word in front of the block look like the size of a libc chunk in
/// this mapping? Flags are in the lower three bits; outside the break they must
/// say that the chunk is mapped by itself or of an arena.
fn is_chunk(addr: usize, start: usize, end: usize, in_break: bool) -> bool {
    if addr < start + 16 {
        return false;
    }
    // SAFETY: inside a readable mapping, by /proc/self/maps.
    let word = unsafe { ((addr - 8) as *const usize).read() };
    let size = word & !7;
    let is_mmapped = word & 2 != 0;
    let in_arena = word & 4 != 0;
    size.is_multiple_of(16)
        && size >= 32
        && addr - 16 + size <= end
        && (in_break || is_mmapped || in_arena)
}

fn memory_of(addr: usize) -> Memory {
    if sandbox::is_sandboxed() {
        return Memory::Unknown;
    }
    let mut text = [0u8; 4096];
    let mut kept = 0;
    // SAFETY: a C string and a buffer of this stack; the descriptor is ours and
    // closed before we return.
    unsafe {
        let path = c"/proc/self/maps".as_ptr();
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, 0);
        if fd < 0 {
            return Memory::Unknown;
        }
        let mut found = Memory::Other;
        'file: loop {
            let room = &mut text[kept..];
            let got = libc::syscall(libc::SYS_read, fd, room.as_mut_ptr(), room.len());
            if got <= 0 {
                break;
            }
            let len = kept + got as usize;
            let mut at = 0;
            while let Some(end) = text[at..len].iter().position(|&b| b == b'\n') {
                if let Some(memory) = classify(&text[at..at + end], addr) {
                    found = memory;
                    break 'file;
                }
                at += end + 1;
            }
            text.copy_within(at..len, 0);
            kept = len - at;
            if kept == text.len() {
                break;
            }
        }
        libc::syscall(libc::SYS_close, fd);
        found
    }
}

/// The memory of one line of /proc/self/maps, if the address lies in it.
fn classify(line: &[u8], addr: usize) -> Option<Memory> {
    let (start, rest) = hex(line)?;
    let (end, rest) = hex(rest.strip_prefix(b"-")?)?;
    if !(start..end).contains(&addr) {
        return None;
    }
    let readable_private = rest.starts_with(b" rw-p");
    Some(if !readable_private {
        Memory::Other
    } else if line.ends_with(b"[heap]") {
        Memory::Heap { start, end }
    } else if line.ends_with(b" 0 ") || line.ends_with(b" 0") {
        Memory::Anonymous { start, end }
    } else {
        Memory::Other
    })
}

fn hex(text: &[u8]) -> Option<(usize, &[u8])> {
    let len = text.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let digits = core::str::from_utf8(&text[..len]).ok()?;
    Some((usize::from_str_radix(digits, 16).ok()?, &text[len..]))
}
