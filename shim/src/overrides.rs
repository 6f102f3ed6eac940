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
    is_standard_name(object.name())
}

fn is_standard_name(name: &[u8]) -> bool {
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

/// Where a call from `site` would have gone, if not to what ours stands for; 0
/// if it would have.
fn own_of_caller(operator: &Operator, site: usize) -> usize {
    let caller = if modules::is_own(site) {
        // We called the standard library's, and that ended in a jump.
        standard_library()
    } else {
        modules::object_of(site)
    };
    let Some(caller) = caller else { return 0 };
    if !is_standard(&caller) && !caller.needs(is_standard_name) && operator.is_new() {
        // No C++: it called a function that ended in a jump to the operator, of
        // somebody with operators of his own if there is such a one.
        return anybodys(operator);
    }
    or_through(operator, |operator| in_scope(operator, &caller))
}

/// The first definition that ours does not stand for; 0 if there is none.
pub fn anybodys(operator: &Operator) -> usize {
    or_through(operator, |operator| {
        let mut addr = 0;
        elf::each(&mut |object, is_own| {
            if !is_own {
                addr = own_symbol(operator, object);
            }
            addr == 0
        });
        addr
    })
}

/// Somebody's own definition of an operator; if he has none, but one of those it
/// calls, the standard one, which goes there.
fn or_through(operator: &Operator, own: impl Fn(&Operator) -> usize) -> usize {
    let addr = own(operator);
    if addr == 0 && operator.calls.iter().any(|&called| own(&OPERATORS[called]) != 0) {
        return standard(operator);
    }
    addr
}

/// The definition that an object's calls find in the scope it was loaded in, if
/// ours does not stand for it: its own, or that of who brought it, which is the
/// first that needs it. 0 if there is none.
fn in_scope(operator: &Operator, caller: &Object) -> usize {
    let own = own_symbol(operator, caller);
    if own != 0 {
        return own;
    }
    let mut addr = 0;
    elf::each(&mut |object, is_own| {
        let is_needing = !is_own && object.needs(|name| name == caller.name());
        if is_needing {
            addr = own_symbol(operator, object);
        }
        !is_needing
    });
    addr
}

fn own_symbol(operator: &Operator, object: &Object) -> usize {
    if is_replaced_by_ours(object) { 0 } else { object.symbol(operator.name) }
}

/// The standard library's definition; 0 if it was not loaded.
pub fn standard(operator: &Operator) -> usize {
    standard_library().map_or(0, |library| library.symbol(operator.name))
}

/// The standard library, wherever it was loaded: the one that has the operators.
fn standard_library() -> Option<Object> {
    let mut library = None;
    elf::each(&mut |object, _| {
        if is_standard(object) && object.symbol(OPERATORS[0].name) != 0 {
            library = Some(*object);
        }
        library.is_none()
    });
    library
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
