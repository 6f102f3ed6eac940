//! Waiting for handlers: the deletes of the policies `sync` and `running`.
//!
//! A wait ends when the handler has ended, or when it cannot: *proven*, if the
//! handler's thread is blocked on something that the waiter holds, be it over
//! other threads; else by the mail's bound, a number of loops or a time.
//!
//! Under `sync` the record is looked at, never the storage. Under `running` the
//! flag in the storage is waited on, as the mail's alternative design does, as
//! long as the storage is there.

use deadwalk_detector::{Kind, Severity};

use crate::call::{Call, finding};
use crate::delete::Tally;
use crate::engine::{Engine, State};
use crate::host::{Caller, Count, Found, Host};
use crate::record::{FULL, IN_BLOCK, MAPPED, RecordRef, STUCK};

/// Looks at the handler's thread begin after this many attempts, and come again
/// after as many.
const PROOF_EVERY: u64 = 16;
/// The most that one pause counts towards the bound: a process that is stopped
/// or suspended does not wait.
const PAUSE_MAX_NS: u64 = 20_000_000;
/// How many threads may stand between the handler and the waiter.
const CHAIN: usize = 16;

/// How a wait went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waited {
    /// How long, ns, if it had to.
    pub ns: Option<u64>,
    /// It was given up.
    pub gave_up: bool,
    /// It is a delete's, and counted as such.
    pub is_delete: bool,
}

impl Waited {
    pub const fn has_waited(&self) -> bool {
        self.ns.is_some()
    }
}

/// A thread in a waiting delete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub thread: u32,
    /// For the handler of this timer.
    pub timer: RecordRef,
    /// The storage was freed meanwhile, and with it the flag of policy `running`.
    pub is_flag_gone: bool,
    /// It is a delete, not `sync_timers`.
    pub is_delete: bool,
    /// How often the timer was put off for it.
    pub put_offs: u32,
}

/// What a look at a handler says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    /// It runs, on this thread.
    thread: Option<u32>,
    /// The flag that was to be waited on is in freed memory.
    is_flag_gone: bool,
}

impl<H: Host> Engine<H> {
    /// `sync_timers`: waits until every handler that runs now has returned.
    pub fn sync(&self, site: usize) {
        let me = self.host.thread();
        let Some(mut call) = Call::begin(self) else { return };
        if let Some(own) = call.state.running_on(me) {
            let addr = call.state.table.at(own.id).addr;
            let bad = finding(Kind::SyncDelFromHandler, Severity::Error, None, addr, site);
            call.tell_of(own.id, bad);
            call.end();
            return;
        }
        let mut running = Vec::new();
        if running.try_reserve_exact(call.state.running.len()).is_err() {
            self.host.count(Count::Lost);
            return call.end();
        }
        running.extend_from_slice(&call.state.running);
        for timer in running {
            let Some(sequence) = call.sequence(timer) else { continue };
            let mut waited = Waited::default();
            let is_over = |call: &mut Call<'_, H>| call.sequence(timer) != Some(sequence);
            match call.wait_until(timer, site, false, &mut waited, is_over) {
                Some(after) => call = after,
                None => return,
            }
        }
        call.end();
    }
}

impl<'a, H: Host> Call<'a, H> {
    fn sequence(&mut self, timer: RecordRef) -> Option<u64> {
        Some(self.state.table.run_of(timer)?.sequence)
    }

    /// Waits until the timer is neither pending nor running: if it was armed
    /// again, it is detached after the handler has ended and not before, since
    /// the handler may yet do that itself. `by_flag`: on `running` in the
    /// storage. The call goes on with what is returned; `None`: it cannot.
    pub fn wait_for(
        mut self,
        timer: RecordRef,
        site: usize,
        by_flag: bool,
        tally: &mut Tally,
        waited: &mut Waited,
    ) -> Option<Self> {
        if let Some(record) = self.state.table.get(timer)
            && record.is(STUCK)
        {
            record.set(STUCK, false);
            let addr = record.addr;
            let bad = finding(Kind::MissingTimerExit, Severity::Error, None, addr, site);
            self.tell_of(timer.id, bad);
        }
        let mut call = self.wait_until(timer, site, by_flag, waited, |_| false)?;
        let mut again = Tally::default();
        if waited.has_waited()
            && call.state.table.get(timer).is_some_and(|record| record.is(MAPPED))
        {
            call.detach(timer.id, &mut again, None, true);
        }
        tally.detaches += again.detaches;
        tally.re_deletes += again.detaches;
        tally.by_handler += again.by_handler;
        tally.by_other += again.by_other;
        Some(call)
    }

    /// Waits until the timer's handler does not run, or `is_over`, which is asked
    /// under the lock after each pause.
    fn wait_until(
        mut self,
        timer: RecordRef,
        site: usize,
        by_flag: bool,
        waited: &mut Waited,
        mut is_over: impl FnMut(&mut Self) -> bool,
    ) -> Option<Self> {
        let host = &self.engine.host;
        let me = host.thread();
        let addr = self.state.table.get(timer)?.addr;
        let about = (self.state.table.name(timer.id), addr);
        let tell = |call: &mut Self, kind, blocked| {
            let found = finding(kind, Severity::Error, about.0, about.1, site);
            call.tell(Found { caller: Caller::Delete, blocked, ..found });
        };
        let mut by_flag = by_flag;
        let (mut start, mut paused_ns) = (0, 0);
        let held_up_ns = host.held_up_ns();
        for attempt in 0u64.. {
            let look = self.state.look_at_run(host, timer, me, by_flag);
            if look.is_flag_gone {
                by_flag = false;
                tell(&mut self, Kind::RunningFlagAfterFree, None);
            }
            let Some(thread) = look.thread else { break };
            if attempt == 0 {
                start = host.now_ns();
                waited.ns = Some(0);
                self.state.begin_wait(timer, me, waited.is_delete);
                if waited.is_delete {
                    host.count(Count::SyncWait);
                }
            }
            if self.is_hopeless(attempt, (paused_ns, held_up_ns), thread, me) {
                waited.gave_up = true;
                tell(&mut self, Kind::DelDeadlock, Some(thread));
                break;
            }
            let paused_at = host.now_ns();
            self = self.pause(attempt.min(u64::from(u32::MAX)) as u32)?;
            paused_ns += host.now_ns().saturating_sub(paused_at).min(PAUSE_MAX_NS);
            if is_over(&mut self) {
                break;
            }
        }
        if waited.has_waited() {
            self.state.end_wait(timer, me);
            waited.ns = Some(host.now_ns().saturating_sub(start));
        }
        Some(self)
    }

