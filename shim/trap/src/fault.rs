//! What is refused, and the signals that the program's own access would raise.

use crate::plain;
use std::mem;

/// Why an access was not performed. Registers and memory are as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The program tried to execute guarded memory.
    Fetch,
    /// The bytes are no instruction that is known.
    Undecodable,
    /// An instruction that is not performed here, and which.
    Unsupported(&'static str),
    /// No executable memory (SELinux's execmem, a full table), and none of the plain
    /// forms that do without.
    NoCode,
    /// Nothing that the instruction accesses is guarded (any more).
    NotGuarded,
    /// The instruction itself raises a signal, guarded memory or not.
    Native(Fault),
}

/// A signal as the processor and the kernel would raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// SIGSEGV, SIGBUS or SIGFPE.
    pub signal: libc::c_int,
    /// `si_code`.
    pub code: libc::c_int,
    /// `si_addr`.
    pub address: usize,
}

const SEGV_MAPERR: libc::c_int = 1;
const SEGV_ACCERR: libc::c_int = 2;
/// Addresses whose bits from here up differ raise #GP. (With five levels of page
/// tables a program must ask for more.)
const CANONICAL_BITS: u32 = 47;
const SI_KERNEL: libc::c_int = 128;
const FPE_INTDIV: libc::c_int = 1;
/// By the flags of MXCSR, lowest first, the order of the kernel's own choice:
/// invalid, zero divide, overflow, underflow and denormal, precision.
const FPE_CODES: [(u32, libc::c_int); 5] = [(1, 7), (4, 3), (8, 4), (0x12, 5), (0x20, 6)];

impl Fault {
    /// An access to plain memory that is not there or may not be accessed.
    pub(crate) fn segv(address: usize) -> Refused {
        if address as isize >> CANONICAL_BITS != 0 && address as isize >> CANONICAL_BITS != -1 {
            return Fault::protection();
        }
        let code = if plain::is_mapped(address) { SEGV_ACCERR } else { SEGV_MAPERR };
        Refused::Native(Fault { signal: libc::SIGSEGV, code, address })
    }

    /// #GP: bits that may not be loaded, an address that is none.
    pub(crate) fn protection() -> Refused {
        Refused::Native(Fault { signal: libc::SIGSEGV, code: SI_KERNEL, address: 0 })
    }

    /// #SS, which #GP is where the stack is meant.
    pub(crate) fn on_stack(refused: Refused) -> Refused {
        match refused {
            Refused::Native(fault) if fault.code == SI_KERNEL => {
                Refused::Native(Fault { signal: libc::SIGBUS, ..fault })
            }
            other => other,
        }
    }

    /// #DE.
    pub(crate) fn divide(rip: u64) -> Refused {
        Refused::Native(Fault { signal: libc::SIGFPE, code: FPE_INTDIV, address: rip as usize })
    }

    /// #XM with these flags.
    pub(crate) fn float(flags: u32, rip: u64) -> Refused {
        let code = FPE_CODES.iter().find(|(bits, _)| flags & bits != 0).map_or(0, |c| c.1);
        Refused::Native(Fault { signal: libc::SIGFPE, code, address: rip as usize })
    }

    /// Queues the signal to the calling thread, with the `siginfo_t` it has natively.
    ///
    /// With the signal blocked in the handler (`sa_mask`) it arrives when that returns,
    /// at the instruction, which was not performed; not blocked, at once and inside
    /// the handler. One that the program has blocked stays pending, where the kernel
    /// would kill. False if the kernel refuses. Async-signal-safe.
    pub fn raise(&self) -> bool {
        /// The beginning of the kernel's siginfo_t for a fault.
        #[repr(C)]
        struct Info {
            signal: libc::c_int,
            errno: libc::c_int,
            code: libc::c_int,
            address: usize,
            rest: [u64; 13],
        }
        const _: () = assert!(mem::size_of::<Info>() == mem::size_of::<libc::siginfo_t>());
        let info = Info {
            signal: self.signal,
            errno: 0,
            code: self.code,
            address: self.address,
            rest: [0; 13],
        };
        // SAFETY: calls on the own thread, with a siginfo_t of full size.
        unsafe {
            let (process, thread) = (libc::getpid(), libc::syscall(libc::SYS_gettid));
            libc::syscall(
                libc::SYS_rt_tgsigqueueinfo,
                process,
                thread,
                self.signal,
                &raw const info,
            ) == 0
        }
    }
}
