//! What the engine needs of the process that it runs in.
//!
//! The shim implements it over system calls, the allocator and the detector;
//! tests over plain variables.

use deadwalk_detector::{Kind, Op, Severity};

use crate::storage::Storage;

/// A heap block as the allocator knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Its start; 0 for none.
    pub base: usize,
    /// Its requested size.
    pub size: usize,
    /// Was it freed?
    pub is_freed: bool,
    /// Return address of its allocation, 0 if unknown.
    pub alloc_site: usize,
    /// Return address of its free, 0 if unknown or not freed.
    pub free_site: usize,
}

/// How a `timer_list` was trashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trash {
    /// Its memory was freed.
    Freed,
    /// It was never initialised.
    Uninit,
    /// It is the copy of an armed one.
    Copied,
    /// It was zeroed while armed.
    Wiped,
    /// It was otherwise overwritten while armed.
    Clobbered,
}

/// What the detector is told of a timer that it does not know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The timer's address.
    pub addr: usize,
    /// Its handler, as far as known.
    pub handler: usize,
    /// The handler's argument.
    pub data: usize,
    /// Return address of the call that armed it last, 0 if there was none.
    pub arm_site: usize,
    /// ... and of the one that deleted it last.
    pub del_site: usize,
}

/// How a timer was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// Its handler.
    pub handler: usize,
    /// The handler's argument.
    pub data: usize,
    /// Return address of the call.
    pub site: usize,
    /// The timer's address.
    pub addr: usize,
    /// Its running handler made the call.
    pub by_handler: bool,
}

/// What is counted beside the verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A new timer, or an old one initialised again.
    Inited,
    /// A timer was armed, or armed anew.
    Armed,
    /// A timer is on a wheel that was on none.
    Queued,
    /// It is on a wheel no more.
    Dequeued,
    /// A handler is called that the detector could not name.
    Unnamed,
    /// An armed timer was detached by something else than a delete.
    AutoDetached,
    /// An expiry whose handler was not called.
    Refused,
    /// An expiry whose timer's fields were changed while it was armed.
    FieldsChanged,
    /// A delete found the handler running and begins to wait.
    SyncWait,
    /// A call was ignored, since its thread was in the middle of another: it
    /// came from a signal handler. Or a finding was, for want of memory.
    Lost,
    /// A new timer was ignored for want of memory.
    NoMemory,
    /// A trashed timer_list was met.
    Trashed(Trash),
}

/// In which role the calling thread's stack belongs to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// It makes the offending call.
    Access,
    /// It deletes.
    Delete,
    /// It frees.
    Free,
    /// It is a timer thread: its stack tells nothing.
    Nobody,
}

/// Something found.
#[derive(Clone, Copy, Debug)]
pub struct Found<T> {
    /// What it is.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// The timer, if it is known.
    pub timer: Option<T>,
    /// The `timer_list`'s address.
    pub addr: usize,
    /// The heap block that holds it, if one does.
    pub block: Block,
    /// Whose stack is kept.
    pub caller: Caller,
    /// Return address of the call.
    pub site: usize,
    /// A handler's thread that is blocked: its stack is kept too.
    pub blocked: Option<u32>,
}

/// A delete call and what it did; its timer, if that has a name.
pub use deadwalk_detector::list_delete::ListDelete as Deleted;

/// The process.
///
/// What is called with the engine's lock held says so; it calls nothing of the
/// engine, takes no lock that a caller of the engine may hold, and frees nothing
/// of the watched heap.
pub trait Host: Storage + Sync {
    /// The detector's name of a timer.
    type Timer: Copy + Send;
    /// The detector's name of a handler's run.
    type Run: Copy + Send;