    fn is_hopeless(
        &mut self,
        attempt: u64,
        (paused_ns, held_up_ns): (u64, u64),
        thread: u32,
        me: u32,
    ) -> bool {
        let host = &self.engine.host;
        let settings = self.state.settings;
        let is_late = || {
            let bound = settings.deadlock_ns;
            paused_ns > bound && paused_ns - bound > host.stretch_ns(held_up_ns, bound)
        };
        attempt >= settings.deadlock_loops
            || attempt % PROOF_EVERY == PROOF_EVERY - 1
                && (is_late() || self.state.waits_for_me(host, thread, me))
    }
}

impl<T: Copy, R: Copy> State<T, R> {
    fn look_at_run<H: Host<Timer = T, Run = R>>(
        &mut self,
        host: &H,
        timer: RecordRef,
        me: u32,
        by_flag: bool,
    ) -> Look {
        let is_waited_for = |wait: &&mut Wait| wait.thread == me && wait.timer == timer;
        let own = self.waits.iter_mut().find(is_waited_for);
        let mut look = Look {
            thread: None,
            is_flag_gone: by_flag && own.is_some_and(|own| core::mem::take(&mut own.is_flag_gone)),
        };
        let Some(record) = self.table.get(timer) else { return look };
        let (addr, is_full, in_block) = (record.addr, record.is(FULL), record.is(IN_BLOCK));
        let run = self.table.running_elsewhere(timer.id, me).copied();
        let run = run.filter(|run| !run.has_exited);
        let block = run.map_or(0, |run| run.block);
        look.thread = run.map(|run| run.thread);
        // The policy may be younger than the run.
        let has_flag = is_full && run.is_none_or(|run| run.has_flag);
        if !by_flag || !has_flag || look.is_flag_gone {
            return look;
        }
        let is_gone =
            run.is_some_and(|run| run.is_gone) || !self.is_there(host, addr, in_block, block);
        if is_gone {
            look.is_flag_gone = true;
        } else if look.thread.is_some() && !host.read_running(addr) {
            look.thread = None;
        }
        look
    }

    /// Does a delete wait for a handler that has ended by now?
    pub fn has_free_delete(&mut self) -> bool {
        let table = &mut self.table;
        let mut deletes = self.waits.iter().filter(|wait| wait.is_delete);
        deletes.any(|wait| table.run_of(wait.timer).is_none())
    }

    fn begin_wait(&mut self, timer: RecordRef, me: u32, is_delete: bool) {
        if self.waits.try_reserve(1).is_err() {
            return; // only its flag's end and what it is blocked on are not seen
        }
        let (thread, is_flag_gone, put_offs) = (me, false, 0);
        self.waits.push(Wait { thread, timer, is_flag_gone, is_delete, put_offs });
        if let Some(run) = self.table.run_of(timer) {
            run.waiters += 1;
        }
    }

    fn end_wait(&mut self, timer: RecordRef, me: u32) {
        self.waits.retain(|wait| (wait.thread, wait.timer) != (me, timer));
        if let Some(run) = self.table.run_of(timer) {
            run.waiters = run.waiters.saturating_sub(1);
        }
    }

    /// Is `thread` blocked, over other threads perhaps, on something that `me`
    /// holds? `me` is in a waiting delete and will not let it go.
    ///
    /// The links of a chain are read one after the other, and threads that are
    /// not blocked for good move on meanwhile. So a chain that was found is read
    /// again from its end: the last thread cannot move since it was seen blocked
    /// on `me`, hence the one before it since it was seen, after that, blocked
    /// on the last, and so on.
    fn waits_for_me<H: Host<Timer = T, Run = R>>(
        &mut self,
        host: &H,
        thread: u32,
        me: u32,
    ) -> bool {
        let mut chain = [0; CHAIN];
        let mut last = thread;
        for found in 0..CHAIN {
            chain[found] = last;
            let chain = &chain[..=found];
            match self.waits_for(host, last) {
                Some(next) if next == me => {
                    let mut held_by = me;
                    return found == 0
                        || chain.iter().rev().all(|&thread| {
                            let still = self.waits_for(host, thread) == Some(held_by);
                            held_by = thread;
                            still
                        });
                }
                Some(next) if !chain.contains(&next) => last = next,
                _ => return false,
            }
        }
        false
    }

    /// The thread that holds what `thread` is blocked on: a lock, or a handler
    /// that it waits for in a delete.
    fn waits_for<H: Host<Timer = T, Run = R>>(&mut self, host: &H, thread: u32) -> Option<u32> {
        let handler = self.waits.iter().find(|wait| wait.thread == thread).map(|wait| wait.timer);
        let handler = handler.and_then(|timer| self.table.run_of(timer)).map(|run| run.thread);
        handler.or_else(|| host.waits_for(thread))
    }
}
