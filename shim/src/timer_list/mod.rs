//! The kernel's `timer_list` timers in this process.
//!
//! | file | is |
//! |---|---|
//! | `process` | what the engine needs: heap, threads, detector |
//! | `calls` | the exports behind `deadwalk/timer.h`, and of `deadwalk.h` what concerns timers |
//! | `ticks` | the clock and the timer threads |
//! | `usable` | is there memory at an address |

mod calls;
mod process;
mod ticks;
mod usable;

use core::ops::Range;

use deadwalk_detector::counters::Counter;
use deadwalk_detector::options::{DelPolicy, Options};
use deadwalk_detector::{DETECTOR, HeapBlock};
use deadwalk_timer::host::Block;
use deadwalk_timer::{Engine, Settings};

use crate::host;
use crate::say::Line;
use process::Process;

/// The timers of this process.
static ENGINE: Engine<Process> = Engine::new(Process);

/// Settings from the options, in the constructor.
pub fn configure(options: &Options<'_>) {
    usable::prepare();
    process::find_jiffies();
    ENGINE.configure(Settings {
        hz: options.hz,
        cpus: options.cpus as usize,
        deadlock_ns: u64::from(options.deadlock_ms) * 1_000_000,
        deadlock_loops: options.deadlock_loops,
        hook_free: options.hook_free,
        legacy_timer_exit: options.legacy_timer_exit,
        seed: seed(),
    });
    ENGINE.set_policy(options.del);
}

/// Changes what deletes do, of all timers.
fn set_policy(policy: DelPolicy) {
    ENGINE.set_policy(policy);
    DETECTOR.set_policy(policy);
}

/// Sixteen random bytes that the kernel gave this process.
fn seed() -> u64 {
    // SAFETY: AT_RANDOM points to 16 bytes that live as long as the process.
    unsafe {
        let random = libc::getauxval(libc::AT_RANDOM) as *const u64;
        random.as_ref().map_or_else(host::now_ns, |_| random.read_unaligned())
    }
}

/// A watched block is about to be freed. Inside `free`.
pub fn freeing(block: &deadwalk_alloc::Block, site: usize) {
    let block = Block {
        base: block.base,
        size: block.size,
        is_freed: false,
        alloc_site: block.alloc_site,
        free_site: site,
    };
    ENGINE.freeing(block, site);
}

/// Is the armed timer at `addr` to get something in that block for its argument?
/// Inside `free`.
pub fn uses(addr: usize, block: &HeapBlock) -> bool {
    let (base, size) = (block.base, block.size);
    ENGINE.uses(addr, &Block { base, size, ..Block::default() })
}

/// Calls `each` with handler, address and whether it runs of every armed or running
/// timer.
pub fn each_live(each: &mut dyn FnMut(usize, usize, bool)) {
    ENGINE.each_live(each);
}

/// The code in `text` was unloaded by a call from `site`.
pub fn unloaded(text: &Range<usize>, site: usize) {
    ENGINE.unload(text.clone(), site);
}

/// The process ends: no handler starts from now on, and the books must balance.
pub fn at_exit() {
    ticks::stop();
    if !ENGINE.is_balanced() {
        DETECTOR.record.count(Counter::TimersInvariantBroken, 1);
        let books = ENGINE.books();
        Line::new()
            .text("the books of timer_list do not balance: queued ")
            .number(books.queued)
            .text(", expired ")
            .number(books.expired)
            .text(", refused ")
            .number(books.refused)
            .text(", detached ")
            .number(books.detached)
            .text(", auto-detached ")
            .number(books.auto_detached)
            .text(", pending ")
            .number(ENGINE.pending_count())
            .say();
    }
}

/// A fork child has no timers and no timer threads.
pub fn reset_after_fork() {
    ENGINE.reset_after_fork();
    ticks::reset_after_fork();
}
