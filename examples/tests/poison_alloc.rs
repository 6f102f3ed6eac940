//! A Rust test binary that finds misuse of its own heap.
//!
//! Four lines switch deadwalk on: the allocator, the call that plugs the
//! detector into it, the place where the heap counts, and a subscription to what
//! is found.

use deadwalk_detector::{Finding, Severity};
use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[global_allocator]
static HEAP: deadwalk_alloc::PoisonAlloc = deadwalk_alloc::PoisonAlloc;

/// Findings are the process's: the tests run one after the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `misuse` and returns the first finding it made.
fn finding_of(misuse: impl FnOnce()) -> Finding {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    deadwalk_alloc::observe_with!(deadwalk_detector::heap_misuse);
    deadwalk_alloc::set_counters(deadwalk_detector::in_process::heap_counters());
    let found = deadwalk_detector::subscribe();
    misuse();
    found.recv_timeout(Duration::from_secs(10)).expect("a finding")
}

/// Slots taken out of use because something damaged them.
fn retired_slots() -> u64 {
    deadwalk_detector::counter("heap.retired_slots").expect("a counter of the report")
}

/// Allocations enough to bring every freed block of that layout round again.
fn churn(layout: Layout) {
    for _ in 0..50_000 {
        // SAFETY: the layout has a size; the block is freed once, with it.
        unsafe { dealloc(black_box(alloc(layout)), layout) };
    }
}

#[test]
fn write_after_free_is_found_at_reuse() {
    let layout = Layout::from_size_align(48, 8).expect("a layout");
    let retired_before = retired_slots();
    let finding = finding_of(|| {
        // SAFETY: the layout has a size.
        let block = black_box(unsafe { alloc(layout) });
        // SAFETY: allocated above with this layout.
        unsafe { dealloc(block, layout) };
        // SAFETY: none; the write after the free is the bug on show. The
        // allocator keeps the slot mapped, so only poison is overwritten.
        unsafe { block.add(16).write_volatile(b'x') };
        churn(layout);
    });
    assert_eq!(finding.kind.name(), "use-after-free-write");
    assert_eq!(finding.severity, Severity::Error);
    let retired = retired_slots() - retired_before;
    assert_eq!(retired, 1, "a damaged slot is never used again");
}

#[test]
fn double_free_is_found_at_once() {
    let layout = Layout::from_size_align(80, 8).expect("a layout");
    let finding = finding_of(|| {
        // SAFETY: the layout has a size.
        let block = black_box(unsafe { alloc(layout) });
        // SAFETY: allocated above with this layout.
        unsafe { dealloc(block, layout) };
        // SAFETY: none; the second free is the bug on show. The allocator sees
        // the slot's state and leaves it alone.
        unsafe { dealloc(black_box(block), layout) };
    });
    assert_eq!(finding.kind.name(), "double-free");
    assert_eq!(finding.severity, Severity::Error);
}
