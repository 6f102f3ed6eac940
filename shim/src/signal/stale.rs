//! Accesses to freed blocks: performed on an alias of the block, told one by one, and
//! the program goes on behind them.
//!
//! Contexts: the handler of SIGSEGV, wherever that comes.

use core::ptr::NonNull;

use deadwalk_alloc::trap;
use deadwalk_trap::{AccessKind, Accesses, Alias, Refused};

use super::trampoline::register;

/// What a freed block reads as, and what was written to it since.
struct Freed;

impl Alias for Freed {
    fn at(&self, address: usize, len: usize, write: bool) -> Option<NonNull<u8>> {
        trap::alias(address, len, write)
    }
}

/// Has the memory for code made before the first fault, where it is still allowed.
pub fn prepare() {
    deadwalk_trap::prepare();
}

/// Performs the instruction that faulted at `addr`, if that is in a freed block and can
/// be done; `false`: the fault is still to be explained.
pub fn is_performed(context: &mut libc::ucontext_t, addr: usize) -> bool {
    if !trap::is_stale(addr) {
        return false;
    }
    let ip = register(context, libc::REG_RIP);
    let mut accesses = Accesses::new();
    // SAFETY: the context of the SIGSEGV handler that runs, as the kernel made it; an
    // alias is never taken away.
    match unsafe { deadwalk_trap::resume(context, addr, &Freed, &mut accesses) } {
        Ok(()) => {
            for access in accesses.as_slice() {
                let is_write = matches!(access.kind, AccessKind::Write | AccessKind::Update);
                trap::tell(access.address, access.len, is_write, ip);
            }
            true
        }
        Err(Refused::Native(fault)) => fault.raise(),
        Err(_) => false,
    }
}
