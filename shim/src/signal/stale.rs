//! Accesses to freed blocks: performed on an alias of the block, told one by one, and
//! the program goes on behind them.
//!
//! Contexts: the handler of SIGSEGV, wherever that comes.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use deadwalk_alloc::trap;
use deadwalk_trap::{AccessKind, Accesses, Alias, Refused};

use super::place;
use super::trampoline::register;

/// What a freed block reads as, and what was written to it since.
struct Freed;

impl Alias for Freed {
    fn at(&self, address: usize, len: usize, write: bool) -> Option<NonNull<u8>> {
        trap::alias(address, len, write)
    }
}

/// `trap_limit`; 0 for none.
static LIMIT: AtomicU32 = AtomicU32::new(0);
/// Instructions whose accesses are counted, if there is a limit; others have none.
const SITES: usize = 1024;
/// Places looked at for one.
const LOOK: usize = 16;

struct Site {
    ip: AtomicUsize,
    accesses: AtomicU32,
}

static SITE: [Site; SITES] =
    [const { Site { ip: AtomicUsize::new(0), accesses: AtomicU32::new(0) } }; SITES];

/// Sets `trap_limit`.
pub fn configure(limit: u32) {
    LIMIT.store(limit, Relaxed);
}

/// Counts an access by the instruction at `ip`: was it one too many?
fn is_over(ip: usize) -> bool {
    let limit = LIMIT.load(Relaxed);
    if limit == 0 {
        return false;
    }
    let first = ip.wrapping_mul(0x9e37_79b9) >> 7;
    let mut places = (0..LOOK).map(|at| &SITE[(first + at) % SITES]);
    let site = places.find(|site| match site.ip.load(Relaxed) {
        0 => {
            site.ip.compare_exchange(0, ip, Relaxed, Relaxed).map_or_else(|now| now == ip, |_| true)
        }
        known => known == ip,
    });
    site.is_some_and(|site| site.accesses.fetch_add(1, Relaxed) >= limit)
}

/// Has the memory for code made before the first fault, where it is still allowed.
pub fn prepare() {
    deadwalk_trap::prepare();
}

/// Performs the instruction that faulted at `addr`, if that is in a freed block and can
/// be done; `false`: the fault is still to be explained.
pub fn is_performed(context: &mut libc::ucontext_t, addr: usize, is_write: bool) -> bool {
    if !trap::is_stale(addr) {
        return false;
    }
    let ip = register(context, libc::REG_RIP);
    if is_over(ip) {
        return false;
    }
    // Before the instruction changes registers.
    let place = place::of(context);
    let mut accesses = Accesses::new();
    // SAFETY: the context of the SIGSEGV handler that runs, as the kernel made it; an
    // alias is never taken away.
    match unsafe { deadwalk_trap::resume(context, addr, &Freed, &mut accesses) } {
        Ok(()) => {
            place::telling(place, || {
                for access in accesses.as_slice() {
                    let is_write = matches!(access.kind, AccessKind::Write | AccessKind::Update);
                    trap::tell(access.address, access.len, is_write, ip);
                }
            });
            true
        }
        Err(Refused::NotGuarded) => false,
        Err(Refused::Native(fault))
            if fault.signal != libc::SIGSEGV || !trap::is_stale(fault.address) =>
        {
            fault.raise()
        }
        // An instruction that cannot be performed, or no page for what it writes: the
        // block's own is opened for it.
        Err(_) => {
            place::telling(place, || trap::tell(addr, 1, is_write, ip));
            false
        }
    }
}
