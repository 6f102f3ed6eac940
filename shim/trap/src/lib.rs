//! Performs an instruction that faulted on guarded memory on an alias of it.
//!
//! A page of freed memory is guarded, the program touches it, SIGSEGV comes. From
//! the signal's context [`resume`] performs the whole instruction, with its operand
//! at another address where the same bytes can be accessed, and advances the
//! context: the program goes on behind the instruction when the handler returns. The
//! guard is never opened, so no other thread's access is missed.
//!
//! | file | is |
//! |---|---|
//! | `shape` | which byte of an instruction is what: pure |
//! | `insn`, `forms`, `unknown` | decoding, and what is done to the memory operand |
//! | `operand`, `masks` | where the operand lies, which bytes of it are accessed |
//! | `context`, `vectors` | the program's registers in the signal frame |
//! | `memory`, `plain` | guarded and plain bytes, without a fault of our own |
//! | `general` | the common way: run a moved copy of the instruction |
//! | `relocate`, `stubs`, `pages`, `run` | encode the copy, keep it, have memory for it, run it |
//! | `emulate`, `alu` | plain forms, where no executable memory is to be had |
//! | `strings`, `stack`, `gather`, `rare` | what has more operands than one |
//! | `divide`, `floats`, `saved`, `fault` | what raises a signal natively must do so here |
//! | `access` | what was accessed, for the log |
//! | `target` | where an instruction meant to go that is not performed |
//!
//! # Ground rules
//!
//! All of this runs inside a signal handler, on any thread, at any time: no
//! allocation, no lock, no lazy table but what is published by one compare-and-swap.
//! State is on the stack (under 3 KiB; 6 KiB where a program has SSE exceptions
//! unmasked), so a handler may be interrupted by itself. A fault inside would kill
//! the process: whatever could raise one is looked at first. errno is kept.
//!
//! # What is refused, and what differs
//!
//! * Refused: far branches, loads of segment registers, system instructions, tile
//!   registers (AMX), nested `enter`, near branches with a 66 prefix (processors
//!   disagree), `xrstor` of a compacted state, half precision beyond arithmetic, and
//!   what the decoder does not know (APX, XOP).
//! * An operand that is partly guarded and partly plain is not accessed atomically.
//! * A shuffle reads all lanes natively; here those that its mask does not name may lie
//!   in memory that is not there.
//! * `xsave` and `xrstor` leave protection keys and tiles alone.
//! * An exact underflow that the program wants as SIGFPE passes unnoticed.
//! * `call` and `ret` do not maintain a shadow stack (user shadow stacks are off
//!   unless a program asks for them).
//! * Plain memory beside guarded memory must stay mapped during the access.
//!
//! Only x86-64 Linux.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod access;
mod alu;
mod context;
mod divide;
mod emulate;
mod fault;
mod floats;
mod forms;
mod gather;
mod general;
mod insn;
mod masks;
mod memory;
mod operand;
mod pages;
mod plain;
mod rare;
mod relocate;
mod run;
mod saved;
mod shape;
mod stack;
mod strings;
mod stubs;
mod target;
mod unknown;
mod vectors;

pub use access::{Access, AccessKind, Accesses};
pub use fault::{Fault, Refused};
pub use target::{Target, target};

use context::Machine;
use insn::Insn;
use libc::ucontext_t;
use memory::Memory;
use std::ptr::NonNull;

/// Knows guarded memory, and where its bytes can be accessed.
///
/// Called in a signal handler, several times per instruction: no lock, no allocation.
pub trait Alias {
    /// Where `len` bytes at `address` can be accessed instead.
    ///
    /// `None` if any of them is not guarded (then memory is used as it is) or the
    /// alias is not in one piece (then it is asked page by page). A page of 4 KiB is
    /// guarded as a whole or not at all. What is returned stays valid for ever, for
    /// writing if `write` is set, and should be congruent to `address` modulo 64:
    /// what is atomic in the program is atomic on the alias only then.
    fn at(&self, address: usize, len: usize, write: bool) -> Option<NonNull<u8>>;
}

