//! The detector inside a Rust program, without the preloaded library: a host
//! over std, and the sink that `deadwalk_alloc::observe_with!` plugs in.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::OnceLock;
use std::time::Instant;

use crate::Kind;
use crate::blocks::HeapBlock;
use crate::collect;
use crate::core::DETECTOR;
use crate::counters::HEAP_COUNTER_COUNT;
use crate::frees::HeapMisuse;
use crate::ladder::Sample;
use crate::platform::{Module, Platform, ThreadToken};
use crate::record::layout::BodySegment;

struct InProcess;

/// What a timer engine in this program knows better than std.
///
/// Methods are called as those of [`Platform`]: also inside `free`.
pub trait Helper: Sync {
    /// The calling thread, by its kernel id.
    fn thread(&self) -> ThreadToken;
    /// Samples another thread.
    fn sample(&self, thread: ThreadToken) -> Sample;
    /// Samples the calling thread.
    fn sample_self(&self) -> Sample;
    /// As [`Platform::list_uses`].
    fn list_uses(&self, addr: u64, block: &HeapBlock) -> bool;
}

static HELPER: OnceLock<&'static dyn Helper> = OnceLock::new();

/// Plugs a timer engine in, before its first timer; later calls change nothing.
pub fn set_helper(helper: &'static dyn Helper) {
    let _ = HELPER.set(helper);
}

static START: OnceLock<Instant> = OnceLock::new();
static THREADS: AtomicU32 = AtomicU32::new(1);

thread_local! {
    static THREAD: Cell<u32> = const { Cell::new(0) };
}

impl Platform for InProcess {
    fn now_ns(&self) -> u64 {
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }

    fn thread(&self) -> ThreadToken {
        if let Some(helper) = HELPER.get() {
            return helper.thread();
        }
        let tid = THREAD.try_with(|cell| {
            if cell.get() == 0 {
                cell.set(THREADS.fetch_add(1, Ordering::Relaxed));
            }
            cell.get()
        });
        ThreadToken { tid: tid.unwrap_or(0), probe: 0 }
    }

    fn sample(&self, thread: ThreadToken) -> Sample {
        let unseen =
            Sample { asleep: false, voluntary_switches: u64::MAX, cpu_ns: u64::MAX, activity: 0 };
        HELPER.get().map_or(unseen, |helper| helper.sample(thread))
    }

    fn sample_self(&self) -> Sample {
        HELPER.get().map_or_else(Sample::default, |helper| helper.sample_self())
    }

    fn capture(&self, out: &mut [usize]) -> usize {
        let mut depth = 0;
        backtrace::trace(|frame| {
            if depth < out.len() {
                out[depth] = (frame.ip() as usize).saturating_sub(1);
                depth += 1;
            }
            depth < out.len()
        });
        depth
    }

    fn module_of(&self, _addr: usize, _found: &mut dyn FnMut(&Module<'_>)) {}

    fn body(&self) -> Option<&'static BodySegment> {
        None
    }

    fn thread_object(&self) -> u64 {
        0
    }

    fn is_pending(&self, _handle: u64) -> bool {
        false
    }

    fn passes_value(&self, _signal: u32) -> bool {
        false
    }

    fn list_uses(&self, addr: u64, block: &HeapBlock) -> bool {
        HELPER.get().is_none_or(|helper| helper.list_uses(addr, block))
    }

    fn needs_waking(&self, _tid: u32) -> bool {
        false
    }

    fn standstill(&self) -> Option<u64> {
        None
    }

    fn waits_for(&self, _tid: u32) -> Option<u32> {
        None
    }

    fn stack_of_waiter(&self, _tid: u32, _out: &mut [usize]) -> usize {
        0
    }

    fn pause(&self, _attempt: u32) {
        std::thread::yield_now();
    }

    fn wake(&self) {
        collect::wake();
    }
}

/// Plugs std in as the detector's host, unless it has one. Called by everything
/// here; calling it again does nothing.
pub fn activate() {
    DETECTOR.activate(&InProcess);
}

/// The sink for what the allocator finds: pass its path to
/// `deadwalk_alloc::observe_with!`. Addresses are as the allocator gives them;
/// an unknown `kind` is counted as dropped.
#[allow(clippy::too_many_arguments)] // The two crates share no type but these.
pub fn heap_misuse(
    kind: &'static str,
    addr: usize,
    base: usize,
    size: usize,
    offset: isize,
    alloc_site: usize,
    free_site: usize,
    caller: usize,
    expected: &[u8; 16],
    found: &[u8; 16],
    late: bool,
    in_signal: bool,
) {
    activate();
    let Some(kind) = Kind::from_name(kind) else {
        DETECTOR.record.count(crate::counters::Counter::DroppedEvents, 1);
        return;
    };
    DETECTOR.heap_misuse(&HeapMisuse {
        kind,
        addr,
        block: HeapBlock { base, size, alloc_site },
        offset,
        free_site,
        late,
        caller,
        bytes: (expected != found).then_some((expected, found)),
        in_signal,
        stack: 0,
        age_ns: 0,
    });
}

/// A counter of this process by its path in the JSON report, for example
/// `"heap.retired_slots"`; `None` if there is no such counter.
pub fn counter(path: &str) -> Option<u64> {
    DETECTOR.counter(path)
}

/// The cells of the heap counters: pass them to
/// `deadwalk_alloc::set_counters`, and [`counter`] can read `heap.*`.
pub fn heap_counters() -> &'static [AtomicU64; HEAP_COUNTER_COUNT] {
    let cells = DETECTOR.record.head().counters.first_chunk();
    cells.expect("the record has more counters than the heap's")
}
