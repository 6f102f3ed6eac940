//! The calls: which arguments are structures or names, how long, and what is done with
//! them.

use core::ffi::{CStr, c_int};

use super::{Failure, Structure, Way, make};
use crate::real::Real;
use crate::stale_calls::memory::get;
use crate::stale_calls::pieces::{PAGE, is_stale};

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
pub struct Part {
    pub argument: usize,
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

impl Part {
    /// What lies there if that is a freed block. Of what is not among the arguments one
    /// byte is assumed.
    pub fn structure(&self, arguments: &[usize]) -> Structure {
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

        /// What the call of this name is given.
        pub fn parts(name: &[u8]) -> &'static [Part] {
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
// The kernel's set is one word.
const SIGNALS: Length = Length::Bytes(size_of::<u64>());
const TWO: Length = Length::Bytes(2 * size_of::<c_int>());

calls! {
    poll, __poll_chk: Negative [both(0, Length::Times(1, size_of::<libc::pollfd>()))];
    // libc itself reads the time.
    ppoll, __ppoll_chk: Negative [
        both(0, Length::Times(1, size_of::<libc::pollfd>())), reads(3, SIGNALS)
    ];
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
    epoll_pwait: Negative [
        Part { argument: 1, length: Length::Times(2, EVENT), way: Way::WritesEach(EVENT) },
        reads(4, SIGNALS)
    ];
    epoll_ctl: Negative [reads(3, Length::Bytes(EVENT))];
    ioctl: Negative [Part { argument: 2, length: Length::Ioctl, way: Way::Unknown }];
    open, open64, __open_2, __open64_2: Negative [reads(0, Length::Name)];
    openat, openat64, __openat_2, __openat64_2: Negative [reads(1, Length::Name)];
    fopen, fopen64: Null [reads(0, Length::Name)];
    access, unlink, mkdir, rmdir, chmod: Negative [reads(0, Length::Name)];
    opendir: Null [reads(0, Length::Name)];
    rename: Negative [reads(0, Length::Name), reads(1, Length::Name)];
    readlink, __readlink_chk: Negative [
        reads(0, Length::Name),
        Part { argument: 1, length: Length::In(2), way: Way::WritesEach(1) }
    ];
    getrusage: Negative [writes(1, Length::Bytes(size_of::<libc::rusage>()))];
    stat, stat64, lstat, lstat64: Negative [reads(0, Length::Name), writes(1, STAT)];
    fstat, fstat64: Negative [writes(1, STAT)];
    connect, bind: Negative [reads(1, Length::In(2))];
    accept, accept4, getsockname, getpeername: Negative [writes(1, Length::At(2)), both(2, INT)];
    setsockopt: Negative [reads(3, Length::In(4))];
    getsockopt: Negative [writes(3, Length::At(4)), both(4, INT)];
    pipe, pipe2: Negative [writes(0, TWO)];
    socketpair: Negative [writes(3, TWO)];
    // Nothing is stored while no child has ended.
    waitpid: Negative [
        Part { argument: 1, length: INT, way: Way::WritesEach(size_of::<c_int>()) }
    ];
    getitimer: Negative [writes(1, Length::Bytes(size_of::<libc::itimerval>()))];
}
