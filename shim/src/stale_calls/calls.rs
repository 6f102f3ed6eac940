//! The calls. Each is libc's with other memory: a thread may be cancelled in it, and a
//! signal may jump out of it, so there is nothing to be dropped.

use core::ffi::{c_int, c_void};

use super::memory::{Message, Vector, get, put, tell};
use super::pieces::{MOST_BYTES, PAGE, Pieces, alias};
use crate::real::Real;
use crate::tls::keeping_errno;

type Vectors = unsafe extern "C-unwind" fn(c_int, *const libc::iovec, c_int) -> isize;
type VectorsAt = unsafe extern "C-unwind" fn(c_int, *const libc::iovec, c_int, i64) -> isize;
type Headers = unsafe extern "C-unwind" fn(c_int, *mut libc::msghdr, c_int) -> isize;

static READV: Real = Real::new(c"readv");
static WRITEV: Real = Real::new(c"writev");
static PREADV: Real = Real::new(c"preadv64");
static PWRITEV: Real = Real::new(c"pwritev64");
static RECVMSG: Real = Real::new(c"recvmsg");
static SENDMSG: Real = Real::new(c"sendmsg");
static CHK_FAIL: Real = Real::new(c"__chk_fail");

/// The longest address of a socket, bytes.
const LONGEST_NAME: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

/// Looks libc's functions up, in the constructor.
pub fn prepare() {
    for real in [&READV, &WRITEV, &PREADV, &PWRITEV, &RECVMSG, &SENDMSG, &CHK_FAIL] {
        real.addr();
    }
}

/// Fails as the kernel would.
fn fault() -> isize {
    // SAFETY: errno is thread-local and always valid.
    unsafe { *libc::__errno_location() = libc::EFAULT };
    -1
}

/// What a call is to do with pieces: all of them, in one go.
fn transfer(real: &Real, number: c_int, pieces: &mut Pieces, at: Option<i64>) -> isize {
    let vectors = pieces.vectors();
    let (first, count) = (vectors.as_ptr(), vectors.len() as c_int);
    match at {
        // SAFETY: `real` is one of the two kinds, by `at`; the pieces are the program's
        // buffers, which the kernel looks at itself.
        None => unsafe {
            core::mem::transmute::<usize, Vectors>(real.addr())(number, first, count)
        },
        // SAFETY: as above.
        Some(at) => unsafe {
            core::mem::transmute::<usize, VectorsAt>(real.addr())(number, first, count, at)
        },
    }
}

/// Sends or receives a message.
fn exchange(real: &Real, number: c_int, header: &mut libc::msghdr, flags: c_int) -> isize {
    // SAFETY: both that are given have this type; what the header names is the program's,
    // or alias of it, and the kernel looks at it itself.
    unsafe { core::mem::transmute::<usize, Headers>(real.addr())(number, header, flags) }
}

/// A call with one buffer.
fn with_buffer(
    (buffer, len): (usize, usize),
    is_input: bool,
    call: impl FnOnce(&mut Pieces) -> isize,
) -> isize {
    let mut pieces = Pieces::new(is_input);
    // What is no length at all gets another answer in a vector.
    pieces.add(buffer, len.min(isize::MAX as usize), 0);
    let done = match pieces.are_small(len) {
        true => with_copy(&mut pieces, (buffer, len), is_input, call),
        false => call(&mut pieces),
    };
    if done > 0 {
        keeping_errno(|| pieces.tell(done as usize));
    }
    done
}

/// What O_DIRECT may ask of a buffer's address.
const ALIGNMENT: usize = 512;

/// Memory for a copy, which is to be aligned as its original.
#[repr(align(512))]
struct Own([u8; PAGE + ALIGNMENT]);

