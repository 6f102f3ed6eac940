//! Is there memory at an address outside the heap?
//!
//! A timer in static data of the program, the usual case, is told by a range
//! test. Everything else costs a system call that reads the bytes, or says that
//! it cannot.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::sample;

/// The writable part of the executable, which never goes away.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
/// The most that is asked for at once.
const BYTES_MAX: usize = 64;

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
    let data = headers.iter().rfind(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W != 0);
    if let Some(data) = data {
        let start = bias.wrapping_add(data.p_vaddr as usize);
        START.store(start, Relaxed);
        END.store(start.wrapping_add(data.p_memsz as usize), Relaxed);
    }
    1
}

/// Can `bytes` at `addr` be read? Errno is kept. In a sandbox, where nothing may
/// be asked, the answer is yes.
pub fn is_readable(addr: usize, bytes: usize) -> bool {
    let Some(end) = addr.checked_add(bytes) else { return false };
    if START.load(Relaxed) <= addr && end <= END.load(Relaxed) {
        return true;
    }
    if sample::is_sandboxed() {
        return true;
    }
    let bytes = bytes.min(BYTES_MAX);
    let mut copy = [0u8; BYTES_MAX];
    let local = libc::iovec { iov_base: copy.as_mut_ptr().cast(), iov_len: bytes };
    let remote = libc::iovec { iov_base: addr as *mut c_void, iov_len: bytes };
    // SAFETY: errno is thread-local and always valid; the kernel reads from the
    // remote range with checks, and writes to our buffer only.
    unsafe {
        let errno = *libc::__errno_location();
        let pid = libc::syscall(libc::SYS_getpid);
        let (l, r) = (&raw const local, &raw const remote);
        let read = libc::syscall(libc::SYS_process_vm_readv, pid, l, 1usize, r, 1usize, 0usize);
        // A filter may forbid the call: then nothing is known against the address.
        let fault = read < 0 && *libc::__errno_location() == libc::EFAULT;
        *libc::__errno_location() = errno;
        read == bytes as libc::c_long || read < 0 && !fault
    }
}
