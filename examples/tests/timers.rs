//! A Rust test binary that finds the misuse of timers, its own heap included: no
//! library is preloaded, no command is run.
//!
//! The allocator, one call that plugs it to the timers, and a subscription. Every race
//! is made by barriers, and the numbers are asserted on.

use deadwalk_detector::{Consequence, Finding, Severity};
use deadwalk_timer::front::{self, DeleteSite, RawTimer, Timer, jiffies};
use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

#[global_allocator]
static HEAP: deadwalk_alloc::PoisonAlloc = deadwalk_alloc::PoisonAlloc;

/// What a driver would have: a timer in its object.
struct Device {
    timer: RawTimer,
    irqs: u32,
}

/// The handler is entered; and may go on.
static ENTERED: Barrier = Barrier::new(2);
static GO: Barrier = Barrier::new(2);

/// Findings and counters are the process's: the tests run one after the other.
struct Watch {
    found: deadwalk_detector::Findings,
    seen: RefCell<Vec<Finding>>,
    _alone: MutexGuard<'static, ()>,
}

impl Watch {
    fn start() -> Watch {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        front::observe();
        let found = deadwalk_detector::subscribe();
        Watch { found, seen: RefCell::default(), _alone: alone }
    }

    /// The error of this kind, as soon as there is one.
    fn error(&self, kind: &str) -> Finding {
        let is_it =
            |found: &&Finding| found.kind.name() == kind && found.severity == Severity::Error;
        loop {
            if let Some(found) = self.seen.borrow().iter().find(is_it) {
                return found.clone();
            }
            let next = self.found.recv_timeout(Duration::from_secs(20));
            let next = next.unwrap_or_else(|_| panic!("no {kind} among {:#?}", self.seen));
            self.seen.borrow_mut().push(next);
        }
    }
}

fn counter(path: &str) -> u64 {
    deadwalk_detector::counter(path).expect("a counter of the report")
}

/// A device whose timer is set up, with this handler.
fn device(handler: unsafe extern "C-unwind" fn(usize)) -> *mut Device {
    let device = Box::into_raw(Box::new(Device { timer: RawTimer::new(), irqs: 0 }));
    // SAFETY: the device was just made; what frees it too early is the bug on show.
    unsafe { RawTimer::setup(&raw mut (*device).timer, handler, device.expose_provenance()) };
    device
}

/// Arms the device's timer to expire in so many ticks.
fn arm(device: *mut Device, ticks: u64) -> bool {
    // SAFETY: of freed storage the allocator keeps the slot mapped, and the engine
    // looks before it touches.
    unsafe { RawTimer::modify(&raw mut (*device).timer, jiffies() + ticks) }
}

fn free(device: *mut Device) {
    // SAFETY: made by `device`, and freed once.
    drop(unsafe { Box::from_raw(device) });
}

unsafe extern "C-unwind" fn never_runs(_device: usize) {
    panic!("it was freed before");
}

/// Counts an interrupt of its device, when it may.
unsafe extern "C-unwind" fn counts_late(device: usize) {
    ENTERED.wait();
    GO.wait();
    let device = std::ptr::with_exposed_provenance_mut::<Device>(device);
    // SAFETY: none; the write may come after the free, which is the bug on show.
    unsafe { (&raw mut (*device).irqs).write_volatile(1) };
    // A call that is seen: this was not the handler's last instruction.
    drop(black_box(Box::new(0u64)));
}

#[test]
fn a_device_is_freed_with_its_timer_armed() {
    let watch = Watch::start();
    let pending = counter("timers.auto_detached");
    let device = device(never_runs);
    assert!(!arm(device, 1000 * u64::from(front::HZ)), "it was not pending");
    free(device);
    let found = watch.error("free-while-pending");
    assert_eq!((found.base, found.addr), (device.addr(), device.addr()));
    assert_eq!(counter("timers.auto_detached"), pending + 1, "it never expires");
}

#[test]
fn a_device_is_armed_after_it_was_freed() {
    let watch = Watch::start();
    let device = device(never_runs);
    free(device);
    assert!(!arm(device, 1), "nothing was done");
    assert_eq!(watch.error("api-use-after-free").base, device.addr());
}

