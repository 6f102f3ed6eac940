//! Expiries: the timer threads' side.
//!
//! The last look at a timer's storage is before its handler is entered; after
//! that it may be gone. The one exception is `running` under its policy, which
//! is written only if the storage is known to be there.

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Kind, Severity};

use crate::arm::argument;
use crate::call::{Call, finding};
use crate::engine::{Engine, LAST_TICK};
use crate::host::{Block, Caller, Count, Found, Host, Trash};
use crate::record::{FULL, IN_BLOCK, MAPPED, RecordRef, Run, STUCK};

/// How often a delete that waits may have its timer put off.
const PUT_OFFS: u32 = 100;
/// How many pauses a delete gets to go on before virtual time does.
const GO_PAUSES: u32 = 200;

/// A handler to be called, and then [left](Engine::leave).
#[derive(Clone, Copy, Debug)]
#[must_use = "a handler that is not called and left runs for ever"]
pub struct Due<R> {
    /// The handler.
    pub handler: usize,
    /// Its argument.
    pub data: usize,
    /// What to leave with.
    pub ticket: Ticket<R>,
}

/// Names a handler that runs.
#[derive(Clone, Copy, Debug)]
pub struct Ticket<R> {
    timer: RecordRef,
    /// The detector's name of the run.
    pub run: Option<R>,
}

impl<H: Host> Engine<H> {
    /// The next handler that is due on timer thread `cpu`, entered; `None` if
    /// there is none. Bad timers on the way are reported and not called.
    pub fn next_due(&self, cpu: usize) -> Option<Due<H::Run>> {
        loop {
            let mut call = Call::begin(self)?;
            if cpu >= call.state.wheels.len() {
                return None;
            }
            let until = call.state.now;
            let (wheel, table) = call.state.wheel(cpu);
            wheel.advance(table, until);
            let id = wheel.pop_expired(table)?;
            if call.must_wait(id) {
                let (wheel, table) = call.state.wheel(cpu);
                wheel.add(table, id, until + 1);
                continue;
            }
            let due = call.expire(id);
            call.end();
            if due.is_some() {
                return due;
            }
        }
    }

    /// The handler of a due timer has returned, however it did. To be called on
    /// its thread.
    pub fn leave(&self, ticket: Ticket<H::Run>) {
        // Before the record: who waits for the handler goes on only after the
        // detector has seen its end.
        let is_noted = ticket.run.is_some_and(|run| self.host.left(run));
        let Some(mut call) = Call::begin(self) else { return };
        call.leave(ticket.timer, is_noted);
        call.end();
    }

    /// Lets virtual time pass, and has every handler called by `run` on this
    /// thread.
    pub fn advance(&self, ticks: u64, mut run: impl FnMut(Due<H::Run>)) {
        let until = self.now().saturating_add(ticks).min(LAST_TICK);
        loop {
            self.let_deletes_go();
            let now = self.clock_to(until);
            for cpu in 0..self.settings().cpus {
                while let Some(due) = self.next_due(cpu) {
                    run(due);
                }
            }
            if now >= until {
                return;
            }
        }
    }

    /// Deletes of other threads that waited for a handler which has ended go on
    /// before virtual time does.
    fn let_deletes_go(&self) {
        for attempt in 0..GO_PAUSES {
            let Some(mut state) = self.lock() else { return };
            if !state.has_free_delete() {
                return;
            }
            drop(state);
            self.host.pause(attempt);
        }
    }

    /// Sets the clock to the next tick at which something may expire.
    fn clock_to(&self, until: u64) -> u64 {
        let tick = self.next_tick(until);
        self.clock(tick);
        tick
    }

    /// Is the armed timer at `addr` to get something in that block for its
    /// argument? Runs inside `free`.
    pub fn uses(&self, addr: usize, block: &Block) -> bool {
        let Some(mut state) = self.lock() else { return false };
        let Some(timer) = state.table.find(addr) else { return false };
        if !state.table.at(timer.id).is_pending() {
            return false;
        }
        let fields = state.read_armed(&self.host, timer.id);
        fields.is_ok_and(|fields| {
            argument(&fields, addr).wrapping_sub(block.base) < block.size.max(1)
        })
    }

    /// `timer_exit` of 2.3: the handler says that it is about to end.
    pub fn exit_handler(&self, addr: usize) {
        let me = self.host.thread();
        let Some(mut state) = self.lock() else { return };
        if !state.settings.legacy_timer_exit {
            return;
        }
        let timer = state.table.find(addr).or_else(|| state.running_on(me));
        if let Some(run) =
            timer.and_then(|timer| state.table.run_of(timer)).filter(|run| run.thread == me)
        {
            run.has_exited = true;
        }
    }
}

