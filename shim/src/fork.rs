//! Fork: the heap's locks are held over it, and the child starts anew, with a
//! record of its own. vfork runs none of this: such a child shares everything
//! and changes nothing (`exit` tells it by its process id).

use core::sync::atomic::Ordering::Relaxed;

use deadwalk_detector::DETECTOR;
use deadwalk_detector::counters::Counter;

use crate::{collector, record_file, start, tls};

/// Registers the handlers. Ours come first of all, so the heap's locks are
/// taken last and given back first: other handlers may allocate.
pub fn register() {
    // SAFETY: the functions live as long as the process.
    unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
}

unsafe extern "C" fn prepare() {
    deadwalk_alloc::fork_prepare();
}

unsafe extern "C" fn parent() {
    deadwalk_alloc::fork_parent();
}

unsafe extern "C" fn child() {
    deadwalk_alloc::fork_child();
    tls::set_tid_word(0);
    if DETECTOR.platform().is_none() {
        return;
    }
    // The handler that forked, if one did, is the parent's run.
    tls::set_run(None);
    tls::set_hooks(0);
    let parents = DETECTOR.record.head();
    record_file::forget();
    collector::reset_after_fork();
    if !start::new_record(true) && start::has_output() {
        // The parent's mapping is still shared with it.
        parents.counters[Counter::DroppedChildren as usize].fetch_add(1, Relaxed);
    }
    DETECTOR.reset_after_fork();
}
