//! Who holds the lock that a thread sleeps for: the library's own source, with
//! stand-ins for what it asks of the rest of the library, against glibc's locks
//! and everything else of glibc's that sleeps in `futex`.

mod primitives;
mod shared;
mod spin;
mod stand_ins;

#[allow(dead_code)]
#[path = "../../../shim/src/kernel"]
mod kernel {
    pub mod futex;
    pub mod holder;
    pub mod lock;
    pub mod mutex;
    pub mod rwlock;
    pub mod waiters;
}

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use kernel::holder::{needs_waking, stack_of_waiter, waits_for};
use primitives::{Attributes, INHERIT, Memory, Sleeper, futex, make_mutex};
use stand_ins::{jump, sample, sandbox, stack, tls};

/// Every kind of mutex, but those with a priority ceiling.
fn every_kind() -> Vec<Attributes> {
    let mut all = vec![];
    for kind in 0..4 {
        for robust in 0..2 {
            for protocol in [0, INHERIT] {
                for shared in 0..2 {
                    all.push(Attributes { kind, robust, protocol, shared });
                }
            }
        }
    }
    all
}

fn lock_and_unlock(memory: &Memory) {
    assert_eq!(memory.lock(0), 0);
    assert_eq!(memory.unlock(0), 0);
}

#[test]
fn the_holder_of_every_kind_of_mutex_is_named() {
    for attributes in every_kind() {
        let memory = Memory::new();
        make_mutex(&memory, attributes);
        assert_eq!(memory.lock(0), 0, "{attributes:?}");
        let sleeper = Sleeper::on(&memory, lock_and_unlock);
        assert_eq!(waits_for(sleeper.tid), Some(tls::tid()), "{attributes:?}");
        let mut place = [0; 4];
        assert_eq!(stack_of_waiter(sleeper.tid, &mut place), 1);
        assert_ne!(place[0], 0);
        let tid = sleeper.tid;
        memory.unlock(0);
        sleeper.join();
        assert_eq!(waits_for(tid), None, "it is gone");
    }
}

/// Those who wait for a condition count as users of its mutex.
#[test]
fn a_mutex_with_waiters_for_a_condition_has_more_users() {
    let memory = Memory::new();
    let sleepers = [0; 3].map(|_| {
        Sleeper::on(&memory, |memory| {
            memory.lock(0);
            memory.cond_wait(64, 0);
            memory.unlock(0);
        })
    });
    memory.lock(0);
    let locker = Sleeper::on(&memory, lock_and_unlock);
    assert_eq!(waits_for(locker.tid), Some(tls::tid()));
    for sleeper in &sleepers {
        assert_eq!(waits_for(sleeper.tid), None);
    }
    memory.broadcast(64);
    memory.unlock(0);
    locker.join();
    sleepers.into_iter().for_each(Sleeper::join);
}

#[track_caller]
fn nobody(what: &str, memory: &Arc<Memory>, sleep: fn(&Memory), wake: fn(&Memory)) {
    let sleeper = Sleeper::on(memory, sleep);
    assert_eq!(waits_for(sleeper.tid), None, "{what}");
    wake(memory);
    sleeper.join();
}

/// The mutex that is held lies where the fields of a mutex would, if the
/// condition variable's word were one's.
#[test]
fn a_condition_variable_is_no_mutex() {
    let waits: [fn(&Memory); 2] = [
        |memory| {
            memory.lock(128);
            memory.cond_wait(0, 128);
        },
        |memory| {
            memory.lock(128);
            memory.timed_cond_wait(0, 128);
        },
    ];
    for wait in waits {
        for behind in [48, 56, 64] {
            let memory = Memory::new();
            memory.lock(behind);
            nobody("pthread_cond_wait", &memory, wait, |memory| _ = memory.broadcast(0));
        }
    }
}

#[test]
fn semaphores_barriers_and_rwlocks_are_no_mutexes() {
    nobody("sem_wait", &Memory::new(), |m| _ = m.sem_wait(0), |m| _ = m.sem_post(0));
    for shared in [0, 1] {
        let memory = Memory::new();
        memory.make_barrier(shared, 2);
        // Every round, so that the word is 2 in one of them.
        let wait: fn(&Memory) = |m| _ = m.barrier_wait(0);
        for _ in 0..5 {
            nobody("pthread_barrier_wait", &memory, wait, wait);
        }
    }
    let read: fn(&Memory) = |m| _ = m.read_lock(0);
    let write: fn(&Memory) = |m| _ = m.write_lock(0);
    for (mine, theirs) in [(write, read), (write, write), (read, write)] {
        let memory = Memory::new();
        mine(&memory);
        nobody("pthread_rwlock", &memory, theirs, |m| _ = m.rw_unlock(0));
    }
}

/// It gives up by itself, so nothing is proven.
#[test]
fn a_mutex_with_a_time_limit_is_not_waited_for() {
    let memory = Memory::new();
    memory.lock(0);
    nobody("pthread_mutex_timedlock", &memory, |m| _ = m.timed_lock(0), |m| _ = m.unlock(0));
}

