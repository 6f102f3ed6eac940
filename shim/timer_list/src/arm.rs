//! Initialising and arming.

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Kind, Severity};

use crate::call::{Call, finding};
use crate::check::{Checked, Purpose};
use crate::engine::{CPUS_MAX, Engine};
use crate::host::{Armed, Found, Host};
use crate::layout::{Fields, SELF};
use crate::record::{Readd, RecordRef};
use crate::sync::{AtomicUsize, Ordering};

/// Calls that may be on their way to arm a timer at the same time and be seen.
const CALLS: usize = 32;

/// Calls on their way to the lock, to arm a timer: each with the address, in a
/// cell of its own. Who arms an inactive timer marks the others of its address:
/// their threads came at the same time.
#[derive(Debug)]
pub(crate) struct Arming {
    cells: [AtomicUsize; CALLS],
}

/// Set in a cell whose timer was armed by another call meanwhile.
const OVERTAKEN: usize = 1;

impl Arming {
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Arming { cells: [const { AtomicUsize::new(0) }; CALLS] }
    }

    #[cfg(loom)]
    pub fn new() -> Self {
        Arming { cells: std::array::from_fn(|_| AtomicUsize::new(0)) }
    }

    /// Announces a call; `None` if there are too many.
    pub fn announce(&self, thread: u32, addr: usize) -> Option<usize> {
        let first = thread as usize % CALLS;
        (0..CALLS).map(|i| (first + i) % CALLS).find(|&cell| {
            let cell = &self.cells[cell];
            cell.load(Ordering::Relaxed) == 0
                && cell.compare_exchange(0, addr, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    /// An inactive timer was armed: those who want the same are overtaken.
    pub fn overtake(&self, own: Option<usize>, addr: usize) {
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
        }
    }

    pub fn clear(&self) {
        for cell in &self.cells {
            cell.store(0, Ordering::Relaxed);
        }
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
                    let timer = record.timer;
                    let bad = finding(Kind::ReinitPending, Severity::Error, timer, addr, site);
                    call.tell(Found { block, ..bad });
                    call.state.auto_detach(&self.host, id);
                }
                call.begin_anew(id, addr, site, &block)
            }
        };
        let Some(id) = id else { return call.end() };
        let record = call.state.table.at(id);
        record.is_full = true;
        if let Some(handler) = handler {
            record.armed_with.1 = handler;
            self.host.write_handler(addr, handler, addr);
        }
        // A handler that initialises its own timer still runs.
        let is_own_run = record.run.is_some() && self.policy() == DelPolicy::Running;
        call.make_idle(id);
        self.host.write_running(addr, is_own_run);
        self.host.write_flags(addr, flags);
        call.end();
    }

    /// Arms a timer. Returns 1 if it was pending, 0 if not or if the call was
    /// refused.
    pub fn arm(&self, addr: usize, how: Arm, site: usize) -> i32 {
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
        let Some((mut call, checked)) = self.check(addr, Purpose::Arm, site) else { return 0 };
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
        let (timer, was_pending) = (record.timer, record.is_pending());
        let about = |kind, severity| finding(kind, severity, timer, addr, site);
        let adds = matches!(how, Arm::Add | Arm::AddOn(_));
        if record.is_shutdown {
            self.tell(about(Kind::ArmAfterShutdown, Severity::Info));
            return 0;
        }
        if fields.function == 0 {
            self.tell(about(Kind::NullHandler, Severity::Error));
            return i32::from(was_pending);
        }
        let overtaken = was_pending && self.engine.arming.is_overtaken(own);
        if overtaken {
            let severity = if adds { Severity::Warning } else { Severity::Info };
            self.tell(about(Kind::ConcurrentArm, severity));
        }
        let expires = match how {
            Arm::Add | Arm::AddOn(_) if was_pending => {
                if !overtaken {
                    self.tell(about(Kind::DoubleAdd, Severity::Error));
                }
                return 1;
            }
            Arm::ModPending(_) if !was_pending => return 0,
            Arm::Reduce(to)
                if was_pending
                    && to.wrapping_sub(self.state.table.at(id).armed_with.0) as isize >= 0 =>
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
        let host = &self.engine.host;
        let me = host.thread();
        let (_, is_past) = self.state.tick_of(expires);
        let record = self.state.table.at(id);
        let (timer, generation) = (record.timer, record.generation);
        let Some(run) = &mut record.run else {
            record.readd = None;
            return;
        };
        if run.thread != me {
            // Its owner wants it again: what the handler arms undoes no delete.
            if core::mem::take(&mut run.is_deleted)
                && let Some(token) = run.token
            {
                host.owner_armed(token);
            }
            record.readd = Some(Readd::ByOther);
            return;
        }
        let rearms_after = run.is_deleted.then_some(run.token);
        record.readd = Some(Readd::ByHandler);
        if is_past {
            self.tell(finding(Kind::RearmPast, Severity::Info, timer, addr, site));
        }
        if let Some(token) = rearms_after {
            if let Some(token) = token {
                host.rearmed(token);
            }
            let found = finding(Kind::RearmAfterDel, Severity::Warning, timer, addr, site);
            self.tell_rearm(RecordRef { id, generation }, found);
        }
    }

    /// Puts a timer on a wheel; it may be on one.
    fn queue(&mut self, id: u32, fields: &Fields, how: Arm, expires: usize, site: usize) {
        let host = &self.engine.host;
        let (tick, _) = self.state.tick_of(expires);
        // Its wheel may be behind the clock: now means the next tick all the same.
        let tick = tick.max(self.state.now + 1);
        let record = self.state.table.at(id);
        let addr = record.addr;
        let (was_pending, is_running) = (record.is_pending(), record.run.is_some());
        if was_pending {
            self.state.dequeue(id);
        } else {
            self.state.books.queued += 1;
        }
        // A timer whose handler runs stays on its base, so that it never
        // overlaps itself.
        if !is_running {
            let cpu = match how {
                Arm::AddOn(cpu) => cpu,
                _ if was_pending => self.state.table.at(id).cpu,
                _ => host.cpu().unwrap_or(self.state.books.queued as usize),
            };
            self.state.table.at(id).cpu = cpu % self.state.settings.cpus.clamp(1, CPUS_MAX);
        }
        let cpu = self.state.table.at(id).cpu;
        let (wheel, table) = self.state.wheel(cpu);
        wheel.add(table, id, tick);
        let (function, data) = (fields.function, argument(fields, addr));
        let record = self.state.table.at(id);
        record.armed_with = (expires, fields.function, fields.data);
        record.futile_count = 0;
        let (generation, storage) = (record.generation, record.block);
        if !was_pending {
            let (next, prev) = self.state.keys.armed(id, generation, addr);
            host.write_links(addr, next, prev);
        }
        if expires != fields.expires {
            host.write_expires(addr, expires);
        }
        if let Some(timer) = self.state.timer_of(host, id) {
            let by_handler = self.state.table.at(id).running_here(host.thread()).is_some();
            host.armed(timer, &Armed { handler: function, data, site, storage, by_handler });
        }
    }
}

/// The argument that the handler gets: `TIMER_INITIALIZER(fn)` could not know the
/// timer's address.
pub(crate) const fn argument(fields: &Fields, addr: usize) -> usize {
    if fields.data == SELF { addr } else { fields.data }
}
