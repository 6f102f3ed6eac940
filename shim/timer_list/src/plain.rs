//! The short way of the calls that programs make all the time: `add_timer`,
//! `mod_timer` and the deletes.
//!
//! Most timers lie in a watched heap block, are sound, and neither run nor have
//! anything said of them. For these a call is decided here, with the same effect as
//! the long way has (`arm.rs`, `delete.rs`), in a third of its instructions. What is
//! out of the ordinary in any respect goes the long way, before anything was changed.

use deadwalk_detector::Op;

use crate::arm::{Arm, argument};
use crate::engine::{CPUS_MAX, State};
use crate::host::{Count, Host};
use crate::layout::Fields;
use crate::record::{FULL, IN_BLOCK, MAPPED, NONE, Record, SHUTDOWN, STUCK};

impl<T: Copy, R: Copy> State<T, R> {
    /// A timer of which there is nothing to say, and what stands in its storage.
    #[inline(always)]
    fn find_plain<H: Host<Timer = T, Run = R>>(
        &mut self,
        host: &H,
        addr: usize,
    ) -> Option<(u32, Fields)> {
        let (id, record) = self.table.candidate(addr)?;
        let is_plain = record.addr == addr
            && record.rare == NONE
            && record.has_of(MAPPED | IN_BLOCK | SHUTDOWN | STUCK, MAPPED | IN_BLOCK);
        if !is_plain || !self.settings.hook_free {
            return None;
        }
        // Its block is watched: it is live as long as its timers are known.
        let fields = host.read(addr);
        self.keys.are_of(id, record, &fields).then_some((id, fields))
    }

    /// Arms such a timer: what the call returns.
    #[inline(always)]
    pub fn arm_plainly<H: Host<Timer = T, Run = R>>(
        &mut self,
        host: &H,
        addr: usize,
        how: Arm,
        site: usize,
    ) -> Option<i32> {
        let (id, fields) = self.find_plain(host, addr)?;
        let &mut Record { generation, cpu, .. } = self.table.at(id);
        let was_pending = self.table.at(id).is_pending();
        let expires = match how {
            Arm::Add if !was_pending => fields.expires,
            Arm::Mod(to) => to,
            _ => return None,
        };
        let data = argument(&fields, addr);
        if fields.function == 0 || data != addr && host.has_data(data, addr) {
            return None;
        }
        let (tick, _) = self.tick_of(expires);
        // Its wheel may be behind the clock: now means the next tick all the same.
        let tick = tick.max(self.now + 1);
        let mut cpu = usize::from(cpu);
        if !was_pending {
            self.books.queued += 1;
            host.count(Count::Queued);
            cpu = match self.settings.cpus {
                0 | 1 => 0,
                cpus => host.cpu().unwrap_or(self.books.queued as usize) % cpus.min(CPUS_MAX),
            };
        }
        host.count(Count::Armed);
        let arm_site = self.sites.number(site);
        let (wheel, table) = self.wheel(cpu);
        if was_pending {
            wheel.remove(table, id);
        }
        wheel.insert(table, id, tick);
        let record = table.at(id);
        (record.expires, record.function, record.data) = (expires, fields.function, fields.data);
        record.futile_count = 0;
        record.cpu = cpu as u8;
        record.arm_site = arm_site;
        record.set_readd(None);
        if !was_pending {
            let (next, prev) = self.keys.armed(id, generation, addr);
            host.write_links(addr, next, prev);
        }
        if expires != fields.expires {
            host.write_expires(addr, expires);
        }
        Some(i32::from(was_pending))
    }

    /// Deletes such a timer if it is pending: whether it did.
    #[inline(always)]
    pub fn delete_plainly<H: Host<Timer = T, Run = R>>(
        &mut self,
        host: &H,
        addr: usize,
        op: Op,
        site: usize,
    ) -> bool {
        if matches!(op, Op::TimerShutdown | Op::TimerShutdownSync) || host.hears_every_delete() {
            return false;
        }
        let Some((id, _)) = self.find_plain(host, addr) else { return false };
        let record = self.table.at(id);
        if !record.is_pending() {
            return false;
        }
        let (cpu, handler, is_full) = (usize::from(record.cpu), record.function, record.is(FULL));
        let del_site = self.sites.number(site);
        let (wheel, table) = self.wheel(cpu);
        wheel.remove(table, id);
        let record = table.at(id);
        record.del_site = del_site;
        record.futile_count = 0;
        record.set_readd(None);
        self.books.detached += 1;
        host.count(Count::Dequeued);
        let (next, prev) = self.keys.idle(addr, is_full);
        host.write_links(addr, next, prev);
        host.count_delete(op, site, handler, true);
        true
    }
}
