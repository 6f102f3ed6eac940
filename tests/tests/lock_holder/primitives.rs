//! glibc's locks on plain memory, and a thread that sleeps for one of them.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::kernel::mutex::Call;
use crate::tls;

/// What the C library has and the libc crate lacks, or types more narrowly.
mod raw {
    use super::{c_int, c_void};

    unsafe extern "C" {
        pub fn pthread_mutexattr_init(attr: *mut c_void) -> c_int;
        pub fn pthread_mutexattr_settype(attr: *mut c_void, value: c_int) -> c_int;
        pub fn pthread_mutexattr_setrobust(attr: *mut c_void, value: c_int) -> c_int;
        pub fn pthread_mutexattr_setprotocol(attr: *mut c_void, value: c_int) -> c_int;
        pub fn pthread_mutexattr_setpshared(attr: *mut c_void, value: c_int) -> c_int;
        pub fn pthread_mutex_init(mutex: *mut c_void, attr: *const c_void) -> c_int;
        pub fn pthread_mutex_lock(mutex: *mut c_void) -> c_int;
        pub fn pthread_mutex_unlock(mutex: *mut c_void) -> c_int;
        pub fn pthread_mutex_timedlock(mutex: *mut c_void, until: *const libc::timespec) -> c_int;
        pub fn pthread_cond_wait(cond: *mut c_void, mutex: *mut c_void) -> c_int;
        pub fn pthread_cond_timedwait(
            cond: *mut c_void,
            mutex: *mut c_void,
            until: *const libc::timespec,
        ) -> c_int;
        pub fn pthread_cond_broadcast(cond: *mut c_void) -> c_int;
        pub fn sem_wait(sem: *mut c_void) -> c_int;
        pub fn sem_post(sem: *mut c_void) -> c_int;
        pub fn pthread_rwlock_rdlock(lock: *mut c_void) -> c_int;
        pub fn pthread_rwlock_wrlock(lock: *mut c_void) -> c_int;
        pub fn pthread_rwlock_unlock(lock: *mut c_void) -> c_int;
        pub fn pthread_barrierattr_setpshared(attr: *mut c_void, value: c_int) -> c_int;
        pub fn pthread_barrier_init(bar: *mut c_void, attr: *const c_void, count: u32) -> c_int;
        pub fn pthread_barrier_wait(bar: *mut c_void) -> c_int;
        pub fn pthread_once(once: *mut c_void, routine: extern "C" fn()) -> c_int;
    }
}

/// Zeroes that any primitive can be made in.
#[repr(align(64))]
pub struct Memory(UnsafeCell<[u32; 64]>);

// SAFETY: only C functions made for it, and atomic words, touch it.
unsafe impl Sync for Memory {}
// SAFETY: as above.
unsafe impl Send for Memory {}

impl Memory {
    pub fn new() -> Arc<Memory> {
        Arc::new(Memory(UnsafeCell::new([0; 64])))
    }

    /// The address of a byte of it.
    pub fn at(&self, offset: usize) -> *mut c_void {
        self.0.get().cast::<u8>().wrapping_add(offset).cast()
    }

    /// One of its words.
    pub fn word(&self, index: usize) -> &AtomicU32 {
        // SAFETY: inside, aligned, and never written but atomically or by C.
        unsafe { &*self.0.get().cast::<AtomicU32>().add(index) }
    }

    /// Puts forged words there.
    pub fn write(&self, words: &[u32]) {
        for (index, word) in words.iter().enumerate() {
            self.word(index).store(*word, SeqCst);
        }
    }
}

/// Methods that call C on what is at a byte of the memory.
macro_rules! calls {
    ($($name:ident => $function:ident;)+) => {
        impl Memory {
            $(
                pub fn $name(&self, offset: usize) -> c_int {
                    // SAFETY: an object of that type was made there, or the
                    // bytes are zeroes, which are a fresh one.
                    unsafe { raw::$function(self.at(offset)) }
                }
            )+
        }
    };
}

calls! {
    lock => pthread_mutex_lock;
    unlock => pthread_mutex_unlock;
    broadcast => pthread_cond_broadcast;
    sem_wait => sem_wait;
    sem_post => sem_post;
    read_lock => pthread_rwlock_rdlock;
    write_lock => pthread_rwlock_wrlock;
    rw_unlock => pthread_rwlock_unlock;
    barrier_wait => pthread_barrier_wait;
}

