//! A timer whose storage is freed unnoticed: what the expiry finds.

use deadwalk_timer::Settings;
use deadwalk_timer::front::{self, RawTimer, advance, jiffies};
use std::time::Duration;

#[global_allocator]
static HEAP: deadwalk_alloc::PoisonAlloc = deadwalk_alloc::PoisonAlloc;

unsafe extern "C-unwind" fn never_runs(_argument: usize) {
    panic!("its timer was freed");
}

/// Frees are not looked at (`hook_free`), so that the timer stays armed; time is
/// virtual, so that the expiry comes here and now.
#[test]
fn a_timer_expires_in_freed_memory() {
    front::observe();
    assert!(front::configure(Settings { hook_free: false, ..Settings::DEFAULT }));
    let findings = deadwalk_detector::subscribe();
    advance(0);
    let timer = Box::into_raw(Box::new(RawTimer::new()));
    // SAFETY: the timer is there; that it is freed while it is armed is the bug on show.
    unsafe {
        RawTimer::setup(timer, never_runs, 0);
        RawTimer::modify(timer, jiffies() + 3);
        drop(Box::from_raw(timer));
    }
    assert_eq!(advance(10), 0, "its handler is not called");
    let found = findings.recv_timeout(Duration::from_secs(20)).expect("a finding");
    assert_eq!(found.kind.name(), "expire-after-free");
    assert_eq!(found.base, timer.addr());
    assert_eq!(deadwalk_detector::counter("timers.refused_at_expiry"), Some(1));
    assert_eq!(deadwalk_detector::counter("timers.trashed.freed"), Some(1));
    assert!(front::is_balanced());
}
