//! The engine's host: this process.

use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::Relaxed};

use deadwalk_alloc::BlockState;
use deadwalk_detector::counters::Counter;
use deadwalk_detector::platform::Platform;
use deadwalk_detector::record::layout::{STACK_DEPTH, StackRole, Verdict};
use deadwalk_detector::timer_list::{ListArm, ListDelete, ListFinding, ListTimer};
use deadwalk_detector::{DETECTOR, HeapBlock, Kind, Op, RunRef, Severity, TimerRef};
use deadwalk_timer::host::{Armed, Block, Caller, Count, Deleted, Found, Host, Known, Trash};
use deadwalk_timer::retry::limit_ns;
use deadwalk_timer::storage::Storage;

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

fn heap_block(block: &Block) -> HeapBlock {
    HeapBlock { base: block.base, size: block.size, alloc_site: block.alloc_site }
}

/// Has the calling thread, since its delete landed, freed nothing, and is that
/// not long ago? Then it retries; else it relied on the first delete.
fn is_at_once(op: Op) -> bool {
    tls::landed_activity_word() == deadwalk_alloc::thread_activity().read()
        && host::now_ns().saturating_sub(tls::landed_ns_word()) < limit_ns(op)
}

/// Is the argument of the timer at `addr` in a live block that does not hold the
/// timer itself?
fn has_data(data: usize, addr: usize) -> bool {
    data >= FIRST_ADDRESS
        && deadwalk_alloc::lookup(data).is_some_and(|block| {
            block.state == BlockState::Live && addr.wrapping_sub(block.base) >= block.size.max(1)
        })
}

/// The block of its argument, watched from now on.
fn data_block(data: usize, addr: usize) -> Option<HeapBlock> {
    if !has_data(data, addr) {
        return None;
    }
    let block = deadwalk_alloc::watch(data)?;
    Some(HeapBlock { base: block.base, size: block.size, alloc_site: block.alloc_site })
}

/// No memory lies lower: an argument below is a number.
const FIRST_ADDRESS: usize = 4096;

fn counter(count: Count) -> Counter {
    match count {
        Count::Inited => Counter::TimersInited,
        Count::Armed => Counter::TimersArmed,
        Count::Queued | Count::Dequeued => Counter::TimersPending,
        Count::Unnamed => Counter::TimersExpired,
        Count::AutoDetached => Counter::TimersAutoDetached,
        Count::Refused => Counter::TimersSuppressed,
        Count::FieldsChanged => Counter::TimersFieldsChanged,
        Count::Lost => Counter::DroppedEvents,
        Count::NoMemory => Counter::DroppedTimers,
        Count::SyncWait => Counter::DelSyncWaits,
        Count::Trashed(Trash::Freed) => Counter::TrashedFreed,
        Count::Trashed(Trash::Uninit) => Counter::TrashedUninit,
        Count::Trashed(Trash::Copied) => Counter::TrashedCopied,
        Count::Trashed(Trash::Wiped) => Counter::TrashedWiped,
        Count::Trashed(Trash::Clobbered) => Counter::TrashedClobbered,
    }
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
        let block = deadwalk_alloc::lookup(addr)?;
        Some(Block {
            base: block.base,
            size: block.size,
            is_freed: block.state == BlockState::Freed,
            alloc_site: block.alloc_site,
            free_site: block.free_site,
        })
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
        has_data(data, addr)
    }

    fn init(&self, known: &Known) -> Option<TimerRef> {
        let &Known { addr, handler, data: value, arm_site, del_site } = known;
        DETECTOR.list_init(&ListTimer { addr, handler, value, arm_site, del_site })
    }

    fn armed(&self, timer: TimerRef, armed: &Armed) -> bool {
        let &Armed { handler, data, site, addr, by_handler } = armed;
        let arming = ListArm { handler, value: data, site, by_handler };
        DETECTOR.list_armed(timer, &arming, || data_block(data, addr))
    }

    fn changed(&self, timer: TimerRef, handler: usize, data: usize, addr: usize) {
        DETECTOR.list_changed(timer, handler, data, || data_block(data, addr));
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
        let record = &DETECTOR.record;
        match count {
            Count::Lost => record.count(counter(count), 1),
            Count::Dequeued => record.count_locked(counter(count), u64::MAX), // minus one
            Count::Unnamed => {
                record.count_locked(Counter::TimersExpired, 1);
                record.count_locked(Counter::TimersHandlersRun, 1);
            }
            _ => record.count_locked(counter(count), 1),
        }
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
        let delete = ListDelete {
            timer: deleted.timer,
            op: deleted.op,
            site: deleted.site,
            detaches: deleted.detaches,
            re_deletes: deleted.re_deletes,
            readds_by_handler: deleted.readds_by_handler,
            readds_by_other: deleted.readds_by_other,
            is_own: deleted.is_own,
            waited_ns: deleted.waited_ns,
            gave_up: deleted.gave_up,
            landed_on: deleted.landed_on,
        };
        let landed = not_cancelled(|| DETECTOR.list_deleted(&delete));
        if landed {
            resources::landed();
            tls::set_landed_ns_word(host::now_ns());
            tls::set_landed_activity_word(deadwalk_alloc::thread_activity().read());
        }
    }

    fn harmed(&self, run: RunRef, kind: Kind, addr: usize, block: Block) -> bool {
        not_cancelled(|| DETECTOR.list_harmed(run, kind, addr, heap_block(&block)))
    }

    fn found(&self, found: &Found<TimerRef>) -> Option<u32> {
        let mut stack = [0usize; STACK_DEPTH];
        let depth = found
            .blocked
            .map_or(0, |thread| not_cancelled(|| holder::stack_of_waiter(thread, &mut stack)));
        let finding = ListFinding {
            kind: found.kind,
            verdict: match found.severity {
                Severity::Info => Verdict::Info,
                Severity::Warning => Verdict::Warning,
                Severity::Error => Verdict::Error,
            },
            timer: found.timer,
            addr: found.addr,
            block: heap_block(&found.block),
            free_site: found.block.free_site,
            caller: match found.caller {
                Caller::Access => Some(StackRole::Access),
                Caller::Delete => Some(StackRole::Del),
                Caller::Free => Some(StackRole::Free),
                Caller::Nobody => None,
            },
            site: found.site,
            handler_stack: &stack[..depth.min(STACK_DEPTH)],
        };
        not_cancelled(|| DETECTOR.list_finding(&finding))
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
