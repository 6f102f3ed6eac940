//! System calls with memory of a freed block: the kernel would answer EFAULT, for nobody
//! has access to it. They are made with the block's alias instead, and told as the reads
//! and writes that they are.
//!
//! It is looked before the call is made. To make it first and again after EFAULT would
//! cost a datagram, or the count of an eventfd, which the kernel takes before it copies.
//!
//! `pieces`: a call's buffers, with aliases; `memory`: the structures around them;
//! `calls`: the calls; `look`: what the thunks ask.
//!
//! Contexts: as libc's functions; what is told is told behind the call.

mod calls;
mod look;
mod memory;
mod pieces;

use crate::sandbox::Arguments;

pub use calls::prepare;

/// What the second argument of a call is.
#[derive(Clone, Copy)]
pub enum Shape {
    /// A buffer; the third is its length.
    Buffer,
    /// An array of buffers; the third is their count.
    Vector,
    /// A message.
    Message,
    /// Nothing of the kind.
    Other,
}

impl Shape {
    /// That of the call of this name.
    pub const fn of(name: &[u8]) -> Shape {
        match name {
            b"read" | b"write" | b"pread" | b"pread64" | b"pwrite" | b"pwrite64" | b"recv"
            | b"send" | b"recvfrom" | b"sendto" => Shape::Buffer,
            b"readv" | b"writev" | b"preadv" | b"preadv64" | b"pwritev" | b"pwritev64" => {
                Shape::Vector
            }
            b"recvmsg" | b"sendmsg" => Shape::Message,
            _ => Shape::Other,
        }
    }
}

/// Whether any of the memory that a call of this shape is given lies in a freed block.
#[inline]
pub fn is_stale(shape: Shape, arguments: &Arguments) -> bool {
    let [_, at, len, _] = arguments.0;
    match shape {
        Shape::Buffer => pieces::is_stale(at, len),
        Shape::Vector => memory::has_stale_vector(at, len as i32 as usize),
        Shape::Message => memory::has_stale_message(at),
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
        b"readv" => calls::readv as *const () as usize,
        b"writev" => calls::writev as *const () as usize,
        b"preadv" | b"preadv64" => calls::preadv as *const () as usize,
        b"pwritev" | b"pwritev64" => calls::pwritev as *const () as usize,
        b"recvmsg" => calls::recvmsg as *const () as usize,
        b"sendmsg" => calls::sendmsg as *const () as usize,
        _ => addr,
    }
}
