//! Calls that are given structures and paths: timespecs, descriptors to poll, addresses,
//! names of files. The kernel gets the aliases of those that lie in freed blocks. What has
//! none (it lies on two pages, or nobody knows how long it is) is given as it is; the
//! kernel refuses it, which is said once, since a plain program would not have seen that.
//!
//! Contexts: as libc's functions.

mod table;

use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use deadwalk_alloc::trap;

use super::memory::tell;
use super::pieces::{alias, is_stale};
use crate::real::Real;
use crate::sandbox::Arguments;
use crate::say::Line;
use crate::tls::keeping_errno;
use table::{Part, parts};
pub use table::{instead, is_known, prepare};

/// What a call does with a structure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Reads,
    /// If it succeeds.
    Writes,
    /// The same, behind what it reads.
    Both,
    /// If a signal ends it.
    WritesInterrupted,
    /// If it succeeds, as many of this size as it returns.
    WritesEach(usize),
    /// Nobody knows; the kernel says whether it is memory at all.
    Unknown,
}

/// How a call says that it failed.
#[derive(Clone, Copy)]
enum Failure {
    /// By -1.
    Negative,
    /// By NULL.
    Null,
    /// By errno's number, which it returns.
    Number,
}

/// A structure of a call that is being made.
#[derive(Clone, Copy)]
pub struct Structure {
    at: usize,
    len: usize,
    way: Way,
}

impl Structure {
    const NONE: Structure = Structure { at: 0, len: 0, way: Way::Reads };

    /// One that is read.
    pub fn read<T>(at: *const T) -> Structure {
        Structure { at: at as usize, len: size_of::<T>(), way: Way::Reads }
    }

    /// One that is written if the call succeeds.
    pub fn written<T>(at: *mut T) -> Structure {
        Structure { at: at as usize, len: size_of::<T>(), way: Way::Writes }
    }

    fn is_stale(&self) -> bool {
        is_stale(self.at, self.len)
    }

    /// What the kernel is given for it.
    fn given(&self) -> Option<usize> {
        match self.way {
            Way::Unknown => None,
            way => alias(self.at, self.len, way != Way::Reads),
        }
    }

    /// Tells what any call does to it. In front of the call: a signal handler may jump
    /// out of that, or the thread be cancelled in it.
    fn tell_read(&self) {
        if matches!(self.way, Way::Reads | Way::Both) {
            tell(self.at, self.len, false);
        }
    }

    /// Tells what a call that ended like this did to it.
    fn tell_end(&self, end: End) {
        let is_done = end.error == 0;
        let written = match self.way {
            Way::Writes | Way::Both if is_done => self.len,
            Way::WritesInterrupted if end.error == libc::EINTR => self.len,
            Way::WritesEach(bytes) if is_done => end.count * bytes,
            _ => 0,
        };
        tell(self.at, written.min(self.len), true);
        if self.way == Way::Unknown && end.is_refused() {
            tell(self.at, self.len, false);
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy)]
struct End {
    /// errno's number, 0 if it succeeded.
    error: c_int,
    /// What it returned, if it did.
    count: usize,
}

impl End {
    fn of(failure: Failure, result: usize) -> End {
        let number = result as c_int;
        let is_failed = match failure {
            Failure::Negative => number < 0,
            Failure::Null => result == 0,
            Failure::Number => return End { error: number, count: 0 },
        };
        // SAFETY: errno is thread-local and always valid.
        let error = if is_failed { unsafe { *libc::__errno_location() } } else { 0 };
        End { error, count: number.max(0) as usize }
    }

    fn is_refused(self) -> bool {
        self.error == libc::EFAULT
    }
}

/// Whether any structure of the call of this name starts in a freed block.
pub fn is_any_stale(name: &CStr, arguments: &Arguments) -> bool {
    let is_stale = |part: &Part| arguments.0.get(part.argument).is_some_and(|&at| is_stale(at, 1));
    arguments.0.iter().any(|&at| trap::may_be_held(at))
        && parts(name.to_bytes()).iter().any(is_stale)
}

/// Makes a call with what stands for its structures; they may be null.
#[inline]
pub fn with<const N: usize>(
    name: &CStr,
    structures: [Structure; N],
    call: impl FnOnce([usize; N]) -> c_int,
) -> c_int {
    if structures.iter().any(|structure| trap::may_be_held(structure.at)) {
        return serve(name, Failure::Negative, structures, |at| call(at) as usize) as c_int;
    }
    call(structures.map(|structure| structure.at))
}

#[cold]
fn serve<const N: usize>(
    name: &CStr,
    failure: Failure,
    structures: [Structure; N],
    call: impl FnOnce([usize; N]) -> usize,
) -> usize {
    let given = structures.map(|structure| match structure.is_stale() {
        true => structure.given(),
        false => Some(structure.at),
    });
    let mut addresses = [0; N];
    for ((address, given), structure) in addresses.iter_mut().zip(given).zip(structures) {
        *address = given.unwrap_or(structure.at);
    }
    keeping_errno(|| structures.iter().for_each(Structure::tell_read));
    let result = call(addresses);
    keeping_errno(|| {
        let end = End::of(failure, result);
        structures.iter().for_each(|structure| structure.tell_end(end));
        if end.is_refused() && given.contains(&None) {
            say(name);
        }
    });
    result
}

/// Says that a call was refused what it had been given without us.
fn say(name: &CStr) {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    if !IS_SAID.swap(true, Relaxed) {
        Line::new()
            .text(name.to_str().unwrap_or_default())
            .text(" was given freed memory, which is guarded, and failed with EFAULT ")
            .text("(see the report; guard=off lets it through)")
            .say();
    }
}

/// The most pointers that a call is given.
const MOST: usize = 4;

/// Makes a call of libc's.
fn make(
    name: &CStr,
    real: &Real,
    failure: Failure,
    parts: &[Part],
    arguments: [usize; 6],
) -> usize {
    let mut structures = [Structure::NONE; MOST];
    for (structure, part) in structures.iter_mut().zip(parts) {
        *structure = part.structure(&arguments);
    }
    serve(name, failure, structures, |addresses| {
        let mut given = arguments;
        for (address, part) in addresses.into_iter().zip(parts) {
            given[part.argument] = address;
        }
        let [a, b, c, d, e, f] = given;
        type Call =
            unsafe extern "C-unwind" fn(usize, usize, usize, usize, usize, usize) -> *mut c_void;
        // SAFETY: libc's function takes no more than these, all in registers; they are what
        // the program gave it, or aliases of that.
        unsafe { core::mem::transmute::<usize, Call>(real.addr())(a, b, c, d, e, f) as usize }
    })
}
