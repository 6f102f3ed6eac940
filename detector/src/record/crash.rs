//! A crash: what the process was doing when a signal ended it, written by itself just
//! before. It stands in the record's head, so that it is kept where there is no room for
//! more.
//!
//! Ground rules. The first thread that crashes writes, others die without; what is
//! certain is written first and published, since anything may end the process from then
//! on. Contexts: signal handlers.

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Relaxed, Release},
};

use super::layout::{CLAIMED, EMPTY, READY};
use super::writer::Recorder;
use crate::platform::Platform;

/// What was done to the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CrashAccess {
    /// Not known, or there is no address.
    Unknown = 0,
    /// It was read.
    Read = 1,
    /// It was written.
    Write = 2,
    /// It was jumped to.
    Execute = 3,
}

impl CrashAccess {
    /// The access of this number.
    pub const fn from_u32(number: u32) -> CrashAccess {
        match number {
            1 => CrashAccess::Read,
            2 => CrashAccess::Write,
            3 => CrashAccess::Execute,
            _ => CrashAccess::Unknown,
        }
    }

    /// Its name in the JSON report.
    pub const fn name(self) -> &'static str {
        match self {
            CrashAccess::Unknown => "unknown",
            CrashAccess::Read => "read",
            CrashAccess::Write => "write",
            CrashAccess::Execute => "execute",
        }
    }
}

/// A crash as it stands in the record's head; all zero if there was none.
#[repr(C)]
pub struct CrashEntry {
    /// [`EMPTY`], [`CLAIMED`] or [`READY`].
    pub state: AtomicU32,
    /// The signal.
    pub signal: AtomicU32,
    /// `si_code`: 0 and below if a process sent it.
    pub code: AtomicU32,
    /// A [`CrashAccess`].
    pub access: AtomicU32,
    /// The thread.
    pub tid: AtomicU32,
    /// Stack index + 1, 0 if there is none (yet).
    pub stack: AtomicU32,
    /// The address that was accessed, 0 if it is not known.
    pub addr: AtomicU64,
    /// 1 if `addr` is known.
    pub has_addr: AtomicU32,
    /// Unused.
    pub pad: AtomicU32,
    /// The pointer behind `addr`, if it consists of poison; else 0.
    pub poison: AtomicU64,
    /// The instruction.
    pub ip: AtomicU64,
    /// When, ns since the record's start.
    pub at_ns: AtomicU64,
}

/// What is known of a crash at once.
#[derive(Clone, Copy, Debug)]
pub struct CrashSpec {
    /// The signal.
    pub signal: u32,
    /// `si_code`.
    pub code: i32,
    /// The address, if there is one.
    pub addr: Option<usize>,
    /// What was done to it.
    pub access: CrashAccess,
    /// The pointer behind it, if it consists of poison; else 0.
    pub poison: usize,
    /// The instruction.
    pub ip: usize,
}

impl Recorder {
    /// Records a crash; false if there is one already.
    pub fn crash(&self, platform: &dyn Platform, spec: &CrashSpec) -> bool {
        let crash = &self.head().crash;
        if crash.state.compare_exchange(EMPTY, CLAIMED, AcqRel, Relaxed).is_err() {
            return false;
        }
        crash.signal.store(spec.signal, Relaxed);
        crash.code.store(spec.code as u32, Relaxed);
        crash.access.store(spec.access as u32, Relaxed);
        crash.tid.store(platform.thread().tid, Relaxed);
        crash.addr.store(spec.addr.unwrap_or(0) as u64, Relaxed);
        crash.has_addr.store(spec.addr.is_some().into(), Relaxed);
        crash.poison.store(spec.poison as u64, Relaxed);
        crash.ip.store(spec.ip as u64, Relaxed);
        // The other clock reads the processor's counter, which a sandbox may forbid.
        let now = platform.coarse_ns().saturating_sub(self.head().start_mono_ns.load(Relaxed));
        crash.at_ns.store(now, Relaxed);
        crash.state.store(READY, Release);
        true
    }

    /// Adds the stack of the crash that this thread recorded, innermost first.
    pub fn crash_stack(&self, platform: &dyn Platform, addrs: &[usize]) {
        self.head().crash.stack.store(self.stack(platform, addrs), Release);
    }
}
