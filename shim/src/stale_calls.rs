//! System calls of a handler whose buffer lies in a freed block: the kernel would answer
//! EFAULT, for nobody has access to it. They are made with the block's alias instead,
//! and told as the reads and writes that they are.
//!
//! Contexts: as libc's functions; what is told is told behind the call.

use core::ffi::{CStr, c_int, c_void};

use deadwalk_alloc::trap;

use crate::tls::keeping_errno;

const PAGE: usize = 4096;
/// Pages that a buffer may touch; the kernel answers for longer ones.
const MOST: usize = 64;

/// A buffer, page by page: what is guarded by its alias, the rest as it is.
struct Pieces {
    vectors: [libc::iovec; MOST],
    count: usize,
}

impl Pieces {
    fn of(buffer: usize, len: usize, is_input: bool) -> Option<Pieces> {
        let none = libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 };
        let mut pieces = Pieces { vectors: [none; MOST], count: 0 };
        let mut done = 0;
        while done < len {
            let at = buffer.checked_add(done)?;
            let piece = (PAGE - at % PAGE).min(len - done);
            let alias =
                trap::alias(at, piece, is_input).map_or(at, |alias| alias.as_ptr() as usize);
            *pieces.vectors.get_mut(pieces.count)? =
                libc::iovec { iov_base: alias as *mut c_void, iov_len: piece };
            pieces.count += 1;
            done += piece;
        }
        Some(pieces)
    }

    fn message(&mut self) -> libc::msghdr {
        // SAFETY: an all-zero header is valid.
        let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
        message.msg_iov = self.vectors.as_mut_ptr();
        message.msg_iovlen = self.count;
        message
    }
}

/// The function of ours that makes the call of this name with this buffer, if it is one
/// that lies in a freed block.
pub fn instead(name: &CStr, buffer: usize, len: usize) -> Option<usize> {
    let call: usize = match name.to_bytes() {
        b"write" => write as *const () as usize,
        b"pwrite" | b"pwrite64" => pwrite as *const () as usize,
        b"send" => send as *const () as usize,
        b"sendto" => sendto as *const () as usize,
        b"read" => read as *const () as usize,
        b"pread" | b"pread64" => pread as *const () as usize,
        b"recv" => recv as *const () as usize,
        b"recvfrom" => recvfrom as *const () as usize,
        _ => return None,
    };
    let is_short = len > 0 && len <= (MOST - 1) * PAGE;
    (is_short && trap::is_stale(buffer)).then_some(call)
}

/// Makes the call with the pieces of the buffer, and tells of what it did.
fn with(
    (buffer, len): (usize, usize),
    is_input: bool,
    call: impl FnOnce(&mut Pieces) -> isize,
) -> isize {
    let Some(mut pieces) = Pieces::of(buffer, len, is_input) else {
        // SAFETY: errno is thread-local and always valid.
        unsafe { *libc::__errno_location() = libc::EFAULT };
        return -1;
    };
    let done = call(&mut pieces);
    if done > 0 {
        keeping_errno(|| trap::tell_call(buffer, (done as usize).min(len), is_input));
    }
    done
}

unsafe extern "C-unwind" fn write(number: c_int, buffer: usize, len: usize) -> isize {
    // SAFETY: the caller's promise, in this and the others; the pieces are the buffer.
    with((buffer, len), false, |p| unsafe {
        libc::writev(number, p.vectors.as_ptr(), p.count as c_int)
    })
}

unsafe extern "C-unwind" fn pwrite(number: c_int, buffer: usize, len: usize, at: i64) -> isize {
    // SAFETY: as above.
    with((buffer, len), false, |p| unsafe {
        libc::pwritev(number, p.vectors.as_ptr(), p.count as c_int, at)
    })
}

unsafe extern "C-unwind" fn send(number: c_int, buffer: usize, len: usize, flags: c_int) -> isize {
    // SAFETY: as above.
    with((buffer, len), false, |p| unsafe {
        let message = p.message();
        libc::sendmsg(number, &raw const message, flags)
    })
}

unsafe extern "C-unwind" fn sendto(
    number: c_int,
    buffer: usize,
    len: usize,
    flags: c_int,
    to: *mut c_void,
    to_len: libc::socklen_t,
) -> isize {
    with((buffer, len), false, |p| {
        let message = libc::msghdr { msg_name: to, msg_namelen: to_len, ..p.message() };
        // SAFETY: as above.
        unsafe { libc::sendmsg(number, &raw const message, flags) }
    })
}

unsafe extern "C-unwind" fn read(number: c_int, buffer: usize, len: usize) -> isize {
    // SAFETY: as above.
    with((buffer, len), true, |p| unsafe {
        libc::readv(number, p.vectors.as_ptr(), p.count as c_int)
    })
}

unsafe extern "C-unwind" fn pread(number: c_int, buffer: usize, len: usize, at: i64) -> isize {
    // SAFETY: as above.
    with((buffer, len), true, |p| unsafe {
        libc::preadv(number, p.vectors.as_ptr(), p.count as c_int, at)
    })
}

unsafe extern "C-unwind" fn recv(number: c_int, buffer: usize, len: usize, flags: c_int) -> isize {
    with((buffer, len), true, |p| {
        let mut message = p.message();
        // SAFETY: as above.
        unsafe { libc::recvmsg(number, &raw mut message, flags) }
    })
}

unsafe extern "C-unwind" fn recvfrom(
    number: c_int,
    buffer: usize,
    len: usize,
    flags: c_int,
    from: *mut c_void,
    from_len: *mut libc::socklen_t,
) -> isize {
    with((buffer, len), true, |p| {
        // SAFETY: null, or a length, by the caller's promise.
        let room = if from.is_null() { None } else { unsafe { from_len.as_mut() } };
        let name_len = room.as_ref().map_or(0, |len| **len);
        let mut message = libc::msghdr { msg_name: from, msg_namelen: name_len, ..p.message() };
        // SAFETY: as above.
        let done = unsafe { libc::recvmsg(number, &raw mut message, flags) };
        if let (Some(room), 0..) = (room, done) {
            *room = message.msg_namelen;
        }
        done
    })
}
