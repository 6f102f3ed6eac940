//! What another thread is doing, as far as a sandbox lets us ask.

use deadwalk_detector::ladder::Sample;
use deadwalk_detector::platform::ThreadToken;
pub use deadwalk_timer::sample::{read_file, read_task, rest, threads_without_main};

use crate::sandbox::is_sandboxed;

/// Samples another thread of this process; what cannot be seen is `u64::MAX`.
pub fn other(thread: ThreadToken) -> Sample {
    match is_sandboxed() {
        true => deadwalk_timer::sample::other_unasked(thread),
        false => deadwalk_timer::sample::other(thread),
    }
}

/// Samples the calling thread.
pub fn own() -> Sample {
    match is_sandboxed() {
        true => deadwalk_timer::sample::own_unasked(),
        false => deadwalk_timer::sample::own(),
    }
}
