//! The structures in which calls name their buffers: they may lie in freed blocks
//! themselves, or nowhere.

use core::mem::{MaybeUninit, offset_of};

use deadwalk_alloc::trap;

use super::pieces::{MOST, PAGE, Pieces, alias, is_stale};
use crate::signal::probe;
use crate::tls::keeping_errno;

/// A structure at an address that the program gave; `None` if there is no memory.
pub fn get<T: Copy>(at: usize) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    let to = value.as_mut_ptr() as usize;
    // SAFETY: the bytes go to `value`, which is of the C kind that any bytes are.
    unsafe { copy(to, at, size_of::<T>(), at, false).then(|| value.assume_init()) }
}

/// Writes to a structure of the program's, and tells of it if that lies in a freed block.
pub fn put<T: Copy>(at: usize, value: &T) {
    let own = core::ptr::from_ref(value) as usize;
    // SAFETY: the program gave it to be written to.
    unsafe { copy(at, own, size_of::<T>(), at, true) };
    tell(at, size_of::<T>(), true);
}

/// Copies between memory of ours and of the program, which is at `theirs`; whether there
/// was memory.
///
/// # Safety
///
/// * What is written to is ours, or the program's to be written to.
unsafe fn copy(to: usize, from: usize, len: usize, theirs: usize, for_writing: bool) -> bool {
    let mut done = 0;
    while done < len {
        let at = theirs.wrapping_add(done);
        let piece = (PAGE - at % PAGE).min(len - done);
        let at = alias(at, piece, for_writing).unwrap_or(at);
        let (to, from) = if for_writing { (at, from + done) } else { (to + done, at) };
        // SAFETY: the caller's promise.
        if !unsafe { probe::copy(to, from, piece) } {
            return false;
        }
        done += piece;
    }
    true
}

/// A vector of buffers.
pub struct Vector {
    at: usize,
    buffers: [MaybeUninit<libc::iovec>; MOST],
    /// So many are initialised.
    count: usize,
}

impl Vector {
    /// The one that the program has at `at`; `None` if it cannot be read, or is too long.
    #[inline]
    pub fn read(at: usize, count: usize) -> Option<Vector> {
        let mut vector = Vector { at, buffers: [const { MaybeUninit::uninit() }; MOST], count };
        let buffers = vector.buffers.get_mut(..count)?;
        let to = buffers.as_mut_ptr() as usize;
        // SAFETY: the bytes go to `buffers`; any bytes are some.
        unsafe { copy(to, at, size_of_val(buffers), at, false) }.then_some(vector)
    }

    fn buffers(&self) -> &[libc::iovec] {
        // SAFETY: so many were read.
        unsafe { core::slice::from_raw_parts(self.buffers.as_ptr().cast(), self.count) }
    }

    /// Its buffers in pieces.
    pub fn pieces(&self, is_input: bool) -> Pieces {
        let mut pieces = Pieces::new(is_input);
        for (number, buffer) in self.buffers().iter().enumerate() {
            pieces.add(buffer.iov_base as usize, buffer.iov_len, self.count - number - 1);
        }
        pieces
    }

    /// Tells that it was read.
    pub fn tell(&self) {
        tell(self.at, size_of_val(self.buffers()), false);
    }
}

/// Whether a vector, or a buffer of it, lies in a freed block. One at a time: nearly
/// always there is nothing to be kept.
#[inline]
pub fn has_stale_vector(at: usize, count: usize) -> bool {
    const BYTES: usize = size_of::<libc::iovec>();
    let is_stale_at = |number: usize| {
        let buffer = get::<libc::iovec>(at.wrapping_add(number * BYTES));
        buffer.is_some_and(|b| is_stale(b.iov_base as usize, b.iov_len))
    };
    count <= MOST && (is_stale(at, count * BYTES) || (0..count).any(is_stale_at))
}

/// A message's header.
pub struct Message {
    at: usize,
    /// As the program has it.
    header: libc::msghdr,
    /// Its buffers.
    pub vector: Vector,
}

impl Message {
    /// The one at `at`; `None` if it cannot be read, or has too many buffers.
    pub fn read(at: usize) -> Option<Message> {
        let header: libc::msghdr = get(at)?;
        let vector = Vector::read(header.msg_iov as usize, header.msg_iovlen)?;
        Some(Message { at, header, vector })
    }

    /// The header for the kernel, with these pieces. A part that lies on two pages stays
    /// what it is.
    pub fn header(&self, pieces: &mut Pieces, is_input: bool) -> libc::msghdr {
        let [name, control] =
            parts(&self.header).map(|(at, len)| alias(at, len, is_input).unwrap_or(at));
        let vectors = pieces.vectors();
        let mut header = self.header;
        header.msg_name = name as *mut _;
        header.msg_control = control as *mut _;
        header.msg_iov = vectors.as_mut_ptr();
        header.msg_iovlen = vectors.len();
        header
    }

    /// Tells that it was read, or sent.
    pub fn tell(&self) {
        tell(self.at, size_of::<libc::msghdr>(), false);
        self.vector.tell();
    }

    /// Tells what of the parts was accessed: so many bytes.
    pub fn tell_parts(&self, lens: [usize; 2], is_input: bool) {
        for ((at, len), used) in parts(&self.header).into_iter().zip(lens) {
            tell(at, len.min(used), is_input);
        }
    }

    /// Gives the program what the kernel wrote to the header `from`, and tells that.
    pub fn put_back(&self, from: &libc::msghdr) {
        if !self.header.msg_name.is_null() {
            put(self.at + offset_of!(libc::msghdr, msg_namelen), &from.msg_namelen);
        }
        put(self.at + offset_of!(libc::msghdr, msg_controllen), &from.msg_controllen);
        put(self.at + offset_of!(libc::msghdr, msg_flags), &from.msg_flags);
    }
}

/// The parts of a message beside the buffers: sender or receiver, and what is sent along.
fn parts(header: &libc::msghdr) -> [(usize, usize); 2] {
    [
        (header.msg_name as usize, header.msg_namelen as usize),
        (header.msg_control as usize, header.msg_controllen),
    ]
}

/// Whether a message, or memory that it names, lies in a freed block.
#[inline]
pub fn has_stale_message(at: usize) -> bool {
    get::<libc::msghdr>(at).is_some_and(|header| {
        is_stale(at, size_of::<libc::msghdr>())
            || has_stale_vector(header.msg_iov as usize, header.msg_iovlen)
            || parts(&header).into_iter().any(|(at, len)| is_stale(at, len))
    })
}

/// Tells of an access if it was one to a freed block.
pub fn tell(at: usize, len: usize, is_write: bool) {
    if is_stale(at, len) {
        keeping_errno(|| trap::tell_call(at, len, is_write));
    }
}
