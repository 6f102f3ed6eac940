//! When waits for handlers are to be looked at: a handler that a delete landed on finds a
//! mutex taken. The looking is the collector's (`detector/src/watcher.rs`).
//!
//! | who | sees |
//! |---|---|
//! | the handler | that a mutex is taken and that a delete has landed on it |
//! | the deleter | that it landed on a handler that had found a mutex taken; or on a signal's, which could start no thread later |
//!
//! A thread is started where the program itself made a call in which it may be: in
//! `timer_delete` and in waits, not by a disarm, which may stand in a signal handler.
//!
//! Contexts: as libc's functions; what is not noted costs a load of the mutex, in
//! handlers only.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use deadwalk_detector::DETECTOR;

use crate::{collector, tls};

/// The calling thread, in a handler, is about to lock a pthread mutex.
pub fn handler_locks(mutex: usize, site: usize) {
    // What is not aligned is no mutex.
    if mutex == 0 || !mutex.is_multiple_of(align_of::<u32>()) {
        return;
    }
    // SAFETY: libc is about to read it.
    let is_free = unsafe { AtomicU32::from_ptr(mutex as *mut u32) }.load(Relaxed) == 0;
    if !is_free
        && let Some(run) = tls::run()
        && DETECTOR.handler_locks(run, mutex, site)
    {
        collector::wish_watch();
        collector::start_if_wished();
    }
}

/// The calling thread, in a handler, is about to unlock a pthread mutex.
pub fn handler_unlocks(mutex: usize) {
    if let Some(run) = tls::run() {
        DETECTOR.handler_unlocks(run, mutex);
    }
}

/// A delete or disarm of the calling thread has landed.
pub fn landed() {
    if DETECTOR.is_to_be_watched() {
        collector::wish_watch();
    }
}
