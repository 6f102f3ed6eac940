//! Descriptors that are timers (timerfd) or receive signals (signalfd): which number is
//! what. Reads of them use expiries up; a timerfd ends with its last descriptor.
//!
//! # Ground rules
//!
//! * A table by number, so that `read` and `close` of anything else cost one load
//!   (`jump.rs`). A closed timer's number is remembered until it is somebody's again:
//!   a call on it is on a timer that is gone.
//! * A number is given up before the kernel is asked to close it, for another thread
//!   may get it at once.
//! * A vfork child has descriptors of its own and its parent's memory: what it does is
//!   not noted. A fork child goes on with its parent's timers, as its own.
//!
//! Contexts: as libc's functions, also in a signal handler: atomics only.

use core::arch::{global_asm, naked_asm};
use core::ffi::{c_int, c_uint, c_void};
use core::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use deadwalk_detector::deletes::Deletion;
use deadwalk_detector::{DETECTOR, Op, TimerRef};

use crate::jump::Role;
use crate::real::Real;
use crate::sandbox::Arguments;
use crate::tls::keeping_errno;
use crate::{exit, posix_timer, signal};

/// Numbers that are known; as `jump.rs` compares. Those beyond are not watched.
const NUMBERS: usize = 1 << 16;

global_asm!(
    ".section .bss.deadwalk_shim_descriptors,\"aw\",@nobits",
    ".balign 64",
    ".hidden deadwalk_shim_descriptors",
    ".globl deadwalk_shim_descriptors",
    ".type deadwalk_shim_descriptors,@object",
    "deadwalk_shim_descriptors: .zero 524288",
    ".size deadwalk_shim_descriptors, 524288",
    ".text",
);

unsafe extern "C" {
    #[link_name = "deadwalk_shim_descriptors"]
    static CELLS: [AtomicU64; NUMBERS];
}

/// In a cell: the timer's last descriptor was closed. An index is smaller.
const CLOSED: u64 = 1 << 31;
/// A cell of a signalfd. No timer has generation 0.
const SIGNALS: u64 = 1 << 30;

/// Some timer has two descriptors, or had.
static IS_SHARED: AtomicBool = AtomicBool::new(false);
/// Above every number that ever was noted.
static END: AtomicUsize = AtomicUsize::new(0);

static READ: Real = Real::new(c"read");
static CLOSE: Real = Real::new(c"close");
static DUP: Real = Real::new(c"dup");
static DUP2: Real = Real::new(c"dup2");
static DUP3: Real = Real::new(c"dup3");
static FCNTL: Real = Real::new(c"fcntl");
static FCNTL64: Real = Real::new(c"fcntl64");
static CLOSE_RANGE: Real = Real::new(c"close_range");
static CLOSEFROM: Real = Real::new(c"closefrom");

/// Looks libc's functions up, in the constructor.
pub fn prepare() {
    for real in [&READ, &CLOSE, &DUP, &DUP2, &DUP3, &FCNTL, &FCNTL64, &CLOSE_RANGE, &CLOSEFROM] {
        real.addr();
    }
}

/// In a fork child, whose detector knows no timer: it has its parent's descriptors.
pub fn reset_after_fork() {
    let end = END.load(Relaxed) as c_int;
    for number in 0..end {
        let Descriptor::Timer(parents) = at(number) else { continue };
        let own = DETECTOR.inherit_timerfd(number as u64);
        let what = own.map_or(Descriptor::Other, Descriptor::Timer);
        for same in (number..end).filter(|&same| at(same) == Descriptor::Timer(parents)) {
            opened(same, what);
        }
    }
}

/// What a number is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// Nothing of interest.
    Other,
    /// A timer.
    Timer(TimerRef),
    /// It was this timer, which is gone.
    Closed(TimerRef),
    /// Timers' signals are read from it.
    Signals,
}

impl Descriptor {
    const fn pack(self) -> u64 {
        match self {
            Descriptor::Other => 0,
            Descriptor::Timer(timer) => timer.pack(),
            Descriptor::Closed(timer) => timer.pack() | CLOSED,
            Descriptor::Signals => SIGNALS,
        }
    }

    const fn unpack(word: u64) -> Descriptor {
        match word {
            0 => Descriptor::Other,
            SIGNALS => Descriptor::Signals,
            word if word & CLOSED != 0 => Descriptor::Closed(TimerRef::unpack(word & !CLOSED)),
            word => Descriptor::Timer(TimerRef::unpack(word)),
        }
    }
}

fn cell(number: c_int) -> Option<&'static AtomicU64> {
    // SAFETY: zeroed memory of ours, of this size.
    unsafe { CELLS.get(usize::try_from(number).ok()?) }
}

/// What `number` is.
pub fn at(number: c_int) -> Descriptor {
    cell(number).map_or(Descriptor::Other, |cell| Descriptor::unpack(cell.load(Acquire)))
}