static MAY_END: AtomicBool = AtomicBool::new(false);

extern "C" fn first_use() {
    while !MAY_END.load(SeqCst) {
        std::thread::yield_now();
    }
}

#[test]
fn a_joined_thread_is_waited_for_and_a_first_use_is_not() {
    let memory = Memory::new();
    let first = std::thread::spawn({
        let memory = memory.clone();
        move || memory.once(first_use)
    });
    while memory.word(0).load(SeqCst) == 0 {
        std::thread::yield_now();
    }
    let second = Sleeper::on(&memory, |m| _ = m.once(first_use));
    assert_eq!(waits_for(second.tid), None);
    assert!(needs_waking(second.tid));

    static JOINED: AtomicU32 = AtomicU32::new(0);
    let joined = std::thread::spawn(|| {
        JOINED.store(tls::tid(), SeqCst);
        first_use()
    });
    let joiner = Sleeper::start(move || joined.join().expect("it ends well"), |_| true);
    assert_eq!(waits_for(joiner.tid), Some(JOINED.load(SeqCst)));
    assert!(needs_waking(joiner.tid));
    MAY_END.store(true, SeqCst);
    joiner.join();
    second.join();
    assert_eq!(first.join().expect("it ends well"), 0);
}

/// A program's own lock with the bytes of a mutex, but for one.
#[test]
fn words_that_are_not_quite_a_mutexs() {
    let me = tls::tid();
    let private = libc::FUTEX_PRIVATE_FLAG;
    let sleep_as = |operation: i32, words: [u32; 5]| {
        let memory = Memory::new();
        memory.write(&words);
        let theirs = memory.clone();
        let at = memory.at(0) as usize;
        let sleeper = Sleeper::start(
            move || assert_eq!(futex(theirs.at(0), operation, words[0]), 0),
            |addr| addr == at,
        );
        let holder = waits_for(sleeper.tid);
        while futex(memory.at(0), libc::FUTEX_WAKE | operation & private, 1) == 0 {}
        sleeper.join();
        holder
    };
    let wait = libc::FUTEX_WAIT;
    assert_eq!(sleep_as(wait | private, [2, 0, me, 1, 0]), Some(me), "this is one");
    assert_eq!(sleep_as(wait, [2, 0, me, 1, 128]), Some(me), "and this, a shared one");
    for (operation, words) in [
        (wait, [2, 0, me, 1, 0]),
        (wait | private, [2, 0, me, 1, 128]),
        (libc::FUTEX_WAIT_BITSET | private, [2, 0, me, 1, 0]),
        (wait | private, [1, 0, me, 1, 0]),
        (wait | private, [3, 0, me, 1, 0]),
        (wait | private, [2, 1, me, 1, 0]),
        (wait | private, [2, 0, me, 1, 1]),
        (wait | private, [2, 0, 0, 1, 0]),
        (wait | private, [2, 0, me, 0, 0]),
        (wait | private, [2, 0, me, 1, 4]),
        (wait | private, [2, 0, me, 1, 0x1000]),
        (wait | private, [2, 0, me, 1, 16]),
        (wait | private, [me | 1 << 31, 1, me, 1, 32]),
        (wait | private, [2, 0, 1, 1, 0]),
    ] {
        assert_eq!(sleep_as(operation, words), None, "{operation} {words:?}");
    }
}

/// Its holder ended without unlocking: nobody will.
#[test]
fn a_holder_that_is_gone_is_not_named() {
    let memory = Memory::new();
    let theirs = memory.clone();
    let holder = std::thread::spawn(move || theirs.lock(0));
    assert_eq!(holder.join().expect("it ends well"), 0);
    // A normal mutex does not ask who unlocks it.
    nobody("a dead holder", &memory, lock_and_unlock, |m| _ = m.unlock(0));
}

/// The memory slept on is unmapped.
#[test]
fn memory_that_is_gone_is_no_fault() {
    let map = |at: usize, fixed| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | fixed;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: new memory, or in place of what we unmapped.
        unsafe { libc::mmap(at as *mut _, 4096, access, flags, -1, 0) as usize }
    };
    // Far from where the kernel puts what is mapped meanwhile.
    const APART: usize = 0x2000_0000_0000;
    let page = map(APART, libc::MAP_FIXED_NOREPLACE);
    assert_eq!(page, APART);
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    let sleeper = Sleeper::start(
        move || assert_eq!(futex(page as *mut _, operation, 0), 0),
        |addr| addr == page,
    );
    // SAFETY: ours; the kernel knows the sleeper by the address alone.
    unsafe { libc::munmap(page as *mut _, 4096) };
    assert_eq!(waits_for(sleeper.tid), None);
    assert_eq!(map(page, libc::MAP_FIXED_NOREPLACE), page);
    while futex(page as *mut _, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1) == 0 {}
    sleeper.join();
}
