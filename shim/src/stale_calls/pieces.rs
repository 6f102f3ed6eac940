//! The buffers of a call, page by page: what is guarded by its alias, the rest as it is.

use core::ffi::c_void;

use deadwalk_alloc::trap;

use crate::signal::probe;

pub const PAGE: usize = 4096;
/// Pieces that a call may have, and buffers of a vector that are looked at; the kernel
/// answers for more. They lie on the stack.
pub const MOST: usize = 64;

/// The most bytes that a call transfers.
pub const MOST_BYTES: usize = i32::MAX as usize & !(PAGE - 1);

/// Whether memory lies in a freed block, at its start or its end. What is wild may also
/// do so in the middle, and gets the kernel's answer.
#[inline]
pub fn is_stale(at: usize, len: usize) -> bool {
    let is_held = |addr| trap::may_be_held(addr) && trap::is_stale(addr);
    let last = at.wrapping_add(len.wrapping_sub(1));
    len > 0 && (is_held(at) || last / PAGE != at / PAGE && is_held(last))
}

/// Where memory on one page can be accessed instead, if it lies in a freed block.
pub fn alias(at: usize, len: usize, for_writing: bool) -> Option<usize> {
    if !trap::may_be_held(at) {
        return None;
    }
    Some(trap::alias(at, len, for_writing)?.as_ptr() as usize)
}

/// All of them, in the order of the transfer.
pub struct Pieces {
    vectors: [libc::iovec; MOST],
    /// Whose alias a piece is; 0 if it is none.
    of: [usize; MOST],
    /// Bit by piece: a buffer starts with it.
    starts: u64,
    count: usize,
    is_input: bool,
}

const _: () = assert!(MOST <= u64::BITS as usize);

impl Pieces {
    /// None, of a call that receives (`is_input`) or sends.
    pub fn new(is_input: bool) -> Pieces {
        let none = libc::iovec { iov_base: core::ptr::null_mut(), iov_len: 0 };
        Pieces { vectors: [none; MOST], of: [0; MOST], starts: 0, count: 0, is_input }
    }

    /// Adds a buffer, if it has any bytes, and leaves room for so many more. What finds
    /// no room is left as it is.
    pub fn add(&mut self, buffer: usize, len: usize, more: usize) {
        let start = self.count;
        let end = buffer.saturating_add(len);
        let mut plain = buffer;
        // No call transfers more than that; there may be no end to what it is given.
        let end_of_look = end.min(buffer.saturating_add(MOST_BYTES));
        let mut at = if is_stale(buffer, len) { buffer } else { end };
        // What is in front of an alias, the alias, and what is behind it.
        while at < end_of_look && self.count + 3 + more <= MOST {
            let piece = (PAGE - at % PAGE).min(end - at);
            if let Some(alias) = alias(at, piece, self.is_input) {
                self.push(plain, at - plain, 0);
                self.push(alias, piece, at);
                plain = at + piece;
            }
            at += piece;
        }
        // As long as it was, even if it has no end: that is the kernel's to refuse.
        self.push(plain, len - (plain - buffer), 0);
        if self.count > start {
            self.starts |= 1 << start;
        }
    }

    fn push(&mut self, at: usize, len: usize, of: usize) {
        let room = self.vectors.get_mut(self.count).filter(|_| len > 0);
        if let Some(vector) = room {
            *vector = libc::iovec { iov_base: at as *mut c_void, iov_len: len };
            self.of[self.count] = of;
            self.count += 1;
        }
    }

    /// For the kernel.
    pub fn vectors(&mut self) -> &mut [libc::iovec] {
        &mut self.vectors[..self.count]
    }

    /// Whether a call is better given one buffer: what is small is often for a file that
    /// takes it as a whole (those of /proc, inotify), and sees each piece as a call.
    pub fn are_small(&self, len: usize) -> bool {
        self.count > 1 && len <= PAGE
    }

    /// Copies `len` bytes between the first pieces and memory at `own`; whether there was
    /// memory.
    ///
    /// # Safety
    ///
    /// * `own` has so much; what is written to may be.
    pub unsafe fn copy(&self, own: usize, len: usize, to_pieces: bool) -> bool {
        let mut done = 0;
        self.vectors[..self.count].iter().all(|vector| {
            let (theirs, len) = (vector.iov_base as usize, vector.iov_len.min(len - done));
            let ours = own + done;
            done += len;
            let (to, from) = if to_pieces { (theirs, ours) } else { (ours, theirs) };
            // SAFETY: the caller's promise.
            unsafe { probe::copy(to, from, len) }
        })
    }

    /// Tells what was accessed by a call that transferred `done` bytes: once for each
    /// buffer.
    pub fn tell(&self, done: usize) {
        let (mut told, mut rest) = (Told { at: 0, len: 0, is_input: self.is_input }, done);
        for (number, (vector, &of)) in self.vectors[..self.count].iter().zip(&self.of).enumerate() {
            let len = vector.iov_len.min(rest);
            rest -= len;
            if of == 0 || of != told.at + told.len || self.starts >> number & 1 != 0 {
                told.end();
                told.at = of;
            }
            if of != 0 {
                told.len += len;
            }
        }
        told.end();
    }
}

/// An access that goes over several pages.
struct Told {
    at: usize,
    len: usize,
    is_input: bool,
}

impl Told {
    fn end(&mut self) {
        if self.len > 0 {
            trap::tell_call(self.at, self.len, self.is_input);
        }
        self.len = 0;
    }
}