/// `number` was opened as this.
pub fn opened(number: c_int, what: Descriptor) {
    if let Some(cell) = cell(number) {
        END.fetch_max(number as usize + 1, Relaxed);
        cell.store(what.pack(), Release);
    }
}

/// `number` is not what it was.
pub fn forget(number: c_int) {
    if let Some(cell) = cell(number) {
        cell.store(0, Release);
    }
}

/// The slow path of a call on a number that is noted: what to call instead of libc's.
pub fn instead(arguments: &Arguments, role: Role) -> Option<usize> {
    let number = arguments.0[0] as c_int;
    match (role, at(number)) {
        (Role::Read | Role::Close, Descriptor::Closed(_)) => {
            // It is somebody's again, or the kernel says that it is not.
            forget(number);
            None
        }
        (Role::Read, Descriptor::Timer(_) | Descriptor::Signals) => {
            Some(read as *const () as usize)
        }
        (Role::Close, Descriptor::Timer(_) | Descriptor::Signals) if !exit::is_other_process() => {
            Some(close as *const () as usize)
        }
        _ => None,
    }
}

/// `read` of a timer or of signals.
unsafe extern "C-unwind" fn read(number: c_int, buffer: *mut c_void, size: usize) -> isize {
    type Read = unsafe extern "C-unwind" fn(c_int, *mut c_void, usize) -> isize;
    let what = at(number);
    // SAFETY: libc's function of this name has this type; the caller's promise.
    let got = unsafe {
        let real = core::mem::transmute::<usize, Read>(READ.addr());
        real(number, buffer, size)
    };
    if let Ok(got) = usize::try_from(got) {
        // SAFETY: so much was read.
        let bytes = unsafe { core::slice::from_raw_parts(buffer.cast::<u8>(), got) };
        keeping_errno(|| was_read(what, bytes));
    }
    got
}

fn was_read(what: Descriptor, bytes: &[u8]) {
    match what {
        Descriptor::Timer(timer) => {
            if let Ok(expiries) = bytes.try_into() {
                DETECTOR.consumed(timer, u64::from_ne_bytes(expiries));
            }
        }
        Descriptor::Signals => {
            const RECORD: usize = size_of::<libc::signalfd_siginfo>();
            for record in bytes.chunks_exact(RECORD) {
                // SAFETY: a whole record, of plain numbers.
                let record: libc::signalfd_siginfo =
                    unsafe { record.as_ptr().cast::<libc::signalfd_siginfo>().read_unaligned() };
                signal::consumed_from(record.ssi_signo as c_int, record.ssi_code, record.ssi_tid);
            }
        }
        _ => {}
    }
}

/// `close` of a timer or of signals: with the caller's address behind its argument.
#[unsafe(naked)]
unsafe extern "C" fn close() {
    naked_asm!("mov rsi, qword ptr [rsp]", "jmp {target}", target = sym close_noted)
}

unsafe extern "C-unwind" fn close_noted(number: c_int, site: usize) -> c_int {
    type Close = unsafe extern "C-unwind" fn(c_int) -> c_int;
    let ending = keeping_errno(|| Ending::of(number, site));
    // SAFETY: libc's function of this name has this type.
    let result = unsafe { core::mem::transmute::<usize, Close>(CLOSE.addr())(number) };
    // Whatever it says, but that there was none, the number is free.
    ending.finish();
    result
}

/// A number is about to be free.
struct Ending {
    deletion: Option<Deletion>,
    /// Its cell, what that says now and what it said.
    noted: Option<(&'static AtomicU64, u64, u64)>,
}

impl Ending {
    const NOTHING: Ending = Ending { deletion: None, noted: None };

    fn of(number: c_int, site: usize) -> Ending {
        let Some(cell) = cell(number) else { return Ending::NOTHING };
        let before = cell.load(Acquire);
        let Descriptor::Timer(timer) = Descriptor::unpack(before) else {
            cell.store(0, Release);
            return Ending { deletion: None, noted: Some((cell, 0, before)) };
        };
        let closed = Descriptor::Closed(timer).pack();
        if cell.compare_exchange(before, closed, AcqRel, Relaxed).is_err() {
            return Ending::NOTHING;
        }
        if has_other(timer) {
            cell.store(0, Release);
            return Ending { deletion: None, noted: Some((cell, 0, before)) };
        }
        let deletion = DETECTOR.begin_delete(timer, Op::Close, site);
        Ending { deletion, noted: Some((cell, closed, before)) }
    }

    /// It is free.
    fn finish(self) {
        if let Some(deletion) = self.deletion {
            posix_timer::finish(deletion);
        }
    }

