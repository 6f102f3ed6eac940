//! Settings, made once from a constructor.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed};

use crate::alone::{self, LIVE_BYTES, MOST_HELD_PAGES};

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
    /// Which blocks lie alone on their pages and are guarded when they are freed (see
    /// [`crate::alone`]). Only with `guard`.
    pub isolate: Isolate,
    /// One in so many of the other small blocks lies alone too; 0 is none.
    pub isolate_sample: u32,
    /// Bytes that live blocks which lie alone may take, pages in full. Others beyond
    /// that lie with the rest.
    pub isolate_live_bytes: usize,
    /// Whether blocks that lie alone end their pages instead of beginning them. Not to be
    /// changed once there are any.
    pub isolate_at_end: bool,
    /// Pages of freed blocks that stay guarded, at most [`MOST_HELD_PAGES`].
    pub held_pages: usize,
}

/// Which blocks lie alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolate {
    /// None.
    #[default]
    Nothing,
    /// Those that are watched, and others of their kind.
    Watched,
    /// All, those of the C library aside if watches are expected
    /// ([`crate::expect_watches`]).
    All,
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
            isolate: Isolate::Nothing,
            isolate_sample: 0,
            isolate_live_bytes: LIVE_BYTES,
            isolate_at_end: false,
            held_pages: MOST_HELD_PAGES,
        }
    }
}

static QUARANTINE: AtomicUsize = AtomicUsize::new(QUARANTINE_BYTES);
static NO_POISON: AtomicBool = AtomicBool::new(false);
static ABORT: AtomicBool = AtomicBool::new(false);
static FAMILIES: AtomicBool = AtomicBool::new(false);
static GUARD: AtomicBool = AtomicBool::new(false);
static ISOLATE: AtomicU8 = AtomicU8::new(Isolate::Nothing as u8);

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
    let isolate = if config.guard { config.isolate } else { Isolate::Nothing };
    ISOLATE.store(isolate as u8, Relaxed);
    alone::configure(&Config { isolate, ..config });
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

/// Whether any blocks lie alone and are guarded.
pub(crate) fn isolates() -> bool {
    ISOLATE.load(Relaxed) != Isolate::Nothing as u8
}

/// Whether all do.
pub(crate) fn isolates_all() -> bool {
    ISOLATE.load(Relaxed) == Isolate::All as u8
}

/// Whether a misuse ends the process.
pub(crate) fn aborts() -> bool {
    ABORT.load(Relaxed)
}

/// Whether families are checked.
pub(crate) fn checks_families() -> bool {
    FAMILIES.load(Relaxed)
}
