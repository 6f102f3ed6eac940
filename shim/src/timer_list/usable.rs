//! Is there memory at an address outside the heap, that can be written?
//!
//! A timer in static data of the program, the usual case, and one in its caller's
//! frame are told by a range test. Everything else costs a system call that reads the bytes, and writes
//! one of them back to where it stood, or says that it cannot.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::sandbox;

/// The writable part of the executable, which never goes away.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
/// How far above our frame the stack surely goes on.
const NEAR: usize = 4096;
/// The most that is asked for at once.
const BYTES_MAX: usize = 64;
/// The byte that is written back: the highest of `list.prev`, which is the
/// engine's to write, and it is written under its lock.
const OWN_BYTE: usize = 15;

/// Finds the executable's data, in the constructor.
pub fn prepare() {
    // SAFETY: the function is called with the loader's structures while they live.
    unsafe { libc::dl_iterate_phdr(Some(first_object), core::ptr::null_mut()) };
}

/// The executable comes first.
unsafe extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    _arg: *mut c_void,
) -> c_int {
    // SAFETY: the loader gives a valid structure with `dlpi_phnum` headers.
    let (bias, headers) = unsafe {
        let info = &*info;
        (
            info.dlpi_addr as usize,
            core::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)),
        )
    };
    let range = |h: &libc::Elf64_Phdr| {
        let start = bias.wrapping_add(h.p_vaddr as usize);
        (start, start.wrapping_add(h.p_memsz as usize))
    };
    let data = headers.iter().rfind(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W != 0);
    if let Some((start, end)) = data.map(range) {
        // What the loader makes read-only after it has relocated it comes first.
        let relro = headers.iter().find(|h| h.p_type == libc::PT_GNU_RELRO).map(range);
        START.store(relro.map_or(start, |relro| relro.1.max(start)), Relaxed);
        END.store(end, Relaxed);
    }
    1
}

/// Can `bytes` (more than 16) at `addr` be read and written? Errno is kept. In a
/// sandbox, where nothing may be asked, the answer is yes.
pub fn is_usable(addr: usize, bytes: usize) -> bool {
    let Some(end) = addr.checked_add(bytes) else { return false };
    if START.load(Relaxed) <= addr && end <= END.load(Relaxed) {
        return true;
    }
    // A timer in a frame of the caller's. What lies a page above our own frame
    // is stack, or the thread's block on top of it.
    let here = (&raw const end).addr();
    if addr.wrapping_sub(here) < NEAR {
        return true;
    }
    if sandbox::is_sandboxed() {
        return true;
    }
    let mut copy = [0u8; BYTES_MAX];
    let at = |addr: usize, len| libc::iovec { iov_base: addr as *mut c_void, iov_len: len };
    let own_byte = at(addr + OWN_BYTE, 1);
    let len = bytes.min(BYTES_MAX);
    let to = [at(copy.as_mut_ptr() as usize, len), own_byte];
    let from = [at(addr, len), own_byte];
    // SAFETY: errno is thread-local and always valid; the kernel reads and
    // writes with checks, and what it writes is our buffer and a byte as it was.
    unsafe {
        let errno = *libc::__errno_location();
        let pid = libc::syscall(libc::SYS_getpid);
        let (to, from) = (to.as_ptr(), from.as_ptr());
        let read = libc::syscall(libc::SYS_process_vm_readv, pid, to, 2usize, from, 2usize, 0usize);
        // A filter may forbid the call: then nothing is known against the address.
        let fault = read < 0 && *libc::__errno_location() == libc::EFAULT;
        *libc::__errno_location() = errno;
        read == len as libc::c_long + 1 || read < 0 && !fault
    }
}