    /// The call failed, and the number is what it was.
    fn undo(self) {
        if let Some((cell, now, before)) = self.noted {
            // Else somebody has opened or closed it meanwhile.
            _ = cell.compare_exchange(now, before, AcqRel, Relaxed);
        }
    }
}

/// Has a timer another descriptor?
fn has_other(timer: TimerRef) -> bool {
    let is_it = |number| at(number) == Descriptor::Timer(timer);
    IS_SHARED.load(Relaxed) && (0..END.load(Relaxed) as c_int).any(is_it)
}

/// `new` has become another descriptor of what `old` is.
fn duplicated(old: c_int, new: c_int) {
    if new < 0 || new == old {
        return;
    }
    let what = match at(old) {
        Descriptor::Closed(_) => Descriptor::Other,
        what => what,
    };
    if what != at(new) {
        IS_SHARED.store(true, Relaxed);
        opened(new, what);
    }
}

/// Is something noted of either, and by this process?
fn matters(old: c_int, new: c_int) -> bool {
    (at(old) != Descriptor::Other || at(new) != Descriptor::Other) && !exit::is_other_process()
}

/// Functions that make a second descriptor of their first argument; the caller's
/// address is behind the others.
macro_rules! duplicates {
    ($($name:ident, $real:ident, ($($arg:ident: $type:ty),*), $new:expr, |$made:ident| $is_made:expr;)+) => {
        $(
            unsafe extern "C-unwind" fn $name(old: c_int, $($arg: $type,)* site: usize) -> c_int {
                let addr = $real.addr();
                if addr == 0 {
                    // SAFETY: errno is thread-local and always valid.
                    unsafe { *libc::__errno_location() = libc::ENOSYS };
                    return -1;
                }
                // What the new number was ends with the call.
                let matters = keeping_errno(|| matters(old, $new));
                let ending = if matters && $new >= 0 && $new != old {
                    keeping_errno(|| Ending::of($new, site))
                } else {
                    Ending::NOTHING
                };
                // SAFETY: libc's function of this name takes these (fcntl's third is
                // variadic: passed in the same register); the caller's promise.
                let $made = unsafe {
                    let real: unsafe extern "C-unwind" fn(c_int, $($type),*) -> c_int =
                        core::mem::transmute(addr);
                    real(old, $($arg),*)
                };
                keeping_errno(|| {
                    if $made < 0 {
                        return ending.undo();
                    }
                    ending.finish();
                    if matters && $is_made {
                        duplicated(old, $made);
                    }
                });
                $made
            }
        )+
    };
}

/// Does this command of `fcntl` make a descriptor?
fn makes(command: c_int) -> bool {
    matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC)
}

duplicates! {
    second, DUP, (), -1, |made| made >= 0;
    second_as, DUP2, (new: c_int), new, |made| made >= 0;
    second_with, DUP3, (new: c_int, flags: c_int), new, |made| made >= 0;
    control, FCNTL, (command: c_int, argument: usize), -1, |made| made >= 0 && makes(command);
    control64, FCNTL64, (command: c_int, argument: usize), -1, |made| made >= 0 && makes(command);
}

export_with_site!("rsi", second, dup);
export_with_site!("rdx", second_as, dup2);
export_with_site!("rcx", second_with, dup3);
export_with_site!("rcx", control, fcntl);
export_with_site!("rcx", control64, fcntl64);
export_with_site!("rcx", range, close_range);
export_with_site!("rsi", from, closefrom);

/// Numbers from `first` to `last` are closed by a call.
fn closed(first: c_uint, last: c_uint, site: usize) {
    let end = END.load(Relaxed).min((last as usize).saturating_add(1));
    for number in (first as usize..end).map(|number| number as c_int) {
        if at(number) != Descriptor::Other && !exit::is_other_process() {
            Ending::of(number, site).finish();
        }
    }
}

unsafe extern "C" fn range(first: c_uint, last: c_uint, flags: c_int, site: usize) -> c_int {
    type CloseRange = unsafe extern "C" fn(c_uint, c_uint, c_int) -> c_int;
    let addr = CLOSE_RANGE.addr();
    if addr == 0 {
        // SAFETY: errno is thread-local and always valid.
        unsafe { *libc::__errno_location() = libc::ENOSYS };
        return -1;
    }
    // SAFETY: libc's function of this name has this type.
    let result = unsafe { core::mem::transmute::<usize, CloseRange>(addr)(first, last, flags) };
    if result == 0 && flags & libc::CLOSE_RANGE_CLOEXEC as c_int == 0 {
        keeping_errno(|| closed(first, last, site));
    }
    result
}

unsafe extern "C" fn from(first: c_int, site: usize) {
    let addr = CLOSEFROM.addr();
    if addr != 0 {
        // SAFETY: libc's function of this name has this type.
        unsafe { core::mem::transmute::<usize, unsafe extern "C" fn(c_int)>(addr)(first) };
    }
    keeping_errno(|| closed(first.max(0) as c_uint, c_uint::MAX, site));
}

const _: () = assert!(NUMBERS * size_of::<AtomicU64>() == 524_288);