/// A call with one buffer for small pieces.
#[cold]
#[inline(never)]
fn with_copy(
    pieces: &mut Pieces,
    (buffer, len): (usize, usize),
    is_input: bool,
    call: impl FnOnce(&mut Pieces) -> isize,
) -> isize {
    let mut own = Own([0; PAGE + ALIGNMENT]);
    let at = own.0.as_mut_ptr() as usize + buffer % ALIGNMENT;
    // What is not memory is the kernel's to refuse.
    // SAFETY: the bytes go to `own`, which has room for a page there.
    if !unsafe { pieces.copy(at, len, false) } {
        return call(pieces);
    }
    let mut one = Pieces::new(is_input);
    one.add(at, len, 0);
    let done = call(&mut one);
    let received = if is_input { len.min(done.max(0) as usize) } else { 0 };
    // SAFETY: the program gave them to be written to.
    if !unsafe { pieces.copy(at, received, true) } {
        return fault();
    }
    done
}

/// A call with a vector of buffers.
fn with_vector(
    (at, count): (usize, c_int),
    is_input: bool,
    call: impl FnOnce(&mut Pieces) -> isize,
) -> isize {
    // There since it was looked at; else another thread took it away.
    let Some(vector) = Vector::read(at, count as usize) else { return fault() };
    let mut pieces = vector.pieces(is_input);
    let done = call(&mut pieces);
    if done >= 0 {
        keeping_errno(|| {
            vector.tell();
            pieces.tell(done as usize);
        });
    }
    done
}

pub extern "C-unwind" fn read(number: c_int, buffer: usize, len: usize) -> isize {
    with_buffer((buffer, len), true, |pieces| transfer(&READV, number, pieces, None))
}

pub extern "C-unwind" fn write(number: c_int, buffer: usize, len: usize) -> isize {
    with_buffer((buffer, len), false, |pieces| transfer(&WRITEV, number, pieces, None))
}

pub extern "C-unwind" fn pread(number: c_int, buffer: usize, len: usize, at: i64) -> isize {
    with_buffer((buffer, len), true, |pieces| transfer(&PREADV, number, pieces, Some(at)))
}

pub extern "C-unwind" fn pwrite(number: c_int, buffer: usize, len: usize, at: i64) -> isize {
    with_buffer((buffer, len), false, |pieces| transfer(&PWRITEV, number, pieces, Some(at)))
}

pub extern "C-unwind" fn readv(number: c_int, vector: usize, count: c_int) -> isize {
    with_vector((vector, count), true, |pieces| transfer(&READV, number, pieces, None))
}

pub extern "C-unwind" fn writev(number: c_int, vector: usize, count: c_int) -> isize {
    with_vector((vector, count), false, |pieces| transfer(&WRITEV, number, pieces, None))
}

pub extern "C-unwind" fn preadv(number: c_int, vector: usize, count: c_int, at: i64) -> isize {
    with_vector((vector, count), true, |pieces| transfer(&PREADV, number, pieces, Some(at)))
}

pub extern "C-unwind" fn pwritev(number: c_int, vector: usize, count: c_int, at: i64) -> isize {
    with_vector((vector, count), false, |pieces| transfer(&PWRITEV, number, pieces, Some(at)))
}

/// A message of these pieces, and nothing else.
fn message(pieces: &mut Pieces) -> libc::msghdr {
    let vectors = pieces.vectors();
    // SAFETY: an all-zero header is valid.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len();
    message
}

pub extern "C-unwind" fn send(number: c_int, buffer: usize, len: usize, flags: c_int) -> isize {
    sendto(number, buffer, len, flags, 0, 0)
}

pub extern "C-unwind" fn sendto(
    number: c_int,
    buffer: usize,
    len: usize,
    flags: c_int,
    to: usize,
    to_len: libc::socklen_t,
) -> isize {
    // Of a message a longer address is cut off, here it is refused.
    let named = if to_len > LONGEST_NAME { libc::socklen_t::MAX } else { to_len };
    let name = alias(to, to_len as usize, false).unwrap_or(to);
    with_buffer((buffer, len.min(MOST_BYTES)), false, |pieces| {
        let mut message =
            libc::msghdr { msg_name: name as *mut c_void, msg_namelen: named, ..message(pieces) };
        let done = exchange(&SENDMSG, number, &mut message, flags);
        if done >= 0 {
            tell(to, to_len as usize, false);
        }
        done
    })
}

