//! The deletes: `del_timer` and its family.

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Kind, Op, Severity};

use crate::call::{Call, finding};
use crate::check::Purpose;
use crate::engine::Engine;
use crate::host::{Count, Deleted, Host};
use crate::record::{NONE, Readd, RecordRef, SHUTDOWN, STUCK};
use crate::wait::Waited;

/// So many deletes in a row of a timer that is neither pending nor running,
/// within [`FUTILE_NS`], get a hint: a loop that retries until a handler has run
/// which never will.
const FUTILE: u16 = 500;
/// A driver that deletes an idle timer now and then is no such loop.
const FUTILE_NS: u64 = 1_000_000_000;

/// What a delete does while the handler runs on another thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Nothing: it returns.
    Async,
    /// As the policy says.
    Policy,
    /// It waits.
    Sync,
    /// It changes nothing and says -1.
    Try,
}

/// How a function of the family deletes.
const fn style_of(op: Op) -> Style {
    match op {
        Op::DelTimerAsync => Style::Async,
        Op::DelTimerSync | Op::TimerDeleteSync | Op::TimerShutdownSync => Style::Sync,
        Op::TryToDelTimerSync | Op::TimerDeleteSyncTry => Style::Try,
        Op::DelTimer | Op::TimerDelete | Op::TimerShutdown | Op::TimerSettime => Style::Policy,
        // Of other APIs.
        Op::Setitimer | Op::Alarm | Op::Ualarm | Op::TimerfdSettime | Op::Close => Style::Policy,
    }
}

/// What a delete has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub detaches: u32,
    pub re_deletes: u32,
    pub by_handler: u32,
    pub by_other: u32,
}

impl<H: Host> Engine<H> {
    /// Deletes the timer at `addr` as the function `op` does: how often it was
    /// detached for `del_timer` and `del_timer_sync`, 1 or 0 for the others, -1
    /// for a `try` that found the handler running.
    pub fn delete(&self, addr: usize, op: Op, site: usize) -> i32 {
        let call = match self.try_lock() {
            Some(mut state) => {
                if state.delete_plainly(&self.host, addr, op, site) {
                    return 1;
                }
                Some(Call::under(self, state))
            }
            None => Call::begin(self),
        };
        call.map_or(0, |call| self.delete_under(call, addr, op, site))
    }

    fn delete_under(&self, call: Call<'_, H>, addr: usize, op: Op, site: usize) -> i32 {
        let Some((mut call, checked)) = call.check(addr, Purpose::Stop, site) else { return 0 };
        let me = self.host.thread();
        let id = checked.id;
        let style = style_of(op);
        if style == Style::Try && call.state.table.run(id).is_some() {
            call.end();
            return -1;
        }
        let mut tally = Tally::default();
        let del_site = call.state.sites.number(site);
        // What a handler deletes to arm it anew is not what its timer's end relied on.
        if call.state.table.running_here(id, me).is_none() {
            call.state.table.at(id).del_site = del_site;
        }
        // What was checked just now is sound.
        call.detach(id, &mut tally, Some(true), false);
        let record = call.state.table.at(id);
        let handler = record.function;
        let shuts_down = matches!(op, Op::TimerShutdown | Op::TimerShutdownSync);
        if shuts_down {
            record.set(SHUTDOWN, true);
        }
        let this = RecordRef { id, generation: record.generation };
        let has_rare = record.rare != NONE;
        if !has_rare && !record.is(STUCK) && !self.host.hears_every_delete() {
            // No handler, no name: nothing to wait for and nothing to tell.
            call.note_futile(this, op, site, &tally, false);
            self.host.count_delete(op, site, handler, tally.detaches > 0);
            call.end();
            return tally.detaches as i32;
        }
        let timer = call.state.table.name(id);
        let is_own = call.state.table.running_here(id, me).is_some();
        let waits = match style {
            Style::Sync => true,
            Style::Policy => self.policy().waits(),
            Style::Async | Style::Try => false,
        };
        let mut waited = Waited { is_delete: true, ..Waited::default() };
        if is_own {
            if style == Style::Sync {
                let bad = finding(Kind::SyncDelFromHandler, Severity::Error, timer, addr, site);
                call.tell_of(id, bad);
            }
        } else if waits {
            let by_flag = self.policy() == DelPolicy::Running;
            let Some(after) = call.wait_for(this, site, by_flag, &mut tally, &mut waited) else {
                return tally.detaches as i32;
            };
            call = after;
            // The handler may have initialised it anew meanwhile.
            if shuts_down && let Some(record) = call.state.table.get(this) {
                record.set(SHUTDOWN, true);
            }
        }
        let landed_on = call.land(this, me);
        let has_met_handler = landed_on.is_some() || is_own || waited.has_waited();
        call.note_futile(this, op, site, &tally, has_met_handler);
        self.host.count_delete(op, site, handler, tally.detaches > 0);
        if timer.is_some()
            || has_met_handler
            || tally.by_handler + tally.by_other > 0
            || self.host.hears_every_delete()
        {
            call.deleted(Deleted {
                timer,
                op,
                site,
                detaches: tally.detaches,
                re_deletes: tally.re_deletes,
                readds_by_handler: tally.by_handler,
                readds_by_other: tally.by_other,
                is_own,
                waited_ns: waited.ns,
                gave_up: waited.gave_up,
                landed_on,
            });
            if call.state.table.get(this).is_some() {
                call.take_back_name(id);
            }
        }
        call.end();
        match op {
            Op::DelTimer | Op::DelTimerSync | Op::TimerDelete => tally.detaches as i32,
            _ => tally.detaches.min(1) as i32,
        }
    }