impl<H: Host> Call<'_, H> {
    /// Is a timer that is due put off by a tick? Its handler runs: one that lets
    /// virtual time pass itself, say. Or a delete waits, for the handler's last
    /// run, and is about to find it armed again; but not for ever: its thread may
    /// have jumped out of the wait.
    fn must_wait(&mut self, id: u32) -> bool {
        let record = self.state.table.at(id);
        let timer = RecordRef { id, generation: record.generation };
        if self.state.table.run(id).is_some() || self.state.table.rare_or_new(id).is_none() {
            return true; // or there is no memory for its run
        }
        let mut deletes = self.state.waits.iter_mut().filter(|w| w.is_delete && w.timer == timer);
        deletes.any(|wait| {
            wait.put_offs += 1;
            wait.put_offs < PUT_OFFS
        })
    }

    /// A timer was taken off its wheel because it is due.
    fn expire(&mut self, id: u32) -> Option<Due<H::Run>> {
        let host = &self.engine.host;
        let record = self.state.table.at(id);
        let (addr, generation) = (record.addr, record.generation);
        let fields = match self.state.read_armed(host, id) {
            Ok(fields) if fields.function == 0 => {
                self.make_idle(id);
                self.refuse(id, Kind::NullHandler, Block::default());
                return None;
            }
            Ok(fields) => fields,
            Err((trash, block)) => {
                if let Some(trash) = trash {
                    host.count(Count::Trashed(trash));
                }
                let kind = match trash {
                    Some(Trash::Freed) => Kind::ExpireAfterFree,
                    Some(Trash::Copied) => Kind::TimerCopied,
                    Some(Trash::Wiped) => Kind::TimerWiped,
                    _ => Kind::TimerClobbered,
                };
                self.refuse(id, kind, block);
                if trash == Some(Trash::Freed) {
                    if let Some(finding) = self.state.table.take_rearm_finding(id) {
                        self.worsen(finding);
                    }
                    if let Some(timer) = self.state.table.unmap(id) {
                        self.retire(timer);
                    }
                }
                return None;
            }
        };
        self.state.books.expired += 1;
        host.count(Count::Dequeued);
        let me = host.thread();
        let sequence = self.state.runs;
        self.state.runs += 1;
        let timer = self.state.name_of(host, id);
        let record = self.state.table.at(id);
        let (handler, data) = (fields.function, argument(&fields, addr));
        if (record.expires, record.function, record.data)
            != (fields.expires, fields.function, fields.data)
        {
            record.function = handler;
            host.count(Count::FieldsChanged);
            if let Some(timer) = timer {
                host.changed(timer, handler, data, addr);
            }
        }
        let token = timer.and_then(|timer| host.entered(timer));
        if timer.is_none() {
            host.count(Count::Unnamed);
        }
        let by_flag = self.engine.policy() == DelPolicy::Running;
        let record = self.state.table.at(id);
        let is_full = record.is(FULL);
        record.set_readd(None);
        // Asked for only where it is needed.
        let needs_block = by_flag && record.is(IN_BLOCK) && !self.state.settings.hook_free;
        let block = if needs_block { host.block(addr).map_or(0, |block| block.base) } else { 0 };
        // There is: `must_wait` has made room.
        if let Some(rare) = self.state.table.rare_or_new(id) {
            rare.rearm_finding = None;
            rare.run = Some(Run {
                thread: me,
                token,
                sequence,
                handler,
                block,
                has_flag: by_flag && is_full,
                is_deleted: false,
                took_back: false,
                is_gone: false,
                freed_own: false,
                has_exited: false,
                waiters: 0,
            });
        }
        self.make_idle(id);
        if by_flag && is_full {
            host.write_running(addr, true);
        }
        let timer = RecordRef { id, generation };
        self.state.running.push(timer);
        Some(Due { handler, data, ticket: Ticket { timer, run: token } })
    }

    fn refuse(&mut self, id: u32, kind: Kind, block: Block) {
        let host = &self.engine.host;
        self.state.books.refused += 1;
        host.count(Count::Refused);
        host.count(Count::Dequeued);
        let addr = self.state.table.at(id).addr;
        if let Some(timer) = self.state.table.name(id) {
            host.detached(timer, false);
        }
        let found = finding(kind, Severity::Error, None, addr, 0);
        self.tell_of(id, Found { block, caller: Caller::Nobody, ..found });
        self.take_back_name(id);
    }

    fn leave(&mut self, timer: RecordRef, is_noted: bool) {
        let host = &self.engine.host;
        let by_flag = self.engine.policy() == DelPolicy::Running;
        let settings = self.state.settings;
        self.state.running.retain(|&running| running != timer);
        if self.state.table.get(timer).is_none() {
            return;
        }
        let Some(rare) = self.state.table.rare_mut(timer.id) else { return };
        let Some(run) = rare.run.take() else { return };
        rare.keeps_name |= is_noted;
        let record = self.state.table.at(timer.id);
        let (addr, is_mapped, is_full) = (record.addr, record.is(MAPPED), record.is(FULL));
        let in_block = record.is(IN_BLOCK);
        record.set(STUCK, settings.legacy_timer_exit && !run.has_exited);
        if !is_mapped {
            self.state.table.release(timer.id);
        } else if by_flag && is_full {
            // A frame that ended may be another function's by now.
            let is_timer = match self.state.is_there(host, addr, in_block, run.block) {
                true => self.state.is_timer(host, timer),
                false => Some(false),
            };
            match is_timer {
                Some(true) => host.write_running(addr, false),
                None => {} // wiped, and the flag with it
                Some(false) => {
                    let bad = finding(Kind::RunningFlagAfterFree, Severity::Error, None, addr, 0);
                    self.tell_of(timer.id, Found { caller: Caller::Nobody, ..bad });
                }
            }
        }
        if is_mapped {
            self.take_back_name(timer.id);
        }
    }
}