impl Memory {
    pub fn timed_lock(&self, offset: usize) -> c_int {
        // SAFETY: as for the others.
        unsafe { raw::pthread_mutex_timedlock(self.at(offset), &never()) }
    }

    pub fn cond_wait(&self, cond: usize, mutex: usize) -> c_int {
        // SAFETY: as for the others.
        unsafe { raw::pthread_cond_wait(self.at(cond), self.at(mutex)) }
    }

    pub fn timed_cond_wait(&self, cond: usize, mutex: usize) -> c_int {
        // SAFETY: as for the others.
        unsafe { raw::pthread_cond_timedwait(self.at(cond), self.at(mutex), &never()) }
    }

    pub fn once(&self, routine: extern "C" fn()) -> c_int {
        // SAFETY: as for the others.
        unsafe { raw::pthread_once(self.at(0), routine) }
    }

    pub fn make_barrier(&self, shared: c_int, count: u32) {
        let mut attr = [0u64; 2];
        let attr: *mut c_void = attr.as_mut_ptr().cast();
        // SAFETY: zeroes are a barrier's attributes, and there is room for it.
        unsafe {
            assert_eq!(raw::pthread_barrierattr_setpshared(attr, shared), 0);
            assert_eq!(raw::pthread_barrier_init(self.at(0), attr, count), 0);
        }
    }
}

pub const INHERIT: c_int = 1;

/// What a mutex is made as: type, robust, protocol, shared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes {
    pub kind: c_int,
    pub robust: c_int,
    pub protocol: c_int,
    pub shared: c_int,
}

/// A mutex in `memory`.
pub fn make_mutex(memory: &Memory, attributes: Attributes) {
    let mut attr = [0u64; 2];
    let attr: *mut c_void = attr.as_mut_ptr().cast();
    // SAFETY: the attributes are of 4 bytes; the memory has room for a mutex.
    let results = unsafe {
        [
            raw::pthread_mutexattr_init(attr),
            raw::pthread_mutexattr_settype(attr, attributes.kind),
            raw::pthread_mutexattr_setrobust(attr, attributes.robust),
            raw::pthread_mutexattr_setprotocol(attr, attributes.protocol),
            raw::pthread_mutexattr_setpshared(attr, attributes.shared),
            raw::pthread_mutex_init(memory.at(0), attr),
        ]
    };
    assert_eq!(results, [0; 6], "{attributes:?}");
}

/// Long enough never to come.
fn never() -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writable.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    libc::timespec { tv_sec: now.tv_sec + 3600, ..now }
}

/// A `futex` call by hand.
pub fn futex(word: *mut c_void, operation: c_int, value: u32) -> i64 {
    let none = std::ptr::null::<libc::timespec>();
    // SAFETY: the kernel checks the address; no timeout, any bit.
    unsafe { libc::syscall(libc::SYS_futex, word, operation, value, none, none, u32::MAX) }
}

/// A thread that goes to sleep.
pub struct Sleeper {
    pub tid: u32,
    thread: JoinHandle<()>,
}

impl Sleeper {
    /// Starts it and waits until it sleeps in `futex`, twice in the same call;
    /// at an address for which `is_there` holds.
    pub fn start(
        sleep: impl FnOnce() + Send + 'static,
        is_there: impl Fn(usize) -> bool,
    ) -> Sleeper {
        let tid = Arc::new(AtomicU32::new(0));
        let thread = std::thread::spawn({
            let tid = tid.clone();
            move || {
                tid.store(tls::tid(), SeqCst);
                sleep();
            }
        });
        let asleep = || {
            let line =
                std::fs::read(format!("/proc/self/task/{}/syscall", tid.load(SeqCst))).ok()?;
            Call::parse(&line).filter(|call| call.futex().is_some_and(&is_there))
        };
        let start = Instant::now();
        loop {
            if let Some(call) = asleep()
                && asleep() == Some(call)
            {
                return Sleeper { tid: tid.load(SeqCst), thread };
            }
            assert!(!thread.is_finished(), "it did not sleep");
            assert!(start.elapsed() < Duration::from_secs(60), "it does not sleep");
            std::thread::yield_now();
        }
    }

    /// [`start`](Self::start), with the futex in `memory`.
    pub fn on(memory: &Arc<Memory>, sleep: fn(&Memory)) -> Sleeper {
        let theirs = memory.clone();
        let start = memory.at(0) as usize;
        Sleeper::start(move || sleep(&theirs), |addr| (start..start + 256).contains(&addr))
    }

    pub fn join(self) {
        self.thread.join().expect("the thread ends well");
    }
}
