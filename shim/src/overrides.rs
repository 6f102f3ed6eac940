//! Who else defines C++'s allocation operators.
//!
//! C++ lets a program replace any of them, and the ones it did not replace call
//! the ones it did: the standard library's `operator new[]` calls the program's
//! `operator new`. Ours stand for the standard library's only where these would
//! have run, and would have ended in malloc and free.
//!
//! ```text
//!  objects in the order of loading: program, us, its libraries | loaded later
//!                                   \___ the global scope ___/
//!  defined in front of us ............... never reaches ours
//!  all that ours would call is .......... Ours: behind us is the standard library
//!  defined behind us by another library . Next: jump on to that
//!  one that ours calls is replaced ...... Next: jump on, it comes back to theirs
//!  defined by nobody behind us .......... by the caller's object (a C program
//!                                         that loads C++ libraries privately)
//! ```
//!
//! Contexts: as `operator new`; no allocation, and no lock but the loader's short
//! one. What is found is the same whoever looks first.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::elf::{self, Object};
use crate::modules;
use crate::operators::{OPERATORS, Operator};

/// Where a call of an operator goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Served here.
    Ours,
    /// To the function at this address.
    Next(usize),
    /// Ours or the caller's: ask [`of_caller`].
    ByCaller,
}

/// Call sites found to be served here, by a part of their address: so asking for
/// a known one costs a load. A site stays what it is until its object is
/// unloaded; another one there with operators of its own is not noticed.
static KNOWN: [AtomicUsize; 1 << KNOWN_BITS] = [const { AtomicUsize::new(0) }; 1 << KNOWN_BITS];
const KNOWN_BITS: u32 = 10;

/// The libraries that define the operators by the standard.
fn is_standard(object: &Object) -> bool {
    let name = object.name();
    name.starts_with(b"libstdc++.so") || name.starts_with(b"libc++")
}

/// Whether the object's operators are to end in malloc and free: the standard
/// library's, and those of a library whose malloc ours stands for.
fn is_replaced_by_ours(object: &Object) -> bool {
    is_standard(object) || object.symbol(c"malloc") != 0
}

/// What is known of an operator from the global scope.
#[derive(Clone, Copy, Default)]
struct Found {
    /// Somebody's own definition comes before the standard one.
    is_replaced: bool,
    /// The first definition behind us; 0 if there is none.
    next: usize,
    /// It is one that ours stands for.
    next_is_standard: bool,
}

/// Finds the way of every operator. Called before the program's `main`, so that
/// what is loaded is the global scope.
pub fn ways(store: impl Fn(&Operator, Way)) {
    let mut found = [Found::default(); OPERATORS.len()];
    let mut is_behind = false;
    elf::each(&mut |object, is_own| {
        is_behind |= is_own;
        if is_own {
            return true;
        }
        for (operator, found) in OPERATORS.iter().zip(&mut found) {
            let addr = if found.next == 0 { object.symbol(operator.name) } else { 0 };
            if addr != 0 && !is_behind {
                found.is_replaced = true;
            } else if addr != 0 {
                found.next = addr;
                found.next_is_standard = is_replaced_by_ours(object);
                found.is_replaced |= !found.next_is_standard;
            }
        }
        true
    });
    for (operator, own) in OPERATORS.iter().zip(&found) {
        let calls_theirs = operator.calls.iter().any(|&called| found[called].is_replaced);
        let way = match *own {
            Found { next: 0, .. } => Way::ByCaller,
            Found { next, next_is_standard, .. } if calls_theirs || !next_is_standard => {
                Way::Next(next)
            }
            _ => Way::Ours,
        };
        store(operator, way);
    }
}

/// The way of a call from `site`, of an operator that nobody defined when the
/// program started.
pub fn of_caller(operator: &Operator, site: usize) -> Way {
    // Sites differ in their low bits, objects in the higher ones.
    let known = &KNOWN[(site ^ site >> KNOWN_BITS) & (KNOWN.len() - 1)];
    if known.load(Relaxed) == site {
        return Way::Ours;
    }
    match own_of_caller(operator, site) {
        0 => {
            known.store(site, Relaxed);
            Way::Ours
        }
        addr => Way::Next(addr),
    }
}

/// The definition that a call from `site` would have found in the scope of its
/// object, if it is not the standard one: its own, or (for a library that was
/// loaded for another) that of who needs it. 0 if there is none.
fn own_of_caller(operator: &Operator, site: usize) -> usize {
    let Some(caller) = modules::object_of(site) else { return 0 };
    if is_standard(&caller) || caller.symbol(operator.name) == 0 {
        return needing(operator, &caller);
    }
    // An operator that calls a replaced one goes there by itself.
    caller.symbol(operator.name)
}

fn needing(operator: &Operator, caller: &Object) -> usize {
    let mut addr = 0;
    elf::each(&mut |object, is_own| {
        if !is_own && !is_replaced_by_ours(object) && object.needs(caller.name()) {
            addr = object.symbol(operator.name);
        }
        addr == 0
    });
    addr
}

/// The standard library's definition, wherever it was loaded; 0 if it was not.
pub fn standard(operator: &Operator) -> usize {
    let mut addr = 0;
    elf::each(&mut |object, _| {
        if is_standard(object) {
            addr = object.symbol(operator.name);
        }
        addr == 0
    });
    addr
}

/// Whether any object has operators of its own. Its blocks may come from malloc
/// and go to ours, or the other way round, and both be right.
pub fn are_mixed() -> bool {
    let mut mixed = false;
    elf::each(&mut |object, is_own| {
        if !is_own && !is_replaced_by_ours(object) {
            mixed = OPERATORS.iter().any(|operator| object.symbol(operator.name) != 0);
        }
        !mixed
    });
    mixed
}
