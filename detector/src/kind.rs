//! The vocabulary of the report: kinds of finding, severities, consequences.
//!
//! Names in this file are the public interface; scripts match on them. Numbers
//! are what the record file stores: append, never reorder.

macro_rules! named_enum {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $number:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        $vis enum $name { $($(#[$vmeta])* $variant = $number,)+ }

        impl $name {
            /// Every value, in the order of the numbers.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The stable name that reports print.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// The value with this number in a record, if there is one.
            pub const fn from_u8(number: u8) -> Option<Self> {
                match number { $($number => Some($name::$variant),)+ _ => None }
            }

            /// The value with this name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.name() == name)
            }
        }
    };
}

named_enum! {
    /// How much a finding matters.
    pub enum Severity {
        /// Legal, worth counting.
        Info = 0, "info";
        /// A race that did no harm this time.
        Warning = 1, "warning";
        /// Harm, or certain misuse.
        Error = 2, "error";
    }
}

named_enum! {
    /// The worst that happened while a handler went on after its timer was
    /// deleted. The order is the ladder.
    pub enum Consequence {
        /// Nothing that deadwalk saw.
        None = 0, "none";
        /// The handler's data block was freed.
        DataFreed = 1, "data-freed";
        /// The memory that holds the timer itself was freed.
        StorageFreed = 2, "storage-freed";
        /// The handler's code was unloaded.
        TextUnloaded = 3, "text-unloaded";
        /// A descriptor that the handler then used was closed.
        ResourceClosed = 4, "resource-closed";
        /// The handler armed the deleted timer again.
        Rearmed = 5, "rearmed";
        /// The freed memory was read or written.
        Touched = 6, "touched";
    }
}

named_enum! {
    /// The API family of a timer.
    pub enum Api {
        /// No timer is involved: the heap.
        Heap = 0, "heap";
        /// `timer_create` and its family.
        Posix = 1, "posix";
        /// The kernel's `timer_list`.
        TimerList = 2, "timer_list";
        /// The three clocks of `setitimer`, and `alarm` and `ualarm`, which set one of them.
        Itimer = 3, "setitimer";
        /// `timerfd_create` and its family: no handler, expiries are read.
        Timerfd = 4, "timerfd";
    }
}

named_enum! {
    /// The call that a delete site makes. At most 16: sites are keyed by four bits.
    pub enum Op {
        /// `timer_delete`: of POSIX, or the new name of `del_timer`.
        TimerDelete = 0, "timer_delete";
        /// `timer_settime` with a zero `it_value`, which disarms.
        TimerSettime = 1, "timer_settime";
        /// `del_timer`.
        DelTimer = 2, "del_timer";
        /// `del_timer_sync`.
        DelTimerSync = 3, "del_timer_sync";
        /// `del_timer_async`, which never waits.
        DelTimerAsync = 4, "del_timer_async";
        /// `timer_delete_sync`.
        TimerDeleteSync = 5, "timer_delete_sync";
        /// `try_to_del_timer_sync`.
        TryToDelTimerSync = 6, "try_to_del_timer_sync";
        /// `timer_delete_sync_try`.
        TimerDeleteSyncTry = 7, "timer_delete_sync_try";
        /// `timer_shutdown`.
        TimerShutdown = 8, "timer_shutdown";
        /// `timer_shutdown_sync`.
        TimerShutdownSync = 9, "timer_shutdown_sync";
        /// `setitimer` with a zero `it_value`, which disarms.
        Setitimer = 10, "setitimer";
        /// `alarm(0)`.
        Alarm = 11, "alarm";
        /// `ualarm(0, 0)`.
        Ualarm = 12, "ualarm";
        /// `timerfd_settime` with a zero `it_value`, which disarms.
        TimerfdSettime = 13, "timerfd_settime";
        /// The `close` of a timerfd's last descriptor.
        Close = 14, "close";
    }
}

named_enum! {
    /// What a stray memory access hit.
    pub enum Subject {
        /// Any heap block.
        Heap = 0, "heap";
        /// A block known as a timer's data.
        TimerData = 1, "timer-data";
        /// A block that holds a timer.
        Timer = 2, "timer";
    }
}

named_enum! {
    /// What a finding says.
    pub enum Kind {
        /// A delete or disarm returned while the timer's handler ran on another thread.
        DelWhileRunning = 0, "del-while-running";
        /// A running handler's data block was freed by another thread.
        DataFreeWhileRunning = 1, "data-free-while-running";
        /// An armed timer's data block was freed.
        DataFreeWhilePending = 2, "data-free-while-pending";
        /// A handler started while its data block was already freed.
        EnterWithFreedData = 3, "enter-with-freed-data";
        /// A handler started after the delete had returned.
        ExpiryAfterDel = 4, "expiry-after-del";
        /// A call on a handle that was deleted and not given out again.
        StaleHandle = 5, "stale-handle";
        /// The handler of one timer ran twice at the same time.
        OverlappingHandler = 6, "overlapping-handler";
        /// A waiting delete gave up waiting for the handler.
        DelDeadlock = 7, "del-deadlock";
        /// A write into freed memory.
        UseAfterFreeWrite = 8, "use-after-free-write";
        /// A block was freed twice.
        DoubleFree = 9, "double-free";
        /// A pointer was freed that no allocation returned.
        InvalidFree = 10, "invalid-free";
        /// A write behind the end of a block.
        HeapBufferOverflow = 11, "heap-buffer-overflow";
        /// A write in front of a block.
        HeapBufferUnderflow = 12, "heap-buffer-underflow";
        /// A Rust `dealloc` or `realloc` with another layout than the allocation's.
        LayoutMismatch = 13, "layout-mismatch";
        /// A heap block was freed while a timer inside it was armed.
        FreeWhilePending = 14, "free-while-pending";
        /// A heap block was freed while the handler of a timer inside it ran on another thread.
        FreeWhileRunning = 15, "free-while-running";
        /// A handler freed the storage of its own timer.
        FreeOwnHandler = 16, "free-own-handler";
        /// A timer expired in storage that had been freed; its handler was not called.
        ExpireAfterFree = 17, "expire-after-free";
        /// A timer call on freed storage.
        ApiUseAfterFree = 18, "api-use-after-free";
        /// A timer was armed again by the very handler that a delete landed on.
        RearmAfterDel = 19, "rearm-after-del";
        /// A timer that was armed elsewhere was copied (memcpy, realloc) to this address.
        TimerCopied = 20, "timer-copied";
        /// An armed timer was overwritten with zeroes (memset).
        TimerWiped = 21, "timer-wiped";
        /// An armed timer was overwritten.
        TimerClobbered = 22, "timer-clobbered";
        /// A timer call on memory that is no initialised timer.
        UninitUse = 23, "uninit-use";
        /// A zeroed static timer was used without an initialiser.
        StaticUninit = 24, "static-uninit";
        /// A timer without a handler was armed.
        NullHandler = 25, "null-handler";
        /// add_timer on a timer that was armed already; ignored.
        DoubleAdd = 26, "double-add";
        /// An armed timer was initialised again; it was detached.
        ReinitPending = 27, "reinit-pending";
        /// A handler ended without timer_exit, and a 2.3 del_timer_sync would have waited for ever.
        MissingTimerExit = 28, "missing-timer-exit";
        /// A delete waited on `timer->running` in storage that the handler freed.
        RunningFlagAfterFree = 29, "running-flag-after-free";
        /// A timer was initialised again while its handler ran on another thread.
        ReinitRunning = 30, "reinit-running";
        /// A new timer was made in storage whose old timer's handler still ran.
        StorageReused = 31, "storage-reused";
        /// A timer that was shut down was armed; dropped, which is what shutdown is for.
        ArmAfterShutdown = 32, "arm-after-shutdown";
        /// Two threads armed the same inactive timer at once.
        ConcurrentArm = 33, "concurrent-arm";
        /// A handler armed its own timer for now or earlier; it ran at the next tick.
        RearmPast = 34, "rearm-past";
        /// A handler armed, deleted and freed its timer while a delete waited.
        ConfusedReaddDelFree = 35, "confused-readd-del-free";
        /// A waiting delete was called from the timer's own handler.
        SyncDelFromHandler = 36, "sync-del-from-handler";
        /// The code of an armed timer's handler was unloaded; the timer was detached.
        UnloadWhilePending = 37, "unload-while-pending";
        /// The code of a running handler was unloaded.
        UnloadWhileRunning = 38, "unload-while-running";
        /// A C++ block was given back by another family than it came from, or
        /// with another size.
        AllocDeallocMismatch = 39, "alloc-dealloc-mismatch";
        /// A signal handler that had interrupted the heap called it.
        SignalUnsafeCall = 40, "signal-unsafe-call";
        /// A read of freed memory.
        UseAfterFreeRead = 41, "use-after-free-read";
        /// An expiry of a deleted timer was delivered to another timer's handler
        /// (glibc BZ 32833).
        StaleExpiry = 42, "stale-expiry";
        /// `setitimer` or `alarm` took the process's one clock from another user, whose
        /// expiry never came.
        ItimerClobbered = 43, "itimer-clobbered";
    }
}

impl Kind {
    /// The severity that stands in the table of the report's specification; the
    /// ladder (`ladder.rs`) may lower it, never raise it beyond `Error`.
    pub const fn default_severity(self) -> Severity {
        match self {
            Kind::OverlappingHandler
            | Kind::FreeOwnHandler
            | Kind::StaticUninit
            | Kind::ArmAfterShutdown
            | Kind::RearmPast
            | Kind::ConfusedReaddDelFree
            | Kind::StaleExpiry => Severity::Info,
            Kind::DelWhileRunning
            | Kind::DataFreeWhilePending
            | Kind::EnterWithFreedData
            | Kind::ExpiryAfterDel
            | Kind::RearmAfterDel
            | Kind::ConcurrentArm
            | Kind::AllocDeallocMismatch
            | Kind::SignalUnsafeCall
            | Kind::ItimerClobbered => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// The severity of an occurrence whose verdict the process did not live to
    /// give: as in the table, but for a free under an armed timer, and a clock that
    /// was taken, which do no harm when the process ends before the expiry.
    pub const fn unresolved_severity(self, consequence: Consequence) -> Severity {
        match (self, consequence) {
            (Kind::DataFreeWhilePending | Kind::ItimerClobbered, _) => Severity::Info,
            (Kind::DelWhileRunning, Consequence::None) => Severity::Warning,
            (Kind::DelWhileRunning, _) => Severity::Error,
            _ => self.default_severity(),
        }
    }

    /// Is it the C library's fault, not the program's?
    pub const fn is_libc_bug(self) -> bool {
        matches!(self, Kind::StaleExpiry)
    }

    /// One line: what to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Kind::DelWhileRunning => {
                "the delete does not wait for a handler that has started: let the handler say that it is done and wait for that, with no lock that it takes, before its resources go (a timer_list has del_timer_sync, or del_timer_async if this is meant), or try `--del sync`"
            }
            Kind::DataFreeWhileRunning => {
                "free the data in the handler's completion, or wait for the handler to end before freeing it"
            }
            Kind::DataFreeWhilePending => "delete the timer before its data is freed",
            Kind::EnterWithFreedData => {
                "the expiry was already on its way: delete the timer and wait for its last handler before freeing the data"
            }
            Kind::ExpiryAfterDel => {
                "an expiry that was already on its way runs after the delete: keep what the handler uses alive, or let the handler check a flag first"
            }
            Kind::StaleHandle => {
                "clear the handle after timer_delete; a stale one may delete somebody else's timer"
            }
            Kind::OverlappingHandler => {
                "two handlers of one timer ran at once: make the interval longer than the run, or arm one-shot at the handler's end"
            }
            Kind::DelDeadlock => {
                "the handler cannot end while the deleter waits: drop the lock that the handler wants before the delete or the wait"
            }
            Kind::UseAfterFreeWrite => {
                "something kept a pointer to this block and wrote through it after the free"
            }
            Kind::DoubleFree => "give the block one owner, or clear the pointer after the free",
            Kind::InvalidFree => "free only what an allocation function returned, at its start",
            Kind::HeapBufferOverflow => {
                "the write went behind the end of the block: check its length"
            }
            Kind::HeapBufferUnderflow => "the write went in front of the block: check its index",
            Kind::LayoutMismatch => "pass dealloc and realloc the layout of the allocation",
            Kind::FreeWhilePending => "delete the timer before its memory is freed, on every path",
            Kind::FreeWhileRunning => {
                "wait for the handler (del_timer_sync, timer_delete_sync) before the memory that holds its timer is freed"
            }
            Kind::FreeOwnHandler => {
                "legal, but nobody may look at this timer_list after its handler has started: no waiting delete, no flag in the storage"
            }
            Kind::ExpireAfterFree => "delete the timer before its memory is freed",
            Kind::ApiUseAfterFree => {
                "the timer_list lies in freed memory: keep the object until nobody can call on its timer any more"
            }
            Kind::RearmAfterDel => {
                "the delete did not stop this self re-arming timer: use a waiting delete (del_timer_sync) or shut the timer down"
            }
            Kind::TimerCopied => {
                "a timer_list must not be moved while it is armed: delete it, copy, and arm the copy"
            }
            Kind::TimerWiped => "delete the timer before its object is cleared",
            Kind::TimerClobbered => {
                "something wrote over the list links of an armed timer: a stack frame that is gone, an overflow of a neighbour, a reused object"
            }
            Kind::UninitUse => {
                "initialise the timer (init_timer, timer_setup) before any other call on it"
            }
            Kind::StaticUninit => {
                "works, since all-zero counts as initialised, but initialise it: INIT_TIMER_FN, DEFINE_TIMER"
            }
            Kind::NullHandler => "set the timer's function before it is armed",
            Kind::DoubleAdd => "use mod_timer, which may be called on an armed timer",
            Kind::ReinitPending => "delete the timer before it is initialised again",
            Kind::MissingTimerExit => "call timer_exit at the end of the handler",
            Kind::RunningFlagAfterFree => {
                "under this design the handler must not free its timer_list: free it after the delete has returned"
            }
            Kind::ReinitRunning => {
                "wait for the handler (del_timer_sync) before the timer is initialised again"
            }
            Kind::StorageReused => {
                "wait for the handler before the object is freed and its memory used again"
            }
            Kind::ArmAfterShutdown => "nothing to do; initialise the timer to use it again",
            Kind::ConcurrentArm => {
                "serialise the callers, or use mod_timer, which they may call together"
            }
            Kind::RearmPast => {
                "2.2 and 2.4 kernels would have looped here for ever: arm at jiffies + 1 or later"
            }
            Kind::ConfusedReaddDelFree => {
                "the mail's patch got confused by this; nothing touched the storage here"
            }
            Kind::SyncDelFromHandler => {
                "use del_timer in the handler: waiting for oneself never ends"
            }
            Kind::UnloadWhilePending => {
                "delete the timer before its code goes: in the module's exit, in a destructor, before dlclose"
            }
            Kind::UnloadWhileRunning => {
                "wait for the handler (del_timer_sync, or a word of its own) before its code is unloaded"
            }
            Kind::AllocDeallocMismatch => {
                "give memory back to the family it came from: new to delete, new[] to delete[], malloc to free, and with the size of the allocation"
            }
            Kind::SignalUnsafeCall => {
                "malloc, free and stdio may not be called in a signal handler that can interrupt them: set a flag there, or write to a pipe, and do the work outside"
            }
            Kind::UseAfterFreeRead => {
                "something kept a pointer to this block and read through it after the free"
            }
            Kind::StaleExpiry => {
                "a bug of the C library (glibc BZ 32833), not of the program: `heal=on` suppresses such expiries"
            }
            Kind::ItimerClobbered => {
                "a process has one clock for setitimer and alarm: use timer_create, or give the clock back with what was left of it"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_invertible() {
        for (i, &kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(kind as usize, i);
            assert_eq!(Kind::from_u8(i as u8), Some(kind));
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
            assert!(kind.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!(!kind.advice().contains('\n'));
        }
        assert_eq!(Kind::from_u8(Kind::ALL.len() as u8), None);
    }

    #[test]
    fn the_ladder_is_ordered() {
        assert!(Consequence::None < Consequence::DataFreed);
        assert!(Consequence::DataFreed < Consequence::Touched);
        assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Error);
    }
}
