//! Our own reader-writer locks.

use std::sync::{Arc, Barrier};

use deadwalk_tests::repeats;

use crate::kernel::holder::waits_for;
use crate::kernel::rwlock::{
    RwLock, deadwalk_read_lock, deadwalk_read_unlock, deadwalk_write_lock, deadwalk_write_unlock,
};
use crate::primitives::{Memory, Sleeper};
use crate::tls;

type Call = unsafe extern "C" fn(*const RwLock);

/// Calls one of the lock's functions.
fn call(function: Call, memory: &Memory) {
    // SAFETY: zeroes are an open lock, and the tests below take before they give.
    unsafe { function(memory.at(0).cast_const().cast()) }
}

/// A thread that sleeps for the lock.
fn sleeper(memory: &Arc<Memory>, take: Call, give: Call) -> Sleeper {
    let (theirs, at) = (memory.clone(), memory.at(0) as usize);
    Sleeper::start(
        move || {
            call(take, &theirs);
            call(give, &theirs);
        },
        move |addr| addr == at,
    )
}

fn writer(memory: &Arc<Memory>) -> Sleeper {
    sleeper(memory, deadwalk_write_lock, deadwalk_write_unlock)
}

#[test]
fn a_writer_and_a_lone_reader_are_named() {
    let both: [(Call, Call); 2] =
        [(deadwalk_write_lock, deadwalk_write_unlock), (deadwalk_read_lock, deadwalk_read_unlock)];
    for (take, give) in both {
        for _ in 0..repeats(20, 200) {
            let memory = Memory::new();
            call(take, &memory);
            let waiter = writer(&memory);
            assert_eq!(waits_for(waiter.tid), Some(tls::tid()));
            let tid = waiter.tid;
            call(give, &memory);
            waiter.join();
            assert_eq!(waits_for(tid), None);
        }
    }
    let memory = Memory::new();
    call(deadwalk_write_lock, &memory);
    let reader = sleeper(&memory, deadwalk_read_lock, deadwalk_read_unlock);
    assert_eq!(waits_for(reader.tid), Some(tls::tid()));
    call(deadwalk_write_unlock, &memory);
    reader.join();
}

/// Whoever asks is the answer while it reads, and another reader when it does not.
#[test]
fn of_several_readers_the_asker_is_named_if_it_is_one() {
    let memory = Memory::new();
    let (is_in, may_go) = (Barrier::new(2), Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            call(deadwalk_read_lock, &memory);
            is_in.wait();
            may_go.wait();
            call(deadwalk_read_unlock, &memory);
        });
        is_in.wait();
        call(deadwalk_read_lock, &memory);
        call(deadwalk_read_lock, &memory);
        let waiter = writer(&memory);
        assert_eq!(waits_for(waiter.tid), Some(tls::tid()));
        call(deadwalk_read_unlock, &memory);
        assert_eq!(waits_for(waiter.tid), Some(tls::tid()));
        call(deadwalk_read_unlock, &memory);
        let other = waits_for(waiter.tid).expect("the other reader is known");
        assert!(other != tls::tid() && other != waiter.tid);
        may_go.wait();
        waiter.join();
    });
}

/// A reader whose lock another thread gave back is never said to hold it.
#[test]
fn a_lock_that_another_thread_gave_back_is_nobodys() {
    for other_reads_first in [true, false] {
        let memory = Memory::new();
        let (is_in, may_go) = (Barrier::new(2), Barrier::new(2));
        call(deadwalk_read_lock, &memory);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if other_reads_first {
                    call(deadwalk_read_lock, &memory);
                }
                let theirs = memory.clone();
                let giver = std::thread::spawn(move || call(deadwalk_read_unlock, &theirs));
                giver.join().expect("no panic");
                if !other_reads_first {
                    call(deadwalk_read_lock, &memory);
                }
                is_in.wait();
                may_go.wait();
                call(deadwalk_read_unlock, &memory);
            });
            is_in.wait();
            let waiter = writer(&memory);
            assert_ne!(waits_for(waiter.tid), Some(tls::tid()));
            may_go.wait();
            waiter.join();
        });
    }
}