    /// `timer_pending`: 1 if the timer is on a wheel.
    pub fn pending(&self, addr: usize, site: usize) -> i32 {
        let Some((mut call, checked)) = self.check(addr, Purpose::Stop, site) else { return 0 };
        let pending = call.state.table.at(checked.id).is_pending();
        call.end();
        i32::from(pending)
    }
}

impl<H: Host> Call<'_, H> {
    /// Takes the timer off its wheel, if it is on one. `is_sound`: what stands in its
    /// storage, if that is known. `has_waited`: the delete has waited for its handler.
    #[inline]
    pub fn detach(&mut self, id: u32, tally: &mut Tally, is_sound: Option<bool>, has_waited: bool) {
        let host = &self.engine.host;
        if !self.state.table.at(id).is_pending() {
            return;
        }
        let is_sound = is_sound.unwrap_or_else(|| self.state.read_armed(host, id).is_ok());
        self.state.dequeue(id);
        self.state.books.detached += 1;
        host.count(Count::Dequeued);
        tally.detaches += 1;
        let me = host.thread();
        let has_run = self.state.table.run(id).is_some();
        let record = self.state.table.at(id);
        let readd = record.readd().filter(|_| has_waited || has_run);
        record.set_readd(None);
        match readd {
            Some(Readd::ByHandler) => tally.by_handler += 1,
            Some(Readd::ByOther) => tally.by_other += 1,
            None => {}
        }
        if let Some(run) = self.state.table.running_here(id, me) {
            run.took_back |= readd == Some(Readd::ByHandler);
        }
        if is_sound {
            self.make_idle(id);
        }
        if let Some(timer) = self.state.table.name(id) {
            host.detached(timer, true);
        }
    }

    /// The delete takes effect: is there a handler that it returns under?
    fn land(&mut self, timer: RecordRef, me: u32) -> Option<(H::Run, u64)> {
        let run = self.state.table.run_of(timer).filter(|run| run.thread != me)?;
        run.is_deleted = true;
        Some((run.token?, self.engine.host.now_ns()))
    }

    fn note_futile(
        &mut self,
        timer: RecordRef,
        op: Op,
        site: usize,
        tally: &Tally,
        has_met_handler: bool,
    ) {
        let Some(record) = self.state.table.get(timer) else { return };
        if tally.detaches > 0 || has_met_handler {
            record.futile_count = 0;
            return;
        }
        if style_of(op) == Style::Sync {
            return; // nobody retries one that waits
        }
        record.futile_count += 1;
        if record.futile_count == 1 {
            record.expires = self.engine.host.now_ns() as usize;
        } else if record.futile_count == FUTILE {
            record.futile_count = 0;
            if self.engine.host.now_ns() - (record.expires as u64) < FUTILE_NS {
                self.futile(op, site);
            }
        }
    }
}
