//! All access to a `timer_list` in the program's memory.
//!
//! Ground rules: the engine asks for an address only after it knows that the
//! memory is there (its heap block is live, or it can be read), never for a
//! timer whose handler has been entered, and not beyond byte 40 unless one of
//! our initialisers saw the object.

use core::mem::offset_of;

use crate::layout::{Fields, TimerList};
use raw::{load, store};

/// Access to the program's memory: this process's, unless a test has its own.
pub trait Storage {
    /// The first 40 bytes.
    fn read(&self, addr: usize) -> Fields {
        Fields {
            next: load(addr, offset_of!(TimerList, next)),
            prev: load(addr, offset_of!(TimerList, prev)),
            expires: load(addr, offset_of!(TimerList, expires)),
            data: load(addr, offset_of!(TimerList, data)),
            function: load(addr, offset_of!(TimerList, function)),
        }
    }

    /// Writes `list`.
    fn write_links(&self, addr: usize, next: usize, prev: usize) {
        store(addr, offset_of!(TimerList, prev), prev);
        store(addr, offset_of!(TimerList, next), next);
    }

    /// Writes `expires`.
    fn write_expires(&self, addr: usize, expires: usize) {
        store(addr, offset_of!(TimerList, expires), expires);
    }

    /// Writes `function` and `data`.
    fn write_handler(&self, addr: usize, function: usize, data: usize) {
        store(addr, offset_of!(TimerList, function), function);
        store(addr, offset_of!(TimerList, data), data);
    }

    /// Reads `running`.
    fn read_running(&self, addr: usize) -> bool {
        load::<u32>(addr, offset_of!(TimerList, running)) != 0
    }

    /// Writes `running`.
    fn write_running(&self, addr: usize, running: bool) {
        store(addr, offset_of!(TimerList, running), u32::from(running));
    }

    /// Writes `flags`.
    fn write_flags(&self, addr: usize, flags: u32) {
        store(addr, offset_of!(TimerList, flags), flags);
    }
}

#[allow(unsafe_code)]
mod raw {
    /// A word of the structure. Volatile: the program's threads use it too.
    pub fn load<T: Copy>(addr: usize, offset: usize) -> T {
        // SAFETY: the module's ground rules: the memory is there, and aligned.
        unsafe { ((addr + offset) as *const T).read_volatile() }
    }

    pub fn store<T>(addr: usize, offset: usize, value: T) {
        // SAFETY: as above, and the program gave us the object to keep.
        unsafe { ((addr + offset) as *mut T).write_volatile(value) }
    }
}
