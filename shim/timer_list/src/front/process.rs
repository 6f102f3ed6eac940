//! This process as the engine's host, the detector's helper and the heap's observer.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Once;

use deadwalk_alloc::{HeapObserver, Misuse};
use deadwalk_detector::in_process::{self, Helper};
use deadwalk_detector::ladder::Sample;
use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::platform::ThreadToken;
use deadwalk_detector::{DETECTOR, HeapBlock, Kind, Op, RunRef, TimerRef};

use super::{HZ, clock};
use crate::host::{Armed, Block, Count, Deleted, Found, Host, Known};
use crate::retry::limit_ns;
use crate::storage::Storage;
use crate::{Engine, Settings, sample, telling};

/// The timers of this process.
pub(super) static ENGINE: Engine<Process> = Engine::new(Process);

/// This process.
#[derive(Debug)]
pub(super) struct Process;

thread_local! {
    static TID: Cell<u32> = const { Cell::new(0) };
    /// Did the thread's last delete give up its wait? `None`: that was not told.
    static GAVE_UP: Cell<Option<bool>> = const { Cell::new(None) };
    /// When the thread's last delete that landed was, and what it had allocated by then.
    static LANDED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Settings, before the first timer; later nothing is changed, and this is `false`.
/// Without this there are [`HZ`] ticks a second. There is one timer thread, whatever
/// `cpus` says.
pub fn configure(settings: Settings) -> bool {
    start();
    let is_in_time = ENGINE.configure(Settings { cpus: 1, ..settings });
    if is_in_time {
        DETECTOR.configure(ENGINE.policy(), TAIL_US, (settings.deadlock_ns / 1_000_000) as u32);
    }
    is_in_time
}

/// As the option `tail_us` has it by default.
const TAIL_US: u32 = 50;

/// What deletes do from now on, of all timers; see [`DelPolicy`].
pub fn set_policy(policy: DelPolicy) {
    start();
    ENGINE.set_policy(policy);
    DETECTOR.set_policy(policy);
}

/// Has the heap tell the engine what is freed, and the detector what is misused.
///
/// To be called once, before the first timer, in a program whose global allocator
/// is [`deadwalk_alloc::PoisonAlloc`]; instead of `deadwalk_alloc::observe_with!`,
/// whose observer would take this one's place.
pub fn observe() {
    static ONCE: Once = Once::new();
    start();
    ONCE.call_once(|| {
        deadwalk_alloc::set_counters(in_process::heap_counters());
        deadwalk_alloc::set_observer(&Process);
    });
}

/// Runs a waiting delete. Can its handler run still? `false` is certain.
pub(super) fn may_have_given_up(delete: impl FnOnce()) -> bool {
    GAVE_UP.set(None);
    delete();
    GAVE_UP.get() != Some(false) && !ENGINE.is_idle()
}

/// Engine and detector are ready after this; every entry point calls it.
pub(super) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        in_process::set_helper(&Process);
        in_process::activate();
        let seed = clock::now_ns() ^ u64::from(std::process::id()) << 32;
        ENGINE.configure(Settings { hz: HZ, seed, ..Settings::DEFAULT });
    });
}

fn own_activity() -> u64 {
    deadwalk_alloc::thread_activity().read()
}

impl HeapObserver for Process {
    fn freeing(&self, block: &deadwalk_alloc::Block, site: usize) {
        let block = Block { free_site: site, ..telling::block_of(block) };
        ENGINE.freeing(block, site);
        DETECTOR.freeing(&telling::heap_block(&block), site);
    }

    fn misuse(&self, misuse: &Misuse) {
        in_process::heap_misuse(
            misuse.kind.name(),
            misuse.addr,
            misuse.base,
            misuse.size,
            misuse.offset,
            misuse.alloc_site,
            misuse.free_site,
            misuse.caller,
            &misuse.expected,
            &misuse.found,
            misuse.late,
            misuse.in_signal,
        );
    }
}

impl Helper for Process {
    fn thread(&self) -> ThreadToken {
        let probe = deadwalk_alloc::thread_activity().as_raw() as u64;
        ThreadToken { tid: Host::thread(self), probe }
    }

    fn sample(&self, thread: ThreadToken) -> Sample {
        sample::other(thread)
    }

    fn sample_self(&self) -> Sample {
        sample::own()
    }

