//! The deletes: `del_timer` and its family.

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Kind, Op, Severity};

use crate::call::{Call, finding};
use crate::check::Purpose;
use crate::engine::Engine;
use crate::host::{Deleted, Host};
use crate::record::{Readd, RecordRef};
use crate::wait::Waited;

/// So many deletes in a row of a timer that is neither pending nor running,
/// within [`FUTILE_NS`], get a hint: a loop that retries until a handler has run
/// which never will.
const FUTILE: u32 = 500;
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
        let Some((mut call, checked)) = self.check(addr, Purpose::Stop, site) else { return 0 };
        let me = self.host.thread();
        let id = checked.id;
        let style = style_of(op);
        if style == Style::Try && call.state.table.at(id).run.is_some() {
            call.end();
            return -1;
        }
        let timer = call.state.timer_of(&self.host, id);
        let mut tally = Tally::default();
        call.detach(id, &mut tally, false);
        let record = call.state.table.at(id);
        let shuts_down = matches!(op, Op::TimerShutdown | Op::TimerShutdownSync);
        record.is_shutdown |= shuts_down;
        let this = RecordRef { id, generation: record.generation };
        let is_own = record.running_here(me).is_some();
        let waits = match style {
            Style::Sync => true,
            Style::Policy => self.policy().waits(),
            Style::Async | Style::Try => false,
        };
        let mut waited = Waited { is_delete: true, ..Waited::default() };
        if is_own {
            if style == Style::Sync {
                call.tell(finding(Kind::SyncDelFromHandler, Severity::Error, timer, addr, site));
            }
        } else if waits {
            let by_flag = self.policy() == DelPolicy::Running;
            let Some(after) = call.wait_for(this, site, by_flag, &mut tally, &mut waited) else {
                return tally.detaches as i32;
            };
            call = after;
            // The handler may have initialised it anew meanwhile.
            if let Some(record) = call.state.table.get(this) {
                record.is_shutdown |= shuts_down;
            }
        }
        let landed_on = call.land(this, me);
        call.note_futile(
            this,
            op,
            site,
            &tally,
            landed_on.is_some() || is_own || waited.has_waited(),
        );
        if let Some(timer) = timer {
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
    /// Takes the timer off its wheel, if it is on one. `has_waited`: the delete
    /// has waited for its handler.
    pub fn detach(&mut self, id: u32, tally: &mut Tally, has_waited: bool) {
        let host = &self.engine.host;
        if !self.state.table.at(id).is_pending() {
            return;
        }
        let is_sound = self.state.read_armed(host, id).is_ok();
        self.state.dequeue(id);
        self.state.books.detached += 1;
        tally.detaches += 1;
        let me = host.thread();
        let record = self.state.table.at(id);
        let timer = record.timer;
        let readd = record.readd.take().filter(|_| has_waited || record.run.is_some());
        match readd {
            Some(Readd::ByHandler) => tally.by_handler += 1,
            Some(Readd::ByOther) => tally.by_other += 1,
            None => {}
        }
        if let Some(run) = record.running_here(me) {
            run.took_back |= readd == Some(Readd::ByHandler);
        }
        if is_sound {
            self.make_idle(id);
        }
        if let Some(timer) = timer {
            host.detached(timer, true);
        }
    }

    /// The delete takes effect: is there a handler that it returns under?
    fn land(&mut self, timer: RecordRef, me: u32) -> Option<(H::Run, u64)> {
        let now = self.engine.host.now_ns();
        let run = self.state.table.get(timer)?.running_elsewhere(me)?;
        run.is_deleted = true;
        Some((run.token?, now))
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
            record.futile_since_ns = self.engine.host.now_ns();
        } else if record.futile_count == FUTILE {
            record.futile_count = 0;
            if self.engine.host.now_ns() - record.futile_since_ns < FUTILE_NS {
                self.futile(op, site);
            }
        }
    }
}
