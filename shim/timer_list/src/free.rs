//! Memory and code that go: freed blocks, unloaded modules.

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Kind, Severity};

use crate::arm::argument;
use crate::call::{Call, finding};
use crate::check::Purpose;
use crate::engine::Engine;
use crate::host::{Block, Caller, Found, Host};
use crate::record::{FULL, RecordRef};

impl<H: Host> Engine<H> {
    /// A watched block is about to be freed, or moved away by realloc. Runs
    /// inside `free`.
    pub fn freeing(&self, block: Block, site: usize) {
        let Some(mut call) = Call::begin(self) else { return };
        if !call.state.settings.hook_free || !call.state.table.has_blocks() {
            return;
        }
        let mut from = block.base;
        while let Some(id) = call.state.table.next_in_block(from, block.base, block.size) {
            from = call.state.table.at(id).addr;
            call.free_under(id, block, site);
        }
        call.end();
    }

    /// The frame that holds a timer ends (`destroy_timer_on_stack`): as if its
    /// memory were freed.
    pub fn destroy_on_stack(&self, addr: usize, site: usize) {
        let Some((mut call, checked)) = self.check(addr, Purpose::Stop, site) else { return };
        call.free_under(checked.id, Block::default(), site);
        call.end();
    }

    /// Calls `each`, under the lock, for every timer that is armed or whose handler
    /// runs: with the handler, the timer's address and whether it runs.
    pub fn each_live(&self, each: &mut dyn FnMut(usize, usize, bool)) {
        let Some(mut call) = Call::begin(self) else { return };
        let mut from = 0;
        while let Some(id) = call.state.table.next_used(from) {
            from = id + 1;
            let running = call.state.table.run(id).map(|run| run.handler);
            let record = call.state.table.at(id);
            if record.is_pending() {
                each(record.function, record.addr, false);
            }
            if let Some(handler) = running {
                each(handler, record.addr, true);
            }
        }
        call.end();
    }

    /// The code in `text` is unloaded, or about to be: timers with handlers there
    /// are reported, armed ones detached. How many were found.
    pub fn unload(&self, text: core::ops::Range<usize>, site: usize) -> usize {
        let me = self.host.thread();
        let Some(mut call) = Call::begin(self) else { return 0 };
        let mut findings = 0;
        let mut from = 0;
        while let Some(id) = call.state.table.next_used(from) {
            from = id + 1;
            let run = call.state.table.run(id).filter(|run| text.contains(&run.handler)).copied();
            let is_own = run.is_some_and(|run| run.thread == me);
            let running = run.filter(|run| run.thread != me).and_then(|run| run.token);
            let record = call.state.table.at(id);
            let addr = record.addr;
            let (is_pending, armed_with) = (record.is_pending(), record.function);
            let bad = |kind| finding(kind, Severity::Error, None, addr, site);
            // The program may have changed the function since.
            let fields = is_pending.then(|| call.state.read_armed(&self.host, id));
            let function = match fields {
                Some(Ok(fields)) => fields.function,
                _ => armed_with,
            };
            if is_pending && text.contains(&function) {
                if let Some(Ok(fields)) = fields {
                    call.state.table.at(id).function = function;
                    if let Some(timer) = call.state.table.name(id) {
                        self.host.changed(timer, function, argument(&fields, addr), addr);
                    }
                }
                call.state.auto_detach(&self.host, id);
                if matches!(fields, Some(Ok(_))) {
                    call.make_idle(id);
                }
                call.tell_of(id, bad(Kind::UnloadWhilePending));
                findings += 1;
            }
            if let Some(run) = running {
                call.harm(run, Kind::UnloadWhileRunning, addr, Block::default());
                findings += 1;
            } else if is_own {
                call.tell_of(id, bad(Kind::UnloadWhileRunning));
                findings += 1;
            }
        }
        call.end();
        findings
    }
}

impl<H: Host> Call<'_, H> {
    /// The block of this timer is about to be freed.
    fn free_under(&mut self, id: u32, block: Block, site: usize) {
        let host = &self.engine.host;
        let me = host.thread();
        let policy = self.engine.policy();
        let record = self.state.table.at(id);
        let addr = record.addr;
        let about = |kind, severity| Found {
            block,
            caller: Caller::Free,
            ..finding(kind, severity, None, addr, site)
        };
        if record.is_pending() {
            let rearmed = self.state.table.take_rearm_finding(id);
            self.state.auto_detach(host, id);
            self.tell_of(id, about(Kind::FreeWhilePending, Severity::Error));
            if let Some(finding) = rearmed {
                self.worsen(finding);
            }
        }
        let generation = self.state.table.at(id).generation;
        let this = RecordRef { id, generation };
        for wait in self.state.waits.iter_mut().filter(|wait| wait.timer == this) {
            wait.is_flag_gone = true;
        }
        let mut harmed = None;
        let mut own = None;
        if let Some(run) = self.state.table.run(id) {
            run.is_gone = true;
            if run.thread == me {
                run.freed_own = true;
                own = Some((run.token, run.took_back && run.waiters > 0));
            } else {
                harmed = run.token;
            }
        }
        if let Some(run) = harmed {
            self.harm(run, Kind::FreeWhileRunning, addr, block);
        }
        if let Some((token, is_confusing)) = own {
            if let Some(run) = token {
                host.handled(run);
            }
            let severity =
                if policy == DelPolicy::Running { Severity::Error } else { Severity::Info };
            self.tell_of(id, about(Kind::FreeOwnHandler, severity));
            if is_confusing && policy == DelPolicy::Sync {
                self.tell_of(id, about(Kind::ConfusedReaddDelFree, Severity::Info));
            }
        }
        if let Some(timer) = self.state.table.unmap(id) {
            self.retire(timer);
        }
    }

    /// Writes the links of a timer that is not armed any more, and is there.
    pub fn make_idle(&mut self, id: u32) {
        let record = self.state.table.at(id);
        let (addr, is_full) = (record.addr, record.is(FULL));
        let (next, prev) = self.state.keys.idle(addr, is_full);
        self.engine.host.write_links(addr, next, prev);
    }
}