    /// The calling thread's number, never 0.
    fn thread(&self) -> u32;
    /// The timer thread that the calling thread is, counted from 0.
    fn cpu(&self) -> Option<usize>;
    /// Monotonic time, ns.
    fn now_ns(&self) -> u64;
    /// Lets time pass; `attempt` counts from 0.
    fn pause(&self, attempt: u32);
    /// The thread that holds what `thread` is blocked on now, if that is known.
    fn waits_for(&self, thread: u32) -> Option<u32>;

    /// How long threads were held up on purpose so far, all together, ns.
    fn held_up_ns(&self) -> u64 {
        0
    }
    /// How much longer than `bound_ns` a wait may take for the sake of what was
    /// held up since `held_up_ns` was `before`, ns.
    fn stretch_ns(&self, _before: u64, _bound_ns: u64) -> u64 {
        0
    }

    /// The heap block that holds `addr`. Lock held.
    fn block(&self, addr: usize) -> Option<Block>;
    /// Has [`Engine::freeing`](crate::Engine::freeing) called before the block
    /// at `addr` is freed. Lock held.
    fn watch(&self, addr: usize);
    /// Can these bytes outside the heap be read and written? Lock held.
    fn is_usable(&self, addr: usize, bytes: usize) -> bool;

    /// The first timer was armed, or the clock is wanted: timer threads must run.
    fn want_ticks(&self);
    /// The program's `jiffies`. Lock held.
    fn set_jiffies(&self, jiffies: u64);

    /// Is `data`, the argument of the timer at `addr`, in a live heap block that is
    /// not the timer's own? Then the detector must know the timer. Lock held.
    fn has_data(&self, data: usize, addr: usize) -> bool;
    /// A timer that the detector does not know yet. Lock held.
    fn init(&self, known: &Known) -> Option<Self::Timer>;
    /// It was armed. As [`has_data`](Self::has_data). Lock held.
    fn armed(&self, timer: Self::Timer, armed: &Armed) -> bool;
    /// The program changed its handler or argument while it was armed. Lock held.
    fn changed(&self, timer: Self::Timer, handler: usize, data: usize, addr: usize);
    /// It is off the wheel without having expired. Lock held.
    fn detached(&self, timer: Self::Timer, by_caller: bool);
    /// Its handler is about to start on this thread. Lock held.
    fn entered(&self, timer: Self::Timer) -> Option<Self::Run>;
    /// It is no more. Lock held.
    fn retired(&self, timer: Self::Timer);
    /// The handler of this run armed its own timer after a delete. Lock held.
    fn rearmed(&self, run: Self::Run);
    /// Another thread armed the timer of this run after a delete: what the
    /// handler arms from now on undoes no delete before. Lock held.
    fn owner_armed(&self, run: Self::Run);
    /// The handler of this run freed or deleted its own timer. Lock held.
    fn handled(&self, run: Self::Run);
    /// Counts. Lock held, but for [`Count::Lost`].
    fn count(&self, count: Count);
    /// Counts a delete from `site` of a timer with that handler. Lock held.
    fn count_delete(&self, op: Op, site: usize, handler: usize, was_pending: bool);

    /// The handler has returned. Was something noted on its run?
    fn left(&self, run: Self::Run) -> bool;
    /// Is [`deleted`](Self::deleted) to be told of every delete?
    fn hears_every_delete(&self) -> bool {
        false
    }
    /// A delete returned that did more than take its timer off the wheel, or that
    /// is of a timer with a name.
    fn deleted(&self, deleted: &Deleted<Self::Timer, Self::Run>);
    /// What the handler of the run of the timer at `addr` uses is gone by the
    /// calling thread's doing. `false`: it had ended.
    fn harmed(&self, run: Self::Run, kind: Kind, addr: usize, block: Block) -> bool;
    /// Something was found; where it stands.
    fn found(&self, found: &Found<Self::Timer>) -> Option<u32>;
    /// A finding that was a warning has done harm.
    fn worsened(&self, finding: u32);
    /// The same delete was called over and over, and fast, on a timer that is
    /// neither pending nor running.
    fn futile(&self, op: Op, site: usize);
}
