//! Initialising and arming.

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Kind, Severity};

use crate::call::{Call, finding};
use crate::check::{Checked, Purpose};
use crate::engine::{CPUS_MAX, Engine};
use crate::host::{Armed, Count, Found, Host};
use crate::layout::{Fields, SELF};
use crate::record::{FULL, NONE, Readd, RecordRef, SHUTDOWN};
use crate::sync::{AtomicUsize, Ordering};

/// Calls that may be on their way to arm a timer at the same time and be seen.
const CALLS: usize = 32;

/// Calls that wait for the lock, to arm a timer: each with the address, in a
/// cell of its own. Who finds the lock open goes in unannounced. Who arms an inactive timer marks the others of its address:
/// their threads came at the same time.
#[derive(Debug)]
pub(crate) struct Arming {
    cells: [AtomicUsize; CALLS],
    /// How many cells are taken, or about to be.
    announced: AtomicUsize,
}

/// Set in a cell whose timer was armed by another call meanwhile.
const OVERTAKEN: usize = 1;

impl Arming {
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Arming { cells: [const { AtomicUsize::new(0) }; CALLS], announced: AtomicUsize::new(0) }
    }

    #[cfg(loom)]
    pub fn new() -> Self {
        Arming {
            cells: std::array::from_fn(|_| AtomicUsize::new(0)),
            announced: AtomicUsize::new(0),
        }
    }

    /// Announces a call; `None` if there are too many.
    pub fn announce(&self, thread: u32, addr: usize) -> Option<usize> {
        let first = thread as usize % CALLS;
        self.announced.fetch_add(1, Ordering::AcqRel);
        let own = (0..CALLS).map(|i| (first + i) % CALLS).find(|&cell| {
            let cell = &self.cells[cell];
            cell.load(Ordering::Relaxed) == 0
                && cell.compare_exchange(0, addr, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        });
        if own.is_none() {
            self.announced.fetch_sub(1, Ordering::AcqRel);
        }
        own
    }

    /// An inactive timer was armed: those who want the same are overtaken.
    #[inline]
    pub fn overtake(&self, own: Option<usize>, addr: usize) {
        if self.announced.load(Ordering::Acquire) != 0 {
            self.mark_others(own, addr);
        }
    }

    fn mark_others(&self, own: Option<usize>, addr: usize) {
        for (number, cell) in self.cells.iter().enumerate() {
            if cell.load(Ordering::Relaxed) == addr && Some(number) != own {
                let marked = addr | OVERTAKEN;
                let _ = cell.compare_exchange(addr, marked, Ordering::AcqRel, Ordering::Relaxed);
            }
        }
    }

    /// Was the call overtaken?
    pub fn is_overtaken(&self, own: Option<usize>) -> bool {
        own.is_some_and(|own| self.cells[own].load(Ordering::Acquire) & OVERTAKEN != 0)
    }

    /// The call is over.
    pub fn finish(&self, own: Option<usize>) {
        if let Some(own) = own {
            self.cells[own].store(0, Ordering::Release);
            self.announced.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub fn clear(&self) {
        for cell in &self.cells {
            cell.store(0, Ordering::Relaxed);
        }
        self.announced.store(0, Ordering::Relaxed);
    }
}

/// Which call arms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// `add_timer`, for `expires` of the structure.
    Add,
    /// `add_timer_on`.
    AddOn(usize),
    /// `mod_timer`.
    Mod(usize),
    /// `mod_timer_pending`: only if it is pending.
    ModPending(usize),
    /// `timer_reduce`: only earlier.
    Reduce(usize),
}

impl<H: Host> Engine<H> {
    /// `init_timer`: the timer at `addr` begins, whatever was there. With
    /// `handler` it is `timer_setup`, which also sets the function, and the
    /// argument to the timer's address.
    pub fn init(&self, addr: usize, handler: Option<usize>, flags: u32, site: usize) {
        let Some((mut call, old, block)) = self.check_place(addr, site) else { return };
        let id = match old {
            None => call.adopt(addr, site, &block),
            Some(RecordRef { id, .. }) => {
                let record = call.state.table.at(id);
                if record.is_pending() {
                    let bad = finding(Kind::ReinitPending, Severity::Error, None, addr, site);
                    call.tell_of(id, Found { block, ..bad });
                    call.state.auto_detach(&self.host, id);
                }
                call.begin_anew(id, addr, site, &block)
            }
        };
        let Some(id) = id else { return call.end() };
        let record = call.state.table.at(id);
        record.set(FULL, true);
        if let Some(handler) = handler {
            record.function = handler;
            self.host.write_handler(addr, handler, addr);
        }
        // A handler that initialises its own timer still runs.
        let is_running = call.state.table.run(id).is_some();
        let is_own_run = is_running && self.policy() == DelPolicy::Running;
        call.make_idle(id);
        self.host.write_running(addr, is_own_run);
        self.host.write_flags(addr, flags);
        call.end();
    }

    /// Arms a timer. Returns 1 if it was pending, 0 if not or if the call was
    /// refused.
    // Inlined where it is known which call it is.
    #[inline(always)]
    pub fn arm(&self, addr: usize, how: Arm, site: usize) -> i32 {
        if let Some(mut state) = self.try_lock() {
            let Some(result) = state.arm_plainly(&self.host, addr, how, site) else {
                return self.arm_under(Call::under(self, state), addr, how, site, None);
            };
            if result == 0 {
                self.arming.overtake(None, addr);
            }
            drop(state);
            self.host.want_ticks();
            return result;
        }
        let own = self.arming.announce(self.host.thread(), addr);
        let result = self.arm_announced(addr, how, site, own);
        self.arming.finish(own);
        result
    }

    /// As [`arm`](Self::arm), for a call that was announced.
    pub(crate) fn arm_announced(
        &self,
        addr: usize,
        how: Arm,
        site: usize,
        own: Option<usize>,
    ) -> i32 {
        Call::begin(self).map_or(0, |call| self.arm_under(call, addr, how, site, own))
    }

    fn arm_under(
        &self,
        call: Call<'_, H>,
        addr: usize,
        how: Arm,
        site: usize,
        own: Option<usize>,
    ) -> i32 {
        let Some((mut call, checked)) = call.check(addr, Purpose::Arm, site) else { return 0 };
        let result = call.arm(checked, addr, how, site, own);
        call.end();
        // Not under the lock: threads may have to be made.
        self.host.want_ticks();
        result
    }
}

impl<H: Host> Call<'_, H> {
    fn arm(
        &mut self,
        checked: Checked,
        addr: usize,
        how: Arm,
        site: usize,
        own: Option<usize>,
    ) -> i32 {
        let Checked { id, fields } = checked;
        let record = self.state.table.at(id);
        let was_pending = record.is_pending();
        let about = |kind, severity| finding(kind, severity, None, addr, site);
        let adds = matches!(how, Arm::Add | Arm::AddOn(_));
        if record.is(SHUTDOWN) {
            self.tell_of(id, about(Kind::ArmAfterShutdown, Severity::Info));
            return 0;
        }
        if fields.function == 0 {
            self.tell_of(id, about(Kind::NullHandler, Severity::Error));
            return i32::from(was_pending);
        }
        let overtaken = was_pending && self.engine.arming.is_overtaken(own);
        if overtaken {
            let severity = if adds { Severity::Warning } else { Severity::Info };
            self.tell_of(id, about(Kind::ConcurrentArm, severity));
        }
        let expires = match how {
            Arm::Add | Arm::AddOn(_) if was_pending => {
                if !overtaken {
                    self.tell_of(id, about(Kind::DoubleAdd, Severity::Error));
                }
                return 1;
            }
            Arm::ModPending(_) if !was_pending => return 0,
            Arm::Reduce(to)
                if was_pending
                    && to.wrapping_sub(self.state.table.at(id).expires) as isize >= 0 =>
            {
                return 1;
            }
            Arm::Add | Arm::AddOn(_) => fields.expires,
            Arm::Mod(to) | Arm::ModPending(to) | Arm::Reduce(to) => to,
        };
        self.note_readd(id, addr, site, expires);
        self.queue(id, &fields, how, expires, site);
        if !was_pending {
            self.engine.arming.overtake(own, addr);
        }
        i32::from(was_pending)
    }

    /// The timer is being armed: perhaps while its handler runs.
    fn note_readd(&mut self, id: u32, addr: usize, site: usize, expires: usize) {
        if self.state.table.at(id).rare == NONE {
            self.state.table.at(id).set_readd(None);
            return;
        }
        let host = &self.engine.host;
        let me = host.thread();
        let (_, is_past) = self.state.tick_of(expires);
        let generation = self.state.table.at(id).generation;
        let Some(run) = self.state.table.run(id) else {
            self.state.table.at(id).set_readd(None);
            return;
        };
        if run.thread != me {
            // Its owner wants it again: what the handler arms undoes no delete.
            if core::mem::take(&mut run.is_deleted)
                && let Some(token) = run.token
            {
                host.owner_armed(token);
            }
            self.state.table.at(id).set_readd(Some(Readd::ByOther));
            return;
        }
        let rearms_after = run.is_deleted.then_some(run.token);
        self.state.table.at(id).set_readd(Some(Readd::ByHandler));
        if is_past {
            self.tell_of(id, finding(Kind::RearmPast, Severity::Info, None, addr, site));
        }
        if let Some(token) = rearms_after {
            if let Some(token) = token {
                host.rearmed(token);
            }
            let timer = self.state.table.name(id);
            let found = finding(Kind::RearmAfterDel, Severity::Warning, timer, addr, site);
            self.tell_rearm(RecordRef { id, generation }, found);
        }
    }

    /// Puts a timer on a wheel; it may be on one.
    fn queue(&mut self, id: u32, fields: &Fields, how: Arm, expires: usize, site: usize) {
        let host = &self.engine.host;
        let state = &mut *self.state;
        let (tick, _) = state.tick_of(expires);
        // Its wheel may be behind the clock: now means the next tick all the same.
        let tick = tick.max(state.now + 1);
        let arm_site = state.sites.number(site);
        let record = state.table.at(id);
        let (was_pending, has_rare) = (record.is_pending(), record.rare != NONE);
        let mut cpu = usize::from(record.cpu);
        if !was_pending {
            state.books.queued += 1;
            host.count(Count::Queued);
        }
        host.count(Count::Armed);
        // A timer whose handler runs stays on its base, so that it never
        // overlaps itself. One that is pending is on one.
        let stays = was_pending || has_rare && state.table.run(id).is_some();
        if !stays {
            cpu = match how {
                Arm::AddOn(cpu) => cpu,
                _ => host.cpu().unwrap_or(state.books.queued as usize),
            };
            cpu %= state.settings.cpus.clamp(1, CPUS_MAX);
        }
        // Takes it off first, if it is on it.
        let (wheel, table) = state.wheel(cpu);
        wheel.add(table, id, tick);
        let record = state.table.at(id);
        let addr = record.addr;
        (record.expires, record.function, record.data) = (expires, fields.function, fields.data);
        record.futile_count = 0;
        record.cpu = cpu as u8;
        record.arm_site = arm_site;
        if !was_pending {
            let (next, prev) = state.keys.armed(id, record.generation, addr);
            host.write_links(addr, next, prev);
        }
        if expires != fields.expires {
            host.write_expires(addr, expires);
        }
        let data = argument(fields, addr);
        // Most have their own structure for it.
        let must_know = has_rare || data != addr && host.has_data(data, addr);
        if must_know {
            self.tell_armed(id, fields.function, data, site);
        }
    }

    /// Tells the detector that a timer is armed.
    fn tell_armed(&mut self, id: u32, handler: usize, data: usize, site: usize) {
        let host = &self.engine.host;
        let addr = self.state.table.at(id).addr;
        if self.state.table.name(id).is_none() && (data == addr || !host.has_data(data, addr)) {
            return;
        }
        let Some(timer) = self.state.name_of(host, id) else { return };
        let by_handler = self.state.table.running_here(id, host.thread()).is_some();
        let has_data = host.armed(timer, &Armed { handler, data, site, addr, by_handler });
        if let Some(rare) = self.state.table.rare_mut(id) {
            rare.has_data = has_data;
        }
        self.take_back_name(id);
    }
}

/// The argument that the handler gets: `TIMER_INITIALIZER(fn)` could not know the
/// timer's address.
pub(crate) const fn argument(fields: &Fields, addr: usize) -> usize {
    if fields.data == SELF { addr } else { fields.data }
}
