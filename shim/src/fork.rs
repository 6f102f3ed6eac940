//! Fork: the child starts anew, with a record of its own. vfork runs none of this: such a child shares everything
//! and changes nothing (`exit` tells it by its process id, `vfork` by a mark).

use core::sync::atomic::Ordering::Relaxed;

use deadwalk_detector::DETECTOR;
use deadwalk_detector::counters::Counter;

use crate::{
    clock_users, collector, descriptors, itimer, kernel, record_file, signal, start, sweeper,
    timer_list, tls,
};

/// Registers the handler, after the heap's own: in the child it is open before
/// this one runs.
pub fn register() {
    deadwalk_alloc::register_fork();
    // SAFETY: the function lives as long as the process.
    unsafe { libc::pthread_atfork(None, None, Some(child)) };
}

unsafe extern "C" fn child() {
    tls::set_tid_word(0);
    tls::set_vforked(0);
    signal::remember_process();
    kernel::reset_after_fork();
    signal::place::reset_after_fork();
    if DETECTOR.platform().is_none() {
        return;
    }
    // The handler that forked, if one did, is the parent's run.
    tls::set_run(None);
    tls::set_hooks(0);
    let parents = DETECTOR.record.head();
    record_file::forget();
    collector::reset_after_fork();
    sweeper::reset_after_fork();
    if !start::new_record(true) && start::has_output() {
        // The parent's mapping is still shared with it.
        parents.counters[Counter::DroppedChildren as usize].fetch_add(1, Relaxed);
    }
    DETECTOR.reset_after_fork();
    itimer::reset_after_fork();
    clock_users::reset_after_fork();
    descriptors::reset_after_fork();
    timer_list::reset_after_fork();
}