pub extern "C-unwind" fn recv(number: c_int, buffer: usize, len: usize, flags: c_int) -> isize {
    recvfrom(number, buffer, len, flags, 0, 0)
}

/// `from_len` is the address of a `socklen_t`.
pub extern "C-unwind" fn recvfrom(
    number: c_int,
    buffer: usize,
    len: usize,
    flags: c_int,
    from: usize,
    from_len: usize,
) -> isize {
    let room = if from == 0 { Some(0) } else { get::<libc::socklen_t>(from_len) };
    let Some(room) = room else { return fault() };
    let name = alias(from, room.min(LONGEST_NAME) as usize, true).unwrap_or(from);
    with_buffer((buffer, len.min(MOST_BYTES)), true, |pieces| {
        let mut message =
            libc::msghdr { msg_name: name as *mut c_void, msg_namelen: room, ..message(pieces) };
        let done = exchange(&RECVMSG, number, &mut message, flags);
        if done >= 0 && from != 0 {
            tell(from_len, size_of_val(&room), false);
            tell(from, room.min(message.msg_namelen) as usize, true);
            put(from_len, &message.msg_namelen);
        }
        done
    })
}

/// Ends the program as libc does, if a buffer has no room for so much by what
/// `_FORTIFY_SOURCE` knows of it.
fn check(len: usize, room: usize) {
    type Fail = unsafe extern "C-unwind" fn() -> !;
    if len > room {
        // SAFETY: libc's function has this type.
        unsafe { core::mem::transmute::<usize, Fail>(CHK_FAIL.addr())() }
    }
}

pub extern "C-unwind" fn read_chk(number: c_int, buffer: usize, len: usize, room: usize) -> isize {
    check(len, room);
    read(number, buffer, len)
}

pub extern "C-unwind" fn pread_chk(
    number: c_int,
    buffer: usize,
    len: usize,
    at: i64,
    room: usize,
) -> isize {
    check(len, room);
    pread(number, buffer, len, at)
}

pub extern "C-unwind" fn recv_chk(
    number: c_int,
    buffer: usize,
    len: usize,
    room: usize,
    flags: c_int,
) -> isize {
    check(len, room);
    recv(number, buffer, len, flags)
}

pub extern "C-unwind" fn recvfrom_chk(
    number: c_int,
    buffer: usize,
    len: usize,
    room: usize,
    flags: c_int,
    from: usize,
    from_len: usize,
) -> isize {
    check(len, room);
    recvfrom(number, buffer, len, flags, from, from_len)
}

pub extern "C-unwind" fn sendmsg(number: c_int, at: usize, flags: c_int) -> isize {
    let Some(given) = Message::read(at) else { return fault() };
    let mut pieces = given.vector.pieces(false);
    let mut header = given.header(&mut pieces, false);
    let done = exchange(&SENDMSG, number, &mut header, flags);
    if done >= 0 {
        keeping_errno(|| {
            given.tell();
            given.tell_parts([usize::MAX; 2], false);
            pieces.tell(done as usize);
        });
    }
    done
}

pub extern "C-unwind" fn recvmsg(number: c_int, at: usize, flags: c_int) -> isize {
    let Some(given) = Message::read(at) else { return fault() };
    let mut pieces = given.vector.pieces(true);
    let mut header = given.header(&mut pieces, true);
    let done = exchange(&RECVMSG, number, &mut header, flags);
    if done >= 0 {
        keeping_errno(|| {
            given.tell();
            given.put_back(&header);
            given.tell_parts([header.msg_namelen as usize, header.msg_controllen], true);
            pieces.tell(done as usize);
        });
    }
    done
}
