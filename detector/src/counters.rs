//! The counters of a process, each by its path in the JSON report.

macro_rules! counters {
    ($($(#[$meta:meta])* $variant:ident => $path:literal;)+) => {
        /// A counter in the record. Numbers are positions in the record file:
        /// append, never reorder.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[$meta])* $variant,)+ }

        impl Counter {
            /// Every counter, in the order of the record.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)+];

            /// Its path in the JSON report, below `totals` (or below the
            /// process for `dropped.*`).
            pub const fn path(self) -> &'static str {
                match self { $(Counter::$variant => $path,)+ }
            }

            /// The counter with this JSON path.
            pub fn from_path(path: &str) -> Option<Counter> {
                Self::ALL.iter().copied().find(|c| c.path() == path)
            }
        }
    };
}

counters! {
    /// Allocations. The heap counters stand first and together: the
    /// allocator adds to them in place, in this order.
    HeapAllocs => "heap.allocs";
    /// Frees.
    HeapFrees => "heap.frees";
    /// Bytes in live blocks, as requested.
    HeapLiveBytes => "heap.live_bytes";
    /// The most that `heap.live_bytes` was.
    HeapPeakLiveBytes => "heap.peak_live_bytes";
    /// Bytes filled with poison.
    HeapPoisonedBytes => "heap.poisoned_bytes";
    /// Poisoned bytes compared before reuse.
    HeapVerifiedBytes => "heap.verified_bytes";
    /// Bytes waiting in quarantine.
    HeapQuarantinedBytes => "heap.quarantined_bytes";
    /// Slots taken out of use because something damaged them.
    HeapRetiredSlots => "heap.retired_slots";
    /// Misuses of an object of which one had been reported already.
    HeapRepeatedMisuses => "heap.repeated_misuses";
    /// Misuses found that could not be described: too many at once.
    HeapUntoldMisuses => "heap.untold_misuses";
    /// Calls of the heap by a signal handler that had interrupted it.
    HeapSignalCalls => "heap.signal_calls";
    /// Pages whose access was taken away.
    HeapGuardPages => "heap.guard_pages";
    /// ... of freed blocks that were to stay so and were given out again since there were
    /// too many; and those that could not be guarded.
    HeapGuardsReleased => "heap.guards_released";
    /// Blocks that were to lie alone on their pages, for which there was no room or are
    /// few addresses.
    HeapGuardsRefused => "heap.guards_refused";
    /// Timers created.
    TimersInited => "timers.inited";
    /// Times a timer was armed.
    TimersArmed => "timers.armed";
    /// Expiries that reached the handler thunk.
    TimersExpired => "timers.expired";
    /// Handlers called.
    TimersHandlersRun => "timers.handlers_run";
    /// Timers armed now: a gauge.
    TimersPending => "timers.pending_at_end";
    /// Expiries suppressed because a waiting delete had already returned.
    TimersSuppressed => "timers.refused_at_expiry";
    /// Timers of SIGEV_NONE: there is no handler to watch.
    TimersPassedThrough => "timers.passed_through";
    /// Deletes and disarms that took effect on a known timer.
    DelCalls => "del.calls";
    /// ... whose timer was armed.
    DelReturnedPending => "del.returned_pending";
    /// ... that returned while the handler ran on another thread.
    DelWhileRunning => "del.while_running";
    /// ... made by the timer's own handler.
    DelSelf => "del.self";
    /// Waiting deletes that found the handler running.
    DelSyncWaits => "del.sync_waits";
    /// Events that found no place in a table (runs, landings, findings, stacks).
    DroppedEvents => "dropped.events";
    /// Delete sites that found no place.
    DroppedSites => "dropped.sites";
    /// Timers that found no place and ran unwatched.
    DroppedTimers => "dropped.timers";
    /// Children that could not write a record of their own.
    DroppedChildren => "dropped.children";
    /// Armed timers that were detached because they were initialised again,
    /// freed, or their code was unloaded.
    TimersAutoDetached => "timers.auto_detached";
    /// Expiries whose timer's fields had been changed while it was armed.
    TimersFieldsChanged => "timers.fields_changed";
    /// Trashed timer_lists: in freed memory.
    TrashedFreed => "timers.trashed.freed";
    /// ... never initialised.
    TrashedUninit => "timers.trashed.uninit";
    /// ... copied from elsewhere while armed.
    TrashedCopied => "timers.trashed.copied";
    /// ... zeroed while armed.
    TrashedWiped => "timers.trashed.wiped";
    /// ... otherwise overwritten while armed.
    TrashedClobbered => "timers.trashed.clobbered";
    /// Detaches that a waiting delete made after it had begun to wait.
    DelReDeletes => "del.re_deletes";
    /// Deletes that found their timer armed again by its running handler.
    DelReaddsByHandler => "del.readds_by_handler";
    /// Deletes that found it armed again by somebody else while the handler ran.
    DelReaddsByOther => "del.readds_by_other";
    /// 1 if a timer_list's books did not balance at the end.
    TimersInvariantBroken => "timers.invariant_broken";
    /// Handlers and deletes that were held up by `provoke`.
    TimersProvoked => "timers.provoked";
    /// Expiries that were taken without a handler: sigwait and its like, reads of a
    /// signalfd or timerfd.
    TimersConsumed => "timers.consumed";
    /// How often `heal=on` acted.
    TimersHealed => "timers.healed";
    /// ... on an expiry that came after the delete, or was another timer's.
    HealedExpiries => "healed.expiries";
    /// ... on a call on a stale handle, which was refused.
    HealedCalls => "healed.stale_calls";
    /// ... on a block that was freed under a running handler, and kept until its end.
    HealedFrees => "healed.deferred_frees";
}

/// How many counters a record holds.
pub const COUNTER_COUNT: usize = Counter::ALL.len();

/// How many of them, from the first, are the allocator's.
pub const HEAP_COUNTER_COUNT: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_comes_first() {
        for (i, c) in Counter::ALL.iter().enumerate() {
            assert_eq!(*c as usize, i);
            assert_eq!(c.path().starts_with("heap."), i < HEAP_COUNTER_COUNT);
            assert_eq!(Counter::from_path(c.path()), Some(*c));
        }
    }
}
