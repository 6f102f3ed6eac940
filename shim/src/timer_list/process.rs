//! The engine's host: this process.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::Relaxed};

use deadwalk_detector::platform::Platform;
use deadwalk_detector::record::layout::STACK_DEPTH;
use deadwalk_detector::{DETECTOR, Kind, Op, RunRef, TimerRef};
use deadwalk_timer::host::{Armed, Block, Count, Deleted, Found, Host, Known};
use deadwalk_timer::retry::limit_ns;
use deadwalk_timer::storage::Storage;
use deadwalk_timer::telling;

use crate::kernel::holder;
use crate::say::Line;
use crate::thunk::not_cancelled;
use crate::timer_list::{ticks, usable};
use crate::{host, resources, tls};

/// This process.
#[derive(Debug)]
pub struct Process;

/// The program's `jiffies`.
///
/// An executable that is not position independent has its own copy: it is
/// written through the address that the loader gives everybody.
#[unsafe(no_mangle)]
pub static deadwalk_jiffies: AtomicU64 = AtomicU64::new(0);

static JIFFIES: AtomicPtr<AtomicU64> = AtomicPtr::new(core::ptr::null_mut());

/// Looks up where the program's `jiffies` are, in the constructor.
pub fn find_jiffies() {
    // SAFETY: a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"deadwalk_jiffies".as_ptr()) };
    JIFFIES.store(found.cast(), Relaxed);
}

impl Storage for Process {}

/// Has the calling thread, since its delete landed, freed nothing, and is that
/// not long ago? Then it retries; else it relied on the first delete.
fn is_at_once(op: Op) -> bool {
    tls::landed_activity_word() == deadwalk_alloc::thread_activity().read()
        && host::now_ns().saturating_sub(tls::landed_ns_word()) < limit_ns(op)
}

impl Host for Process {
    type Timer = TimerRef;
    type Run = RunRef;

    #[inline]
    fn thread(&self) -> u32 {
        tls::tid()
    }

    fn cpu(&self) -> Option<usize> {
        (tls::cpu_word() as usize).checked_sub(1)
    }

    fn now_ns(&self) -> u64 {
        host::now_ns()
    }

    fn pause(&self, attempt: u32) {
        host::Host.pause(attempt);
    }

    fn waits_for(&self, thread: u32) -> Option<u32> {
        not_cancelled(|| holder::waits_for(thread))
    }

    fn block(&self, addr: usize) -> Option<Block> {
        deadwalk_alloc::lookup(addr).map(|block| telling::block_of(&block))
    }

    fn watch(&self, addr: usize) {
        deadwalk_alloc::watch(addr);
    }

    fn is_usable(&self, addr: usize, bytes: usize) -> bool {
        usable::is_usable(addr, bytes)
    }

    fn held_up_ns(&self) -> u64 {
        DETECTOR.provoke.spent_ns()
    }

    fn stretch_ns(&self, held_up_ns: u64, bound_ns: u64) -> u64 {
        DETECTOR.provoke.stretch_ns(held_up_ns, bound_ns)
    }

    #[inline]
    fn want_ticks(&self) {
        if ticks::may_start() {
            not_cancelled(ticks::start);
        }
    }

    fn set_jiffies(&self, jiffies: u64) {
        // SAFETY: null, or the program's variable, which lives as long as it.
        let found = unsafe { JIFFIES.load(Relaxed).as_ref() };
        found.unwrap_or(&deadwalk_jiffies).store(jiffies, Relaxed);
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

    #[inline]
    fn count(&self, count: Count) {
        telling::count(count);
    }

    fn count_delete(&self, op: Op, site: usize, handler: usize, was_pending: bool) {
        DETECTOR.list_count_delete(op, site, handler, was_pending);
    }

    fn left(&self, run: RunRef) -> bool {
        DETECTOR.leave(run)
    }

    fn deleted(&self, deleted: &Deleted<TimerRef, RunRef>) {
        // An earlier delete of this thread that landed is made good by this one.
        if tls::hooks() & tls::LANDED != 0
            && let Some(timer) = deleted.timer
            && is_at_once(deleted.op)
            && !DETECTOR.list_deleted_again(timer)
        {
            tls::set_hooks(tls::hooks() & !tls::LANDED);
        }
        let landed = not_cancelled(|| DETECTOR.list_deleted(deleted));
        if landed {
            resources::landed();
            tls::set_landed_ns_word(host::now_ns());
            tls::set_landed_activity_word(deadwalk_alloc::thread_activity().read());
        }
    }

    fn harmed(&self, run: RunRef, kind: Kind, addr: usize, block: Block) -> bool {
        not_cancelled(|| DETECTOR.list_harmed(run, kind, addr, telling::heap_block(&block)))
    }

    fn found(&self, found: &Found<TimerRef>) -> Option<u32> {
        let mut stack = [0usize; STACK_DEPTH];
        let depth = found
            .blocked
            .map_or(0, |thread| not_cancelled(|| holder::stack_of_waiter(thread, &mut stack)));
        not_cancelled(|| telling::found(found, &stack[..depth.min(STACK_DEPTH)]))
    }

    fn worsened(&self, finding: u32) {
        DETECTOR.list_worsened(finding);
    }

    fn futile(&self, op: Op, _site: usize) {
        static TOLD: AtomicBool = AtomicBool::new(false);
        if TOLD.swap(true, Relaxed) {
            return;
        }
        not_cancelled(|| {
            Line::new()
                .text("hint: ")
                .text(op.name())
                .text(" was called 500 times within a second on a timer that is neither pending ")
                .text(
                    "nor running; if that is a loop that waits for the handler, it waits for ever",
                )
                .say();
        });
    }
}
