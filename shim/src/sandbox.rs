//! Programs that submit to seccomp: a system call that they do not make themselves
//! may be their end.
//!
//! Contexts: entered where the program calls `prctl` or `syscall`; asked anywhere.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use deadwalk_alloc::sandbox::{self, Instruction, Rules};

use crate::{stack, tls};

static SANDBOXED: AtomicBool = AtomicBool::new(false);

/// The arguments of a call that are in registers.
#[derive(Clone, Copy)]
pub struct Arguments(pub [usize; 6]);

/// `struct sock_fprog`.
#[repr(C)]
struct Filter {
    len: u16,
    instructions: *const Instruction,
}

/// The longest filter that the kernel takes.
const MOST: usize = 4096;

impl Arguments {
    /// What the call submits to; `None` if it is another call, or only asks.
    ///
    /// # Safety
    ///
    /// * The arguments are what the program gave libc: a filter among them is one.
    unsafe fn rules(&self) -> Option<Rules<'_>> {
        let [first, second, third, fourth, ..] = self.0;
        let (mode, filter) = match first as i64 {
            // `int option` leaves the upper half of its register open.
            _ if first as i32 == libc::PR_SET_SECCOMP => {
                (i64::from(second as u32) - i64::from(libc::SECCOMP_MODE_STRICT), third)
            }
            libc::SYS_seccomp => (i64::from(second as u32), fourth),
            _ => return None,
        };
        let is_refused = first as i64 == libc::SYS_seccomp && (third as u32 != 0 || fourth != 0);
        let filter = filter as *const Filter;
        match u32::try_from(mode).ok()? {
            // With a flag the kernel refuses it: so libseccomp asks whether the call exists.
            libc::SECCOMP_SET_MODE_STRICT if is_refused => None,
            libc::SECCOMP_SET_MODE_STRICT => Some(Rules::Strict),
            // Without a filter it asks whether there could be one.
            libc::SECCOMP_SET_MODE_FILTER if !filter.is_null() => {
                // SAFETY: the caller's promise; the kernel reads the same next.
                let (len, first) = unsafe { ((*filter).len as usize, (*filter).instructions) };
                if first.is_null() || len > MOST {
                    return None;
                }
                // SAFETY: as above.
                Some(Rules::Filter(unsafe { core::slice::from_raw_parts(first, len) }))
            }
            _ => None,
        }
    }
}

/// The program makes this call now; whether it gives up system calls by it.
///
/// # Safety
///
/// * As [`Arguments::rules`].
pub unsafe fn entering(arguments: Arguments) -> bool {
    // SAFETY: the caller's promise.
    let Some(rules) = (unsafe { arguments.rules() }) else { return false };
    // What asks the kernel the first time only, is asked now.
    tls::tid();
    stack::capture(&mut [0; 2]);
    sandbox::enter(rules);
    SANDBOXED.store(true, Relaxed);
    true
}

/// Must we get by without /proc and the like?
pub fn is_sandboxed() -> bool {
    SANDBOXED.load(Relaxed)
}

/// The process's id, unless the program gave up asking.
pub fn pid() -> Option<u32> {
    if sandbox::forbids(libc::SYS_getpid, 0) {
        return None;
    }
    // SAFETY: takes no arguments and cannot fail.
    Some(unsafe { libc::getpid() } as u32)
}
