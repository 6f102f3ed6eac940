//! What a host tells the detector: the same for each that is a process of its own.
//!
//! Contexts: as the calls of [`Host`](crate::host::Host) that these stand for.

use deadwalk_alloc::BlockState;
use deadwalk_detector::counters::Counter;
use deadwalk_detector::record::layout::{StackRole, Verdict};
use deadwalk_detector::timer_list::{ListArm, ListFinding, ListTimer};
use deadwalk_detector::{DETECTOR, HeapBlock, Severity, TimerRef};

use crate::host::{Armed, Block, Caller, Count, Found, Known, Trash};

/// No memory lies lower: an argument below is a number.
const FIRST_ADDRESS: usize = 4096;

/// A block as the detector has it.
pub fn heap_block(block: &Block) -> HeapBlock {
    HeapBlock { base: block.base, size: block.size, alloc_site: block.alloc_site }
}

/// A block as the engine has it.
pub fn block_of(block: &deadwalk_alloc::Block) -> Block {
    Block {
        base: block.base,
        size: block.size,
        is_freed: block.state == BlockState::Freed,
        alloc_site: block.alloc_site,
        free_site: block.free_site,
    }
}

/// Is the argument of the timer at `addr` in a live block that does not hold the
/// timer itself?
pub fn has_data(data: usize, addr: usize) -> bool {
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
    deadwalk_alloc::watch(data).map(|block| heap_block(&block_of(&block)))
}

/// A timer got to be known.
pub fn init(known: &Known) -> Option<TimerRef> {
    let &Known { addr, handler, data: value, arm_site, del_site } = known;
    DETECTOR.list_init(&ListTimer { addr, handler, value, arm_site, del_site })
}

/// A timer was armed.
pub fn armed(timer: TimerRef, armed: &Armed) -> bool {
    let &Armed { handler, data, site, addr, by_handler } = armed;
    let arming = ListArm { handler, value: data, site, by_handler };
    DETECTOR.list_armed(timer, &arming, || data_block(data, addr))
}

/// The program changed a timer's handler or argument.
pub fn changed(timer: TimerRef, handler: usize, data: usize, addr: usize) {
    DETECTOR.list_changed(timer, handler, data, || data_block(data, addr));
}

/// Something is to be counted.
#[inline]
pub fn count(count: Count) {
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

/// The engine found something; `handler_stack` is that of the handler's thread, if it
/// is blocked. The number of the finding.
pub fn found(found: &Found<TimerRef>, handler_stack: &[usize]) -> Option<u32> {
    DETECTOR.list_finding(&ListFinding {
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
        handler_stack,
    })
}
