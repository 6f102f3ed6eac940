//! Calls that are given structures and paths: timespecs, descriptors to poll, addresses,
//! names of files. The kernel gets the aliases of those that lie in freed blocks. What has
//! none (it lies on two pages, or nobody knows how long it is) is given as it is; the
//! kernel refuses it, which is said once, since a plain program would not have seen that.
//!
//! Contexts: as libc's functions.

use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use deadwalk_alloc::trap;

use super::memory::{get, tell};
use super::pieces::{PAGE, alias, is_stale};
use crate::real::Real;
use crate::sandbox::Arguments;
use crate::say::Line;
use crate::tls::keeping_errno;

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

/// How long a structure is.
#[derive(Clone, Copy)]
enum Length {
    Bytes(usize),
    /// So many of this size as that argument says.
    Times(usize, usize),
    /// As that argument says.
    In(usize),
    /// As the `socklen_t` says that this argument points to.
    At(usize),
    /// A bit for each of as many descriptors as that argument says, in whole words.
    Bits(usize),
    /// A name that ends with NUL.
    Name,
    /// By the request that an ioctl is.
    Ioctl,
}

/// A pointer among a call's arguments.
#[derive(Clone, Copy)]
struct Part {
    argument: usize,
    length: Length,
    way: Way,
}

const fn reads(argument: usize, length: Length) -> Part {
    Part { argument, length, way: Way::Reads }
}

const fn writes(argument: usize, length: Length) -> Part {
    Part { argument, length, way: Way::Writes }
}

