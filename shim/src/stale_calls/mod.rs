//! System calls with memory of a freed block: the kernel would answer EFAULT, for nobody
//! has access to it. They are made with the block's alias instead, and told as the reads
//! and writes that they are.
//!
//! It is looked before the call is made. To make it first and again after EFAULT would
//! cost a datagram, or the count of an eventfd, which the kernel takes before it copies.
//!
//! `pieces`: a call's buffers, with aliases; `memory`: the structures around them;
//! `calls`: the calls; `structures`: those with structures alone; `look`: what the thunks
//! ask.
//!
//! Contexts: as libc's functions; what is told is told behind the call, but for
//! structures that are read.

mod calls;
mod look;
mod memory;
mod pieces;
pub mod structures;

use core::ffi::CStr;

use crate::sandbox::Arguments;

/// Looks libc's functions up, in the constructor.
pub fn prepare() {
    calls::prepare();
    structures::prepare();
}

/// What memory a call is given. The second argument is
#[derive(Clone, Copy)]
pub enum Shape {
    /// a buffer; the third is its length.
    Buffer,
    /// the same; the fifth and the sixth, or one of them, are addresses too.
    Addressed,
    /// an array of buffers; the third is their count.
    Vector,
    /// a message;
    Message,
    /// any may be a structure, or a name: the call's name says which.
    Structures(&'static CStr),
    /// nothing of the kind.
    Other,
}

impl Shape {
    /// That of the call of this name.
    pub const fn of(call: &'static CStr) -> Shape {
        match call.to_bytes() {
            b"read" | b"write" | b"pread" | b"pread64" | b"pwrite" | b"pwrite64" | b"recv"
            | b"send" | b"__read_chk" | b"__pread_chk" | b"__pread64_chk" | b"__recv_chk" => {
                Shape::Buffer
            }
            b"recvfrom" | b"sendto" | b"__recvfrom_chk" => Shape::Addressed,
            b"readv" | b"writev" | b"preadv" | b"preadv64" | b"pwritev" | b"pwritev64" => {
                Shape::Vector
            }
            b"recvmsg" | b"sendmsg" => Shape::Message,
            name if structures::is_known(name) => Shape::Structures(call),
            _ => Shape::Other,
        }
    }
}

/// Whether any of the memory that a call of this shape is given lies in a freed block.
#[inline]
pub fn is_stale(shape: Shape, arguments: &Arguments) -> bool {
    let [_, at, len, _, fifth, sixth] = arguments.0;
    match shape {
        Shape::Buffer => pieces::is_stale(at, len),
        Shape::Addressed => {
            let is_address_stale = |at| pieces::is_stale(at, 1);
            pieces::is_stale(at, len) || is_address_stale(fifth) || is_address_stale(sixth)
        }
        Shape::Vector => memory::has_stale_vector(at, len as i32 as usize),
        Shape::Message => memory::has_stale_message(at),
        Shape::Structures(name) => structures::is_any_stale(name, arguments),
        Shape::Other => false,
    }
}

/// The function of ours that makes the call of this name, if [`is_stale`]; `addr` is
/// libc's.
pub fn instead(name: &[u8], addr: usize) -> usize {
    match name {
        b"read" => calls::read as *const () as usize,
        b"write" => calls::write as *const () as usize,
        b"pread" | b"pread64" => calls::pread as *const () as usize,
        b"pwrite" | b"pwrite64" => calls::pwrite as *const () as usize,
        b"recv" => calls::recv as *const () as usize,
        b"send" => calls::send as *const () as usize,
        b"recvfrom" => calls::recvfrom as *const () as usize,
        b"sendto" => calls::sendto as *const () as usize,
        b"__read_chk" => calls::read_chk as *const () as usize,
        b"__pread_chk" | b"__pread64_chk" => calls::pread_chk as *const () as usize,
        b"__recv_chk" => calls::recv_chk as *const () as usize,
        b"__recvfrom_chk" => calls::recvfrom_chk as *const () as usize,
        b"readv" => calls::readv as *const () as usize,
        b"writev" => calls::writev as *const () as usize,
        b"preadv" | b"preadv64" => calls::preadv as *const () as usize,
        b"pwritev" | b"pwritev64" => calls::pwritev as *const () as usize,
        b"recvmsg" => calls::recvmsg as *const () as usize,
        b"sendmsg" => calls::sendmsg as *const () as usize,
        _ => structures::instead(name).unwrap_or(addr),
    }
}