    fn list_uses(&self, addr: u64, block: &HeapBlock) -> bool {
        let (base, size) = (block.base, block.size);
        ENGINE.uses(addr as usize, &Block { base, size, ..Block::default() })
    }
}

impl Storage for Process {}

impl Host for Process {
    type Timer = TimerRef;
    type Run = RunRef;

    fn thread(&self) -> u32 {
        let known = TID.try_with(Cell::get).unwrap_or(0);
        if known != 0 {
            return known;
        }
        let tid = sample::own_tid();
        let _ = TID.try_with(|cell| cell.set(tid));
        tid
    }

    fn cpu(&self) -> Option<usize> {
        clock::is_timer_thread().then_some(0)
    }

    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }

    fn pause(&self, attempt: u32) {
        clock::pause(attempt);
    }

    fn waits_for(&self, _thread: u32) -> Option<u32> {
        None
    }

    fn block(&self, addr: usize) -> Option<Block> {
        deadwalk_alloc::lookup(addr).map(|block| telling::block_of(&block))
    }

    fn watch(&self, addr: usize) {
        deadwalk_alloc::watch(addr);
    }

    fn is_usable(&self, _addr: usize, _bytes: usize) -> bool {
        true // the promise of whoever made the `RawTimer`
    }

    fn want_ticks(&self) {
        clock::start();
    }

    fn set_jiffies(&self, jiffies: u64) {
        clock::set_jiffies(jiffies);
    }

    fn has_data(&self, data: usize, addr: usize) -> bool {
        telling::has_data(data, addr)
    }

    fn init(&self, known: &Known) -> Option<TimerRef> {
        telling::init(known)
    }

    fn armed(&self, timer: TimerRef, armed: &Armed) -> bool {
        telling::armed(timer, armed)
    }

    fn changed(&self, timer: TimerRef, handler: usize, data: usize, addr: usize) {
        telling::changed(timer, handler, data, addr);
    }

    fn detached(&self, timer: TimerRef, by_caller: bool) {
        DETECTOR.list_detached(timer, by_caller);
    }

    fn entered(&self, timer: TimerRef) -> Option<RunRef> {
        DETECTOR.enter(timer)?.run
    }

    fn retired(&self, timer: TimerRef) {
        DETECTOR.list_retired(timer);
    }

    fn rearmed(&self, run: RunRef) {
        DETECTOR.list_rearmed(run);
    }

    fn owner_armed(&self, run: RunRef) {
        DETECTOR.list_owner_armed(run);
    }

    fn handled(&self, run: RunRef) {
        DETECTOR.list_handled(run);
    }

    fn count(&self, count: Count) {
        telling::count(count);
    }

    fn count_delete(&self, op: Op, site: usize, handler: usize, was_pending: bool) {
        DETECTOR.list_count_delete(op, site, handler, was_pending);
    }

    fn left(&self, run: RunRef) -> bool {
        DETECTOR.leave(run)
    }

    /// Whether it gave up is kept of each.
    fn hears_every_delete(&self) -> bool {
        true
    }

    fn deleted(&self, deleted: &Deleted<TimerRef, RunRef>) {
        GAVE_UP.set(Some(deleted.gave_up));
        // An earlier delete of this thread that landed is made good by this one.
        let (at_ns, activity) = LANDED.get();
        if at_ns != 0
            && activity == own_activity()
            && clock::now_ns().saturating_sub(at_ns) < limit_ns(deleted.op)
            && deleted.timer.is_some_and(|timer| !DETECTOR.list_deleted_again(timer))
        {
            LANDED.set((0, 0));
        }
        if DETECTOR.list_deleted(deleted) {
            LANDED.set((clock::now_ns(), own_activity()));
        }
    }

    fn harmed(&self, run: RunRef, kind: Kind, addr: usize, block: Block) -> bool {
        DETECTOR.list_harmed(run, kind, addr, telling::heap_block(&block))
    }

    fn found(&self, found: &Found<TimerRef>) -> Option<u32> {
        telling::found(found, &[])
    }

    fn worsened(&self, finding: u32) {
        DETECTOR.list_worsened(finding);
    }

    fn futile(&self, op: Op, _site: usize) {
        static TOLD: AtomicBool = AtomicBool::new(false);
        if !TOLD.swap(true, Relaxed) {
            eprintln!(
                "deadwalk: hint: {} was called 500 times within a second on a timer that is \
                 neither pending nor running",
                op.name()
            );
        }
    }
}