/// The bug of the mail: the delete has returned, the handler goes on.
#[test]
fn a_device_is_freed_under_its_handler() {
    let watch = Watch::start();
    let (deletes, landed) = (counter("del.calls"), counter("del.while_running"));
    let windows = front::delete_sites().iter().map(|site| site.windows).sum::<u64>();
    let device = device(counts_late);
    arm(device, 1);
    ENTERED.wait();
    // SAFETY: the device is there.
    let was_pending = unsafe { RawTimer::delete(&raw mut (*device).timer) };
    assert!(!was_pending, "its handler runs");
    free(device);
    GO.wait();

    assert_eq!(watch.error("free-while-running").base, device.addr());
    let delete = watch.error("del-while-running");
    assert!(
        matches!(delete.consequence, Consequence::StorageFreed | Consequence::Touched),
        "{delete:?}"
    );
    // The numbers of it: one delete, which landed, and how long the handler went on.
    assert_eq!(counter("del.calls"), deletes + 1);
    assert_eq!(counter("del.while_running"), landed + 1);
    let sites = front::delete_sites();
    assert_eq!(sites.iter().map(|site| site.windows).sum::<u64>(), windows + 1);
    let is_it = |site: &&DeleteSite| site.op.name() == "del_timer" && site.while_running == 1;
    let site = sites.iter().find(is_it).expect("the site of the delete");
    assert_eq!((site.calls, site.in_tail, site.windows), (1, 0, 1));
    assert!(0 < site.window_min_ns && site.window_min_ns <= site.window_max_ns);

    // What the handler wrote there is found when the slot comes round again.
    churn();
    let written = watch.error("use-after-free-write");
    assert_eq!(written.base, device.addr());
}

/// Allocations enough to bring every freed device round again.
fn churn() {
    let layout = Layout::new::<Device>();
    for _ in 0..50_000 {
        // SAFETY: the layout has a size; the block is freed once, with it.
        unsafe { dealloc(black_box(alloc(layout)), layout) };
    }
}

/// The same with a delete that waits: nothing is found.
#[test]
fn a_waiting_delete_waits() {
    let watch = Watch::start();
    let (waits, landed) = (counter("del.sync_waits"), counter("del.while_running"));
    let device = device(counts_late);
    arm(device, 1);
    ENTERED.wait();
    std::thread::scope(|scope| {
        let addr = device.expose_provenance();
        let deleter = scope.spawn(move || {
            let device = std::ptr::with_exposed_provenance_mut::<Device>(addr);
            // SAFETY: the device is freed below, behind this.
            unsafe { RawTimer::delete_sync(&raw mut (*device).timer) };
            // SAFETY: the handler has ended.
            unsafe { (*device).irqs }
        });
        while counter("del.sync_waits") == waits {
            std::thread::yield_now();
        }
        GO.wait();
        assert_eq!(deleter.join().expect("no panic"), 1, "the handler had ended");
    });
    free(device);
    assert_eq!(counter("del.while_running"), landed);
    assert!(watch.found.try_iter().all(|found| found.severity == Severity::Info));
}

/// What the safe timer cannot do wrong: it is dropped at any time, and its closure's
/// data with it.
#[test]
fn safe_timers_are_clean() {
    let watch = Watch::start();
    let (deletes, landed) = (counter("del.calls"), counter("del.while_running"));
    let runs = Arc::new(AtomicU32::new(0));
    const ROUNDS: u64 = 500;
    for round in 0..ROUNDS {
        let (mut data, runs) = (vec![0u8; 100], runs.clone());
        let timer = Timer::new(move |running| {
            data[round as usize % 100] += 1;
            runs.fetch_add(1, SeqCst);
            running.rearm(Duration::from_millis(1));
        });
        timer.arm(Duration::from_millis(1));
        std::thread::sleep(Duration::from_micros(round * 37 % 2500));
    }
    assert!(runs.load(SeqCst) > 0);
    assert_eq!(counter("del.calls"), deletes + ROUNDS, "each is shut down as it is dropped");
    assert_eq!(counter("del.while_running"), landed, "and waits for its handler");
    assert!(watch.found.try_iter().all(|found| found.severity == Severity::Info));
    assert!(front::is_balanced());
}

/// A handler may own its timer, and drop it.
#[test]
fn a_safe_timer_is_dropped_by_its_handler() {
    let watch = Watch::start();
    let shelf = Arc::new(Mutex::new(None::<Timer>));
    let (done, ended) = mpsc::channel();
    let (own, guard) = (shelf.clone(), Arc::new(()));
    let alive = Arc::downgrade(&guard);
    let timer = Timer::new(move |running| {
        let _data = &guard;
        drop(own.lock().expect("not poisoned").take());
        running.rearm(Duration::from_millis(1)); // in vain
        done.send(()).expect("it is waited for");
    });
    *shelf.lock().expect("not poisoned") = Some(timer);
    shelf.lock().expect("not poisoned").as_ref().expect("put there").arm(Duration::ZERO);
    ended.recv().expect("the handler runs");
    assert!(ended.recv().is_err(), "the closure is gone, and with it its end of the channel");
    assert!(alive.upgrade().is_none());
    assert!(watch.found.try_iter().all(|found| found.severity == Severity::Info));
}
