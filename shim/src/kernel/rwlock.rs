//! The exports of `deadwalk/rwlock.h`: reader-writer locks that know who holds them.
//!
//! Readers go in whenever no writer is in, as the kernel's do in interrupts: so a
//! thread may read twice. The first two words are as in a spin lock.
//!
//! ```text
//!   word: 0 open, WRITER, or the number of readers; with AWAITED somebody may sleep
//!   owner: the writer          readers: some of the readers, 0 where there is none
//! ```
//!
//! The lock is not touched after the exchange that opens it. Who reads is known of
//! [`READERS`] threads at a time and as long as each gives its lock back itself;
//! what is not known is never guessed. Nothing but proofs of deadlocks rests on it.
//!
//! Contexts: as spin locks.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::kernel::futex::{self, LOOKS};
use crate::kernel::waiters::{SHARED, Waiter};
use crate::{jump, tls};

const AWAITED: u32 = 1 << 31;
const WRITER: u32 = 1 << 30;

/// Readers known at a time: with the two words, half a cache line.
pub const READERS: usize = 6;

/// `rwlock_t` of the header.
#[repr(C)]
pub struct RwLock {
    word: AtomicU32,
    owner: AtomicU32,
    readers: [AtomicU32; READERS],
}

/// What stands for "the readers are out" among the objects that a handler hands
/// over: another address than the writer's.
const READERS_OUT: usize = core::mem::offset_of!(RwLock, readers);

/// As what a thread wants the lock.
#[derive(Clone, Copy)]
enum Want {
    Reading,
    Writing,
}

impl Want {
    /// The word once the lock is taken; none if it cannot be now.
    fn taken(self, word: u32) -> Option<u32> {
        match self {
            Want::Reading if word & WRITER == 0 => Some(word + 1),
            Want::Writing if word & !AWAITED == 0 => Some(word | WRITER),
            Want::Reading | Want::Writing => None,
        }
    }
}

impl RwLock {
    fn try_take(&self, want: Want) -> bool {
        let taken = self.word.fetch_update(Acquire, Relaxed, |word| want.taken(word)).is_ok();
        if taken {
            let tid = tls::tid();
            match want {
                Want::Writing => self.owner.store(tid, Relaxed),
                Want::Reading => {
                    let free =
                        |cell: &&AtomicU32| cell.compare_exchange(0, tid, Relaxed, Relaxed).is_ok();
                    let _ = self.readers.iter().find(free);
                }
            }
        }
        taken
    }

    fn take(&self, want: Want) {
        if !self.try_take(want) {
            self.take_slowly(want);
        }
    }

    #[cold]
    fn take_slowly(&self, want: Want) {
        for _ in 0..LOOKS {
            if self.try_take(want) {
                return;
            }
            core::hint::spin_loop();
        }
        // SAFETY: errno is thread-local and always valid.
        let errno = unsafe { *libc::__errno_location() };
        let _waiter = Waiter::register((&raw const *self).addr() | SHARED);
        while !self.try_take(want) {
            let word = self.word.load(Relaxed);
            let awaited = word | AWAITED;
            let is_said = word == awaited
                || self.word.compare_exchange(word, awaited, Relaxed, Relaxed).is_ok();
            if want.taken(word).is_none() && is_said {
                futex::sleep(&self.word, awaited);
            }
        }
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = errno };
    }

    fn release_writer(&self) {
        self.owner.store(0, Relaxed);
        let word = self.word.as_ptr();
        if self.word.swap(0, Release) & AWAITED != 0 {
            futex::wake(word, i32::MAX);
        }
    }

    fn release_reader(&self) {
        let tid = tls::tid();
        let mine = |cell: &&AtomicU32| cell.load(Relaxed) == tid;
        match self.readers.iter().find(mine) {
            Some(cell) if self.word.load(Relaxed) & !AWAITED > 1 => cell.store(0, Relaxed),
            // The last one, or one that is not known: whoever stands here may be
            // out already.
            _ => self.readers.iter().for_each(|cell| cell.store(0, Relaxed)),
        }
        let word = self.word.as_ptr();
        let left = |old: u32| if old - 1 == AWAITED { 0 } else { old - 1 };
        let old = self.word.fetch_update(Release, Relaxed, |old| Some(left(old)));
        if old == Ok(AWAITED | 1) {
            futex::wake(word, i32::MAX);
        }
    }
}

/// Who of the holders of a lock with these words keeps the others out: `asker` if it
/// is one of them, else any but `waiter`.
pub fn holder(words: &[u32; 2 + READERS], asker: u32, waiter: u32) -> Option<u32> {
    let [word, holders @ ..] = words;
    if *word == 0 {
        return None;
    }
    let asker = holders.iter().find(|&&tid| tid == asker);
    asker.or_else(|| holders.iter().find(|&&tid| tid != 0 && tid != waiter)).copied()
}

/// `read_lock`: takes the lock beside other readers; waits for a writer.
///
/// # Safety
///
/// * `lock` is a lock that was initialised, and lives until it is released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_read_lock(lock: *const RwLock) {
    jump::locking(lock.addr());
    // SAFETY: the caller's promise.
    unsafe { &*lock }.take(Want::Reading);
}

/// `read_trylock`: 1 if it took the lock, else 0.
///
/// # Safety
///
/// * As for [`deadwalk_read_lock`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_read_trylock(lock: *const RwLock) -> i32 {
    jump::locking(lock.addr());
    // SAFETY: the caller's promise.
    unsafe { &*lock }.try_take(Want::Reading).into()
}

/// `read_unlock`: the last reader lets those in who wait.
///
/// # Safety
///
/// * `lock` is a lock that is held for reading.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_read_unlock(lock: *const RwLock) {
    // Only a writer waits for this.
    jump::unlocking(lock.addr() + READERS_OUT);
    // SAFETY: the caller's promise.
    unsafe { &*lock }.release_reader();
}

/// `write_lock`: takes the lock alone; waits for a writer or all readers.
///
/// # Safety
///
/// * As for [`deadwalk_read_lock`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_write_lock(lock: *const RwLock) {
    jump::locking(lock.addr());
    jump::locking(lock.addr() + READERS_OUT);
    // SAFETY: the caller's promise.
    unsafe { &*lock }.take(Want::Writing);
}

/// `write_trylock`: 1 if it took the lock, else 0.
///
/// # Safety
///
/// * As for [`deadwalk_read_lock`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_write_trylock(lock: *const RwLock) -> i32 {
    jump::locking(lock.addr());
    // SAFETY: the caller's promise.
    unsafe { &*lock }.try_take(Want::Writing).into()
}

/// `write_unlock`: opens the lock and wakes those who wait.
///
/// # Safety
///
/// * `lock` is a lock that is held for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_write_unlock(lock: *const RwLock) {
    jump::unlocking(lock.addr());
    // SAFETY: the caller's promise.
    unsafe { &*lock }.release_writer();
}
