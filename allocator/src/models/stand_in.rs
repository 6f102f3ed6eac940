//! What stands in for the kernel and the loader while a model runs.

use loom::sync::{Condvar, Mutex};

use crate::slot::Meta;
use crate::sync::{AtomicU8, AtomicU32, AtomicU64, Ordering, Ordering::SeqCst};

/// A static that is made anew for each run of a model.
pub struct PerRun<T: 'static>(loom::lazy_static::Lazy<T>);

impl<T> PerRun<T> {
    /// Made by `make` at its first use in a run.
    pub const fn new(make: fn() -> T) -> Self {
        PerRun(loom::lazy_static::Lazy { init: make, _p: core::marker::PhantomData })
    }
}

impl<T> core::ops::Deref for PerRun<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: all of these are statics.
        let lazy: &'static loom::lazy_static::Lazy<T> = unsafe { &*&raw const self.0 };
        lazy.get()
    }
}

impl<T> IntoIterator for &PerRun<Box<[T]>> {
    type Item = &'static T;
    type IntoIter = core::slice::Iter<'static, T>;
    fn into_iter(self) -> Self::IntoIter {
        // SAFETY: as above.
        let lazy: &'static loom::lazy_static::Lazy<Box<[T]>> = unsafe { &*&raw const self.0 };
        lazy.get().iter()
    }
}

/// Who sleeps on a word. One queue will do: models have one contended lock.
static SLEEPERS: PerRun<(Mutex<()>, Condvar)> = PerRun::new(|| (Mutex::new(()), Condvar::new()));

/// Sleeps while `word` holds `value`, as the kernel does: it looks at the word
/// and falls asleep in one step as seen by wakers. No wake-up comes by itself,
/// so a lost one is a deadlock that loom tells of.
pub fn futex_wait(word: &AtomicU32, value: u32) {
    let (queue, wake) = &*SLEEPERS;
    let guard = queue.lock().expect("nobody panics with it");
    if word.load(SeqCst) == value {
        drop(wake.wait(guard).expect("nobody panics with it"));
    }
}

/// Wakes one thread that sleeps on `word`.
pub fn futex_wake(_word: &AtomicU32) {
    let (queue, wake) = &*SLEEPERS;
    let _guard = queue.lock().expect("nobody panics with it");
    wake.notify_one();
}

/// A metadata word. Nobody decides by the upper part, so only the state is one
/// of loom's atomics; both change in one step, since loom stops before its own
/// operations only.
pub struct SplitWord {
    low: AtomicU8,
    upper: core::sync::atomic::AtomicU64,
}

impl SplitWord {
    /// The word of a slot that was never handed out.
    pub fn new() -> SplitWord {
        SplitWord { low: AtomicU8::new(0), upper: Default::default() }
    }

    /// The state byte.
    pub fn low(&self) -> &AtomicU8 {
        &self.low
    }

    /// Reads the word.
    pub fn load(&self, order: Ordering) -> u64 {
        let low = self.low.load(order) as u64;
        self.upper.load(order) | low
    }

    /// Writes the word.
    pub fn store(&self, word: u64, order: Ordering) {
        self.low.store(word as u8, order);
        self.upper.store(word & !0xff, order);
    }

    /// Changes the word if it still is `old`.
    pub fn compare_exchange(
        &self,
        old: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        if self.upper.load(SeqCst) != old & !0xff {
            return Err(self.load(failure));
        }
        let swapped = self.low.compare_exchange(old as u8, new as u8, success, failure);
        if swapped.is_ok() {
            self.upper.store(new & !0xff, SeqCst);
        }
        swapped.map(|_| old).map_err(|_| self.load(failure))
    }
}

/// The class that models use.
pub const CLASS: usize = 47;
/// Its slots hold so many bytes: two make a batch.
pub const SLOT: usize = 4096;
const _: () = assert!(crate::class::SMALL_CLASSES > CLASS);

static RINGS: PerRun<std::sync::Mutex<Vec<Box<[AtomicU64]>>>> = PerRun::new(Default::default);

/// A ring of a cache.
pub fn ring_at(_memory: usize, class: usize, length: usize) -> *const AtomicU64 {
    if class != CLASS {
        return core::ptr::null();
    }
    let ring: Box<[AtomicU64]> = (0..length).map(|_| AtomicU64::new(0)).collect();
    let entries = ring.as_ptr();
    RINGS.lock().expect("nobody panics with it").push(ring);
    entries
}

/// Slots a model may make of the class.
const MOST_SLOTS: usize = 64;

static METAS: PerRun<Box<[Meta]>> = PerRun::new(|| (0..MOST_SLOTS).map(|_| Meta::new()).collect());

/// Metadata of slot 0.
pub fn metas(_class: usize) -> *const Meta {
    METAS.as_ptr()
}