const fn both(argument: usize, length: Length) -> Part {
    Part { argument, length, way: Way::Both }
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

    /// Tells what a call that ended like this did to it.
    fn tell(&self, end: End) {
        let is_done = end.error == 0;
        if matches!(self.way, Way::Reads | Way::Both)
            || self.way == Way::Unknown && end.is_refused()
        {
            tell(self.at, self.len, false);
        }
        let written = match self.way {
            Way::Writes | Way::Both if is_done => self.len,
            Way::WritesInterrupted if end.error == libc::EINTR => self.len,
            Way::WritesEach(bytes) if is_done => end.count * bytes,
            _ => 0,
        };
        tell(self.at, written.min(self.len), true);
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

impl Part {
    /// What lies there if that is a freed block. Of what is not among the arguments one
    /// byte is assumed.
    fn structure(&self, arguments: &[usize]) -> Structure {
        let (at, mut way) = (arguments[self.argument], self.way);
        let number = |argument: usize| arguments.get(argument).map_or(1, |&n| n as u32 as usize);
        let len = match self.length {
            _ if !is_stale(at, 1) => 0,
            Length::Bytes(len) => len,
            Length::Times(argument, bytes) => number(argument) * bytes,
            Length::In(argument) => number(argument),
            Length::At(argument) => {
                let len = arguments.get(argument).map_or(Some(1), |&at| get::<u32>(at));
                len.unwrap_or(0) as usize
            }
            Length::Bits(argument) => number(argument).div_ceil(64) * 8,
            Length::Name => name_len(at),
            Length::Ioctl => {
                let (len, of_request) = ioctl(number(1) as u32);
                way = of_request;
                len
            }
        };
        Structure { at, len, way }
    }
}

/// Of a name that may have no end; at most as far as its page.
fn name_len(at: usize) -> usize {
    let room = PAGE - at % PAGE;
    let ends = |&len: &usize| get::<u8>(at + len - 1).is_none_or(|byte| byte == 0);
    (1..=room).find(ends).unwrap_or(room)
}

/// How long the argument of an ioctl is, and what is done with it: as its number says,
/// or, of those of terminals, as has been agreed.
fn ioctl(request: u32) -> (usize, Way) {
    let (len, direction) = ((request >> 16 & 0x3fff) as usize, request >> 30);
    match (direction, request) {
        (1, _) => (len, Way::Reads),
        (2, _) => (len, Way::Writes),
        (3, _) => (len, Way::Both),
        // TCGETS, TCGETA: `struct termios` as the kernel has it, `struct termio`.
        (_, 0x5401) => (36, Way::Writes),
        (_, 0x5402..=0x5404) => (36, Way::Reads),
        (_, 0x5405) => (18, Way::Writes),
        (_, 0x5406..=0x5408) => (18, Way::Reads),
        // TIOCGWINSZ and TIOCSWINSZ.
        (_, 0x5413) => (8, Way::Writes),
        (_, 0x5414) => (8, Way::Reads),
        // TIOCGPGRP, TIOCOUTQ, TIOCMGET, FIONREAD, TIOCGETD, TIOCGSID: an int.
        (_, 0x540f | 0x5411 | 0x5415 | 0x541b | 0x5424 | 0x5429) => (4, Way::Writes),
        // TIOCSPGRP, TIOCMBIS, TIOCMBIC, TIOCMSET, FIONBIO, TIOCSETD, FIOASYNC.
        (_, 0x5410 | 0x5416..=0x5418 | 0x5421 | 0x5423 | 0x5452) => (4, Way::Reads),
        _ => (1, Way::Unknown),
    }
}

/// Whether any structure of the call of this name starts in a freed block. The first four
/// arguments are looked at.
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
    let result = call(addresses);
    keeping_errno(|| {
        let end = End::of(failure, result);
        for structure in structures {
            structure.tell(end);
        }
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
            .text(
                " was given freed memory, which is guarded, and failed with EFAULT (see the \
                   report; guard=off lets it through)",
            )
            .say();
    }
}

/// The most pointers that a call is given.
const MOST: usize = 4;

/// Makes a call of libc's, which failed to be found if `addr` is 0.
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

const fn is_same(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

macro_rules! calls {
    ($($($name:ident),+: $failure:ident $parts:expr;)+) => {
        $($(
            mod $name {
                use super::*;

                pub(super) static NAME: &CStr =
                    match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a name has no NUL"),
                    };
                pub(super) static REAL: Real = Real::new(NAME);
                pub(super) static PARTS: &[Part] = &$parts;

                pub(super) extern "C-unwind" fn call(
                    a: usize, b: usize, c: usize, d: usize, e: usize, f: usize,
                ) -> usize {
                    make(NAME, &REAL, Failure::$failure, PARTS, [a, b, c, d, e, f])
                }
            }
        )+)+

        /// Looks libc's functions up, in the constructor.
        pub fn prepare() {
            $($( $name::REAL.addr(); )+)+
        }

        /// Whether the call of this name is one of these.
        pub const fn is_known(name: &[u8]) -> bool {
            $($( is_same(name, stringify!($name).as_bytes()) || )+)+ false
        }

        fn parts(name: &[u8]) -> &'static [Part] {
            $($( if name == stringify!($name).as_bytes() { return $name::PARTS; } )+)+
            &[]
        }

        /// The function of ours that makes the call of this name.
        pub fn instead(name: &[u8]) -> Option<usize> {
            $($(
                if name == stringify!($name).as_bytes() && $name::REAL.addr() != 0 {
                    return Some($name::call as *const () as usize);
                }
            )+)+
            None
        }
    };
}

const TIME: Length = Length::Bytes(size_of::<libc::timespec>());
const STAT: Length = Length::Bytes(size_of::<libc::stat>());
const EVENT: usize = size_of::<libc::epoll_event>();
const INT: Length = Length::Bytes(size_of::<c_int>());
const TWO: Length = Length::Bytes(2 * size_of::<c_int>());

calls! {
    poll: Negative [both(0, Length::Times(1, size_of::<libc::pollfd>()))];
    // libc itself reads and writes the time.
    select: Negative [
        both(1, Length::Bits(0)),
        both(2, Length::Bits(0)),
        both(3, Length::Bits(0))
    ];
    nanosleep: Negative [
        reads(0, TIME), Part { argument: 1, length: TIME, way: Way::WritesInterrupted }
    ];
    clock_nanosleep: Number [
        reads(2, TIME), Part { argument: 3, length: TIME, way: Way::WritesInterrupted }
    ];
    epoll_wait: Negative [
        Part { argument: 1, length: Length::Times(2, EVENT), way: Way::WritesEach(EVENT) }
    ];
    epoll_ctl: Negative [reads(3, Length::Bytes(EVENT))];
    ioctl: Negative [Part { argument: 2, length: Length::Ioctl, way: Way::Unknown }];
    open, open64: Negative [reads(0, Length::Name)];
    openat, openat64: Negative [reads(1, Length::Name)];
    fopen, fopen64: Null [reads(0, Length::Name)];
    access, unlink: Negative [reads(0, Length::Name)];
    stat, stat64, lstat, lstat64: Negative [reads(0, Length::Name), writes(1, STAT)];
    fstat, fstat64: Negative [writes(1, STAT)];
    connect, bind: Negative [reads(1, Length::In(2))];
    accept, accept4, getsockname, getpeername: Negative [writes(1, Length::At(2)), both(2, INT)];
    setsockopt: Negative [reads(3, Length::In(4))];
    getsockopt: Negative [writes(3, Length::At(4)), both(4, INT)];
    pipe, pipe2: Negative [writes(0, TWO)];
    socketpair: Negative [writes(3, TWO)];
    waitpid: Negative [writes(1, INT)];
    getitimer: Negative [writes(1, Length::Bytes(size_of::<libc::itimerval>()))];
}