/// Performs the instruction that `context` stands at, and advances `context`.
///
/// `fault` is the address that faulted (`si_addr`). `accesses` is cleared, and holds
/// afterwards what was done to guarded memory. An interrupted `rep` instruction may
/// leave the instruction pointer where it was: it goes on natively, or comes again.
///
/// Cost: under 0.3 us for a load, beside the signal.
///
/// # Errors
///
/// [`Refused`] says why nothing was done; `context` is as before. For
/// [`Refused::Native`] the program is to get that signal, see [`Fault::raise`]; its
/// SSE status flags are then already set as the processor sets them.
///
/// # Safety
///
/// * `context` is the third argument of a SIGSEGV handler that is running on this
///   thread, installed with SA_SIGINFO, and nothing in it was changed.
/// * What `alias` returns is valid as it says.
pub unsafe fn resume(
    context: *mut ucontext_t,
    fault: usize,
    alias: &dyn Alias,
    accesses: &mut Accesses,
) -> Result<(), Refused> {
    accesses.clear();
    // SAFETY: as promised by the caller.
    if unsafe { context::was_fetch(context) } {
        accesses.add(fault, 1, AccessKind::Execute);
        return Err(Refused::Fetch);
    }
    if alias.at(fault, 1, false).is_none() {
        return Err(Refused::NotGuarded);
    }
    // SAFETY: as promised by the caller.
    let mut machine = unsafe { Machine::new(context, Memory::new(alias, accesses)) };
    // SAFETY: the processor fetched what it then faulted on.
    let result = unsafe { Insn::fetch(machine.rip) }.and_then(|insn| perform(&mut machine, &insn));
    match result {
        // SAFETY: as promised by the caller.
        Ok(()) => unsafe { machine.commit(context) },
        Err(_) => accesses.clear(),
    }
    result
}

fn perform(machine: &mut Machine, insn: &Insn) -> Result<(), Refused> {
    let shape = &insn.shape;
    if strings::is_string(shape) {
        strings::perform(machine, insn)
    } else if stack::is_stack(shape) {
        stack::perform(machine, insn)
    } else if gather::is_gather(shape) {
        gather::perform(machine, insn)
    } else if let Some(rare) = rare::classify(shape) {
        rare::perform(machine, insn, rare)
    } else {
        refuse_privileged(shape)?;
        general::perform(machine, insn)
    }
}

/// What only the kernel may do, changes segments, or has state that is not kept.
fn refuse_privileged(shape: &shape::Shape) -> Result<(), Refused> {
    let refused = match (shape.is_vex(), shape.map, shape.opcode) {
        (false, 0, 0x8e) => "segment register",
        (false, 1, 0xb2 | 0xb4 | 0xb5) => "far pointer",
        (false, 1, 0x00) if !matches!(shape.modrm.map(|m| m.digit()), Some(4 | 5)) => {
            "system instruction"
        }
        (false, 1, 0x01) => "system instruction",
        (false, 1, 0x78 | 0x79) => "virtual machine instruction",
        (false, 2, 0x80..=0x82 | 0xf8) => "system instruction",
        (false, 2, 0xf5) => "shadow stack",
        (false, 2, 0xf6) if shape.repeat == 0 && !shape.data16 => "shadow stack",
        (true, 2, 0x49 | 0x4b) => "tile registers",
        _ => return Ok(()),
    };
    Err(Refused::Unsupported(refused))
}

/// Has memory for code made now, instead of at the first fault; false if there is none.
pub fn prepare() -> bool {
    pages::Pages::get().is_some()
}

/// Forbids (or allows again) to make code: plain loads, stores and arithmetic are
/// emulated then, all else is refused with [`Refused::NoCode`].
pub fn allow_code(yes: bool) {
    stubs::allow(yes);
}

/// Gives the memory for code back, and all that was made in it: for tests that run
/// more instructions than there is room for.
///
/// # Safety
///
/// * No other thread is in [`resume`], nor will be before this returns.
#[doc(hidden)]
pub unsafe fn discard_code() {
    // SAFETY: as promised by the caller.
    unsafe { pages::Pages::discard() }
}

/// The length of the first instruction of `bytes`, and of its moved copy: for fuzzing.
#[doc(hidden)]
pub fn relocated_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let insn = Insn::decode(bytes).ok()?;
    let moved = relocate::relocate(&insn)?;
    Some((insn.len, moved.len))
}
