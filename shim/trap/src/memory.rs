//! Guarded and plain memory, as an instruction sees them.
//!
//! A guarded byte is reached through its alias, any other one where it is.
//! Ranges are looked at page by page, since a guard covers whole pages. What is
//! done to guarded bytes is logged; plain bytes are not our business.

use crate::access::{AccessKind, Accesses};
use crate::{Alias, Fault, Refused, plain};
use std::ptr;

const PAGE: usize = 4096;

/// Both kinds of memory.
pub struct Memory<'a> {
    alias: &'a dyn Alias,
    /// What was done to guarded bytes.
    pub log: &'a mut Accesses,
}

/// The parts of a range that lie in one page each.
pub fn pieces(address: usize, len: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = address.wrapping_add(done);
        let piece = (PAGE - at % PAGE).min(len - done);
        done += piece;
        (piece > 0).then_some((at, piece))
    })
}

impl<'a> Memory<'a> {
    /// Memory with guarded ranges known to `alias`.
    pub fn new(alias: &'a dyn Alias, log: &'a mut Accesses) -> Memory<'a> {
        Memory { alias, log }
    }

    /// Whether the byte at `address` is guarded.
    pub fn is_guarded(&self, address: usize) -> bool {
        self.alias.at(address, 1, false).is_some()
    }

    /// Whether any byte of the range is guarded.
    pub fn any_guarded(&self, address: usize, len: usize) -> bool {
        pieces(address, len).any(|(at, _)| self.is_guarded(at))
    }

    /// The alias of a range that is guarded as a whole, if it is in one piece.
    pub fn direct(&self, address: usize, len: usize, write: bool) -> Option<*mut u8> {
        if let Some(whole) = self.alias.at(address, len, write) {
            return Some(whole.as_ptr());
        }
        let mut start = None;
        for (at, piece) in pieces(address, len) {
            let here = self.alias.at(at, piece, write)?.as_ptr();
            let begin = *start.get_or_insert(here);
            if here != begin.wrapping_add(at.wrapping_sub(address)) {
                return None;
            }
        }
        start
    }

    /// Where a range inside one page can be accessed.
    ///
    /// # Errors
    ///
    /// The fault that the program's own access to plain memory would raise.
    pub fn reach(&self, address: usize, len: usize, write: bool) -> Result<*mut u8, Refused> {
        if let Some(alias) = self.alias.at(address, len, write) {
            return Ok(alias.as_ptr());
        }
        let ok = if write { plain::writable(address) } else { plain::readable(address) };
        if ok { Ok(ptr::with_exposed_provenance_mut(address)) } else { Err(Fault::segv(address)) }
    }

    /// Logs an access to those bytes of a range that are guarded.
    pub fn note(&mut self, address: usize, len: usize, kind: AccessKind) {
        for (at, piece) in pieces(address, len) {
            if self.is_guarded(at) {
                self.log.add(at, piece, kind);
            }
        }
    }

    /// Copies a range out, and logs it as read.
    ///
    /// # Errors
    ///
    /// As for [`Memory::reach`].
    pub fn read(&mut self, address: usize, to: &mut [u8]) -> Result<(), Refused> {
        for (at, piece) in pieces(address, to.len()) {
            let from = self.reach(at, piece, false)?;
            let part = &mut to[at.wrapping_sub(address)..][..piece];
            // SAFETY: `reach` says that these bytes can be read.
            unsafe { copy(from, part.as_mut_ptr(), piece) };
        }
        self.note(address, to.len(), AccessKind::Read);
        Ok(())
    }

    /// Copies into a range, all of it or nothing, and logs it as written.
    ///
    /// # Errors
    ///
    /// As for [`Memory::reach`].
    pub fn write(&mut self, address: usize, from: &[u8]) -> Result<(), Refused> {
        for (at, piece) in pieces(address, from.len()) {
            self.reach(at, piece, true)?;
        }
        for (at, piece) in pieces(address, from.len()) {
            let to = self.reach(at, piece, true)?;
            let part = &from[at.wrapping_sub(address)..][..piece];
            // SAFETY: `reach` says that these bytes can be written.
            unsafe { copy(part.as_ptr(), to, piece) };
        }
        self.note(address, from.len(), AccessKind::Write);
        Ok(())
    }

    /// Reads up to eight bytes as a number.
    ///
    /// # Errors
    ///
    /// As for [`Memory::reach`].
    pub fn load(&mut self, address: usize, size: usize) -> Result<u64, Refused> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes[..size])?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes the low bytes of a number.
    ///
    /// # Errors
    ///
    /// As for [`Memory::reach`].
    pub fn store(&mut self, address: usize, size: usize, value: u64) -> Result<(), Refused> {
        self.write(address, &value.to_le_bytes()[..size])
    }
}

/// Copies `len` bytes; a whole word by one move, so that it never is seen torn.
///
/// # Safety
///
/// * `from` can be read and `to` be written for `len` bytes.
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: as promised by the caller.
    unsafe {
        match len {
            1 => to.write(from.read()),
            2 => to.cast::<u16>().write_unaligned(from.cast::<u16>().read_unaligned()),
            4 => to.cast::<u32>().write_unaligned(from.cast::<u32>().read_unaligned()),
            8 => to.cast::<u64>().write_unaligned(from.cast::<u64>().read_unaligned()),
            _ => ptr::copy(from, to, len),
        }
    }
}
