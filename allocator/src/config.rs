//! Settings, made once from a constructor.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of freed memory each thread keeps from reuse, about; one class may
    /// use an eighth of it. 0 leaves only the one or two batches per class that
    /// verification needs.
    pub quarantine_bytes: usize,
    /// Whether freed memory is poisoned and verified.
    pub poison: bool,
    /// Whether the first misuse ends the process, after it was reported.
    pub abort_on_error: bool,
    /// Whether blocks that go back to another family than they came from, or
    /// with a wrong size, are told of (see [`crate::family`]).
    pub new_delete: bool,
    /// Whether large blocks end in a guard page, and those that were given back
    /// are guarded whole. Only for who hands SIGSEGV to [`trap`](crate::trap::trap):
    /// otherwise a misuse ends the process untold. Blocks handed out before have
    /// none.
    pub guard: bool,
    /// Whether watched blocks, and others of their kind, lie alone on their pages and
    /// are guarded when they are freed (see [`crate::alone`]). Only with `guard`.
    pub isolate: bool,
}

/// The quarantine's default size: 64 KiB costs half a per cent less time,
/// 1 MiB four per cent more.
pub const QUARANTINE_BYTES: usize = 256 << 10;
/// More is pointless: the entries are `u32` positions, and caches are mapped
/// per thread.
const MOST_QUARANTINE_BYTES: usize = 1 << 30;

impl Default for Config {
    fn default() -> Self {
        Config {
            quarantine_bytes: QUARANTINE_BYTES,
            poison: true,
            abort_on_error: false,
            new_delete: false,
            guard: false,
            isolate: false,
        }
    }
}

static QUARANTINE: AtomicUsize = AtomicUsize::new(QUARANTINE_BYTES);
static NO_POISON: AtomicBool = AtomicBool::new(false);
static ABORT: AtomicBool = AtomicBool::new(false);
static FAMILIES: AtomicBool = AtomicBool::new(false);
static GUARD: AtomicBool = AtomicBool::new(false);
static ISOLATE: AtomicBool = AtomicBool::new(false);

/// Applies the settings. Call it once, while the process has one thread;
/// allocations may have happened before. Poison that is switched on after it
/// was off is refused in silence: slots freed meanwhile hold no pattern.
pub fn configure(config: Config) {
    let bytes = config.quarantine_bytes.min(MOST_QUARANTINE_BYTES);
    if QUARANTINE.swap(bytes, Relaxed) != bytes {
        crate::cache::discard_current();
    }
    NO_POISON.fetch_or(!config.poison, Relaxed);
    ABORT.store(config.abort_on_error, Relaxed);
    FAMILIES.store(config.new_delete, Relaxed);
    if config.guard {
        crate::guard::prepare();
    }
    GUARD.store(config.guard, Relaxed);
    ISOLATE.store(config.guard && config.isolate, Relaxed);
}

/// Bytes of quarantine per thread.
pub(crate) fn quarantine_bytes() -> usize {
    QUARANTINE.load(Relaxed)
}

/// Whether freed memory is poisoned.
#[inline(always)]
pub(crate) fn poisons() -> bool {
    !NO_POISON.load(Relaxed)
}

/// Whether large blocks get guard pages.
pub(crate) fn guards() -> bool {
    GUARD.load(Relaxed)
}

/// Whether watched blocks lie alone and are guarded.
pub(crate) fn isolates() -> bool {
    ISOLATE.load(Relaxed)
}

/// Whether a misuse ends the process.
pub(crate) fn aborts() -> bool {
    ABORT.load(Relaxed)
}

/// Whether families are checked.
pub(crate) fn checks_families() -> bool {
    FAMILIES.load(Relaxed)
}
