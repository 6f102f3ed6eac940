//! What the core needs from its host: time, threads, stacks, the record's body.
//!
//! The shim implements it over system calls, [`crate::in_process`] over std for
//! Rust test binaries, the tests over plain variables.

use crate::blocks::HeapBlock;
use crate::ladder::Sample;
use crate::record::layout::BodySegment;

/// How far a clock that advances by ticks may be behind: ten ticks of the slowest
/// kernel, for the processor that keeps the time may be a virtual one that waits.
pub const COARSE_NS: u64 = 100_000_000;

/// A thread as another thread may sample it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadToken {
    /// Kernel thread id.
    pub tid: u32,
    /// Opaque: where the host finds what calls the thread made.
    pub probe: u64,
}

/// A loaded object.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// Address minus address in the file.
    pub bias: usize,
    /// First mapped address.
    pub start: usize,
    /// End of the mapping.
    pub end: usize,
    /// Path of the file.
    pub path: &'a [u8],
    /// GNU build id, empty if there is none.
    pub build_id: &'a [u8],
}

/// The host's services.
///
/// Every method may be called inside `free` (no lock held by us), so none may
/// allocate from the watched heap or take a lock; `now_ns`, `thread`, `may_call`
/// and `wake` may run in a signal handler.
pub trait Platform: Sync {
    /// Monotonic time, ns.
    fn now_ns(&self) -> u64;
    /// The same, cheaper and at most [`COARSE_NS`] behind.
    fn coarse_ns(&self) -> u64 {
        self.now_ns()
    }
    /// The calling thread.
    fn thread(&self) -> ThreadToken;
    /// The calling thread as who joins it names it (a `pthread_t`); 0 if nobody can.
    fn thread_object(&self) -> u64;
    /// Samples another thread. What cannot be seen (it has ended, no /proc) is
    /// `u64::MAX`, which no later sample exceeds.
    fn sample(&self, thread: ThreadToken) -> Sample;
    /// Samples the calling thread.
    fn sample_self(&self) -> Sample;
    /// Writes the calling thread's stack, innermost caller first, as addresses
    /// inside the calling instructions; returns how many: none in a timer's
    /// signal handler, which may have interrupted anything.
    fn capture(&self, out: &mut [usize]) -> usize;
    /// Describes the object that holds `addr`, if one does.
    fn module_of(&self, addr: usize, found: &mut dyn FnMut(&Module<'_>));
    /// The record's body, made at the first call; `None` if it cannot be had.
    fn body(&self) -> Option<&'static BodySegment>;
    /// Is this timer armed, as the kernel sees it?
    fn is_pending(&self, handle: u64) -> bool;
    /// Is there a handler of this signal that is told the value sent with it?
    fn passes_value(&self, signal: u32) -> bool;
    /// Does the argument of the armed timer_list at `addr` point into `block`?
    /// The program may change it while the timer is armed.
    fn list_uses(&self, addr: u64, block: &HeapBlock) -> bool;
    /// May the handler at `addr`, whose code may be unloaded meanwhile, be called?
    /// Then that code stays.
    fn may_call(&self, _addr: usize) -> bool {
        true
    }
    /// The thread that holds the lock on which this one is blocked now, or that this
    /// one joins.
    fn waits_for(&self, tid: u32) -> Option<u32>;
    /// Does this thread sleep until another one of the process wakes it?
    fn needs_waking(&self, tid: u32) -> bool;
    /// Names how the process stands still, if every thread but the calling one
    /// sleeps until another one wakes it, and nothing from outside does. Two equal
    /// answers: none of them ran in between.
    fn standstill(&self) -> Option<u64>;
    /// Where this thread called for that lock, as far as it can be told: as
    /// [`capture`](Self::capture).
    fn stack_of_waiter(&self, tid: u32, out: &mut [usize]) -> usize;
    /// Lets time pass in a waiting delete; `attempt` counts from 0.
    fn pause(&self, attempt: u32);
    /// Tells the collector that there is something new.
    fn wake(&self);
}
