//! Safe timers on the timer thread: what no handler may do to them.

use deadwalk_detector::options::DelPolicy;
use deadwalk_timer::front::{Timer, set_policy};
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(1);
const DEADLINE: Duration = Duration::from_secs(20);

/// The policy and the counters are the process's.
fn alone() -> impl Drop {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says when it is dropped.
struct Owned(Arc<AtomicBool>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn waits() -> u64 {
    deadwalk_detector::counter("del.sync_waits").expect("a counter of the report")
}

/// Under `running` a delete waits for a flag, which a handler that began before does
/// not have.
#[test]
fn a_drop_waits_for_a_handler_that_is_older_than_the_policy() {
    let _alone = alone();
    let (entered, freed) = (Arc::new(Barrier::new(2)), Arc::new(AtomicBool::new(false)));
    let (owned, in_handler) = (Owned(freed.clone()), entered.clone());
    let before = waits();
    let (tell, told) = mpsc::channel();
    let timer = Timer::new(move |_| {
        let freed = &owned.0;
        in_handler.wait();
        while waits() == before && !freed.load(SeqCst) {
            thread::yield_now();
        }
        tell.send(freed.load(SeqCst)).expect("somebody listens");
    });
    timer.arm(SOON);
    entered.wait();
    set_policy(DelPolicy::Running);
    drop(timer);
    set_policy(DelPolicy::Async);
    assert!(freed.load(SeqCst));
    assert_eq!(told.recv_timeout(DEADLINE), Ok(false), "the closure was freed under its handler");
}

/// A panic whose payload panics as it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("it is dropped");
    }
}

#[test]
fn timers_go_on_after_a_panic_that_panics() {
    let _alone = alone();
    let bomb = Timer::new(|_| panic_any(Bomb));
    bomb.arm(SOON);
    let (tell, told) = mpsc::channel();
    let after = Timer::new(move |_| tell.send(()).expect("somebody listens"));
    after.arm(2 * SOON);
    assert_eq!(told.recv_timeout(DEADLINE), Ok(()));
}
