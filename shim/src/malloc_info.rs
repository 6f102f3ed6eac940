//! What a program may ask of its heap: `mallinfo`, `malloc_stats`,
//! `malloc_info`, `malloc_trim`.
//!
//! `mallopt` is left to libc, whose answers it keeps: the settings are of libc's
//! own heap, and say nothing about this one. So are `mcheck` and `mtrace`, which
//! do nothing since glibc 2.34.
//!
//! Contexts: as libc's functions, so not in signal handlers. Nothing is
//! allocated but by the stream that `malloc_info` writes to.

use core::fmt::{self, Write};

use deadwalk_alloc::{HeapTotals, free_slots, totals, trim};
use libc::{c_int, size_t};

/// Gives memory of free blocks back to the system: 1 if there was any.
///
/// # Safety
///
/// * None; as libc's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_trim(_pad: size_t) -> c_int {
    trim() as c_int
}

/// What the heap holds.
///
/// # Safety
///
/// * None; as libc's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallinfo2() -> libc::mallinfo2 {
    let heap = totals();
    libc::mallinfo2 {
        arena: heap.slot_bytes,
        ordblks: heap.free_slots,
        smblks: 0,
        hblks: heap.huge_blocks,
        hblkhd: heap.huge_bytes,
        usmblks: 0,
        fsmblks: 0,
        uordblks: heap.live_bytes,
        fordblks: free_bytes(&heap),
        keepcost: heap.retained_bytes,
    }
}

/// The same in `int`s: what does not fit is the largest one.
///
/// # Safety
///
/// * None; as libc's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mallinfo() -> libc::mallinfo {
    // SAFETY: no precondition.
    let wide = unsafe { mallinfo2() };
    let narrow = |number: size_t| c_int::try_from(number).unwrap_or(c_int::MAX);
    libc::mallinfo {
        arena: narrow(wide.arena),
        ordblks: narrow(wide.ordblks),
        smblks: narrow(wide.smblks),
        hblks: narrow(wide.hblks),
        hblkhd: narrow(wide.hblkhd),
        usmblks: narrow(wide.usmblks),
        fsmblks: narrow(wide.fsmblks),
        uordblks: narrow(wide.uordblks),
        fordblks: narrow(wide.fordblks),
        keepcost: narrow(wide.keepcost),
    }
}

/// libc's other name of [`mallinfo`].
///
/// # Safety
///
/// * None; as libc's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_mallinfo() -> libc::mallinfo {
    // SAFETY: no precondition.
    unsafe { mallinfo() }
}

/// Writes a summary to stderr.
///
/// # Safety
///
/// * None; as libc's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_stats() {
    let heap = totals();
    let mut text = Text { bytes: [0; TEXT], len: 0 };
    // A text that does not fit is cut: its numbers leave room to spare.
    let _ = write_stats(&mut text, &heap);
    // SAFETY: errno is thread-local and always valid; the bytes are initialised.
    unsafe {
        let errno = *libc::__errno_location();
        libc::syscall(libc::SYS_write, libc::STDERR_FILENO, text.bytes.as_ptr(), text.len);
        *libc::__errno_location() = errno;
    }
}

/// Writes the state of the heap as XML; `EINVAL` for any option, as there are
/// none.
///
/// # Safety
///
/// * `stream` is open for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_info(options: c_int, stream: *mut libc::FILE) -> c_int {
    if options != 0 {
        return libc::EINVAL;
    }
    // As libc's: what the stream refuses is told by the stream alone.
    let _ = write_info(&mut Stream(stream), &totals());
    0
}

fn free_bytes(heap: &HeapTotals) -> usize {
    heap.slot_bytes.saturating_sub(heap.live_bytes)
}

/// The lines of glibc's `malloc_stats`.
fn write_stats(out: &mut impl Write, heap: &HeapTotals) -> fmt::Result {
    let (system, used, mapped) = (heap.slot_bytes, heap.live_bytes, heap.huge_bytes);
    writeln!(out, "Arena 0:")?;
    writeln!(out, "system bytes     = {system:>10}")?;
    writeln!(out, "in use bytes     = {used:>10}")?;
    writeln!(out, "Total (incl. mmap):")?;
    writeln!(out, "system bytes     = {:>10}", system + mapped)?;
    writeln!(out, "in use bytes     = {:>10}", used + mapped)?;
    writeln!(out, "max mmap regions = {:>10}", heap.huge_blocks)?;
    writeln!(out, "max mmap bytes   = {mapped:>10}")
}

/// The elements of glibc's `malloc_info`, of one heap.
fn write_info(out: &mut impl Write, heap: &HeapTotals) -> fmt::Result {
    writeln!(out, "<malloc version=\"1\">")?;
    writeln!(out, "<heap nr=\"0\">")?;
    writeln!(out, "<sizes>")?;
    for (size, count) in free_slots() {
        let total = size * count;
        let from_to = format_args!("from=\"{size}\" to=\"{size}\"");
        writeln!(out, "  <size {from_to} total=\"{total}\" count=\"{count}\"/>")?;
    }
    writeln!(out, "</sizes>")?;
    let (system, most) = (heap.slot_bytes, heap.slot_bytes.max(heap.peak_live_bytes));
    let rest = |out: &mut dyn Write| {
        writeln!(out, "<total type=\"fast\" count=\"0\" size=\"0\"/>")?;
        let (count, size) = (heap.free_slots, free_bytes(heap));
        writeln!(out, "<total type=\"rest\" count=\"{count}\" size=\"{size}\"/>")
    };
    let space = |out: &mut dyn Write| {
        writeln!(out, "<system type=\"current\" size=\"{system}\"/>")?;
        writeln!(out, "<system type=\"max\" size=\"{most}\"/>")?;
        writeln!(out, "<aspace type=\"total\" size=\"{system}\"/>")?;
        writeln!(out, "<aspace type=\"mprotect\" size=\"{system}\"/>")
    };
    rest(out)?;
    space(out)?;
    writeln!(out, "</heap>")?;
    rest(out)?;
    let (count, size) = (heap.huge_blocks, heap.huge_bytes);
    writeln!(out, "<total type=\"mmap\" count=\"{count}\" size=\"{size}\"/>")?;
    space(out)?;
    writeln!(out, "</malloc>")
}

/// Room for `malloc_stats`: eight lines of 19 bytes and a number each.
const TEXT: usize = 512;

/// Text on the stack.
struct Text {
    bytes: [u8; TEXT],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + part.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(part.as_bytes());
        self.len += part.len();
        Ok(())
    }
}

/// A stream of libc's.
struct Stream(*mut libc::FILE);

impl Write for Stream {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // SAFETY: the caller of `malloc_info` promised an open stream.
        let written = unsafe { libc::fwrite(part.as_ptr().cast(), 1, part.len(), self.0) };
        if written == part.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
