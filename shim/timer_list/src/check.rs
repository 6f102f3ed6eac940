//! What every call does first: is this a timer, and which?
//!
//! The heap is asked first: storage in a freed block is *freed* whatever its
//! bytes; in a live block left-over poison means *uninitialised*. A timer that is
//! bad is reported, its storage left alone, and the call returns 0.

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Kind, Severity};

use crate::call::{Call, finding};
use crate::canary::Links;
use crate::engine::{Engine, State};
use crate::host::{Block, Count, Found, Host, Trash};
use crate::layout::{FULL_BYTES, Fields, LEGACY_BYTES};
use crate::record::{FULL, IN_BLOCK, RecordRef, Run, SHUTDOWN};

/// A timer that passed, with what stands in its storage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    pub id: u32,
    pub fields: Fields,
}

/// What a call wants of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To arm it.
    Arm,
    /// To stop it, or to know whether it is pending.
    Stop,
}

/// Where a `timer_list` may lie.
enum Place {
    /// In a live heap block that starts there.
    Heap(Block),
    /// Elsewhere, and there is memory.
    Outside,
    /// In a freed block.
    Freed(Block),
    /// Nowhere: NULL, misaligned, not mapped, read-only, too small a block.
    Nowhere,
}

impl<H: Host> Engine<H> {
    /// Takes the lock and looks the timer up; a bad one is reported and gives
    /// `None`.
    pub(crate) fn check(
        &self,
        addr: usize,
        purpose: Purpose,
        site: usize,
    ) -> Option<(Call<'_, H>, Checked)> {
        Call::begin(self)?.check(addr, purpose, site)
    }

    /// Takes the lock for an initialiser, which does not care what stands in the
    /// storage: the timer that was there, and the heap block. A bad place is
    /// reported.
    pub(crate) fn check_place(
        &self,
        addr: usize,
        site: usize,
    ) -> Option<(Call<'_, H>, Option<RecordRef>, Block)> {
        let mut call = Call::begin(self)?;
        let old = call.state.table.find(addr);
        let bad = |kind| finding(kind, Severity::Error, None, addr, site);
        let found = match call.state.place(&self.host, addr, FULL_BYTES) {
            Place::Heap(block) => return Some((call, old, block)),
            Place::Outside => return Some((call, old, Block::default())),
            Place::Freed(block) => {
                self.host.count(Count::Trashed(Trash::Freed));
                Found { block, ..bad(Kind::ApiUseAfterFree) }
            }
            Place::Nowhere => bad(Kind::UninitUse),
        };
        call.tell(found);
        call.end();
        None
    }
}

impl<'a, H: Host> Call<'a, H> {
    /// Looks the timer up; a bad one is reported, and the call is over.
    #[inline]
    pub fn check(mut self, addr: usize, purpose: Purpose, site: usize) -> Option<(Self, Checked)> {
        let state = &mut *self.state;
        if state.settings.hook_free
            && let Some(RecordRef { id, .. }) = state.table.find(addr)
        {
            // A block that is watched is live as long as its timers are known.
            let record = state.table.at(id);
            if record.is(IN_BLOCK) {
                let fields = self.engine.host.read(addr);
                if state.keys.are_of(id, record, &fields) {
                    return Some((self, Checked { id, fields }));
                }
            }
        }
        self.check_closely(addr, purpose, site)
    }

    fn check_closely(
        mut self,
        addr: usize,
        purpose: Purpose,
        site: usize,
    ) -> Option<(Self, Checked)> {
        match self.look(addr, purpose, site) {
            Ok(Some(checked)) => return Some((self, checked)),
            Ok(None) => {}
            Err(found) => match self.state.table.find(addr) {
                Some(known) => self.tell_of(known.id, found),
                None => self.tell(found),
            },
        }
        self.end();
        None
    }

    /// Looks a timer up, and makes its record if it is sound and new; `None` if
    /// there is no memory for that.
    fn look(
        &mut self,
        addr: usize,
        purpose: Purpose,
        site: usize,
    ) -> Result<Option<Checked>, Found<H::Timer>> {
        let (host, state) = (&self.engine.host, &mut *self.state);
        let known = state.table.find(addr);
        let error = |kind| finding(kind, Severity::Error, None, addr, site);
        // A block that is watched is live as long as its timers are known.
        let watched = state.settings.hook_free
            && known.is_some_and(|known| state.table.at(known.id).is(IN_BLOCK));
        let mut block = Block::default();
        if !watched {
            match state.place(host, addr, LEGACY_BYTES) {
                Place::Heap(found) => block = found,
                Place::Outside => {}
                Place::Freed(block) => {
                    host.count(Count::Trashed(Trash::Freed));
                    return Err(Found { block, ..error(Kind::ApiUseAfterFree) });
                }
                Place::Nowhere => return Err(error(Kind::UninitUse)),
            }
        }
        let fields = host.read(addr);
        let links = state.keys.read(&fields);
        if let Some(known) = known
            && state.is_sound(known, links)
        {
            return Ok(Some(Checked { id: known.id, fields }));
        }
        if watched && let Place::Freed(block) = state.place(host, addr, LEGACY_BYTES) {
            // Freed by another thread just now.
            host.count(Count::Trashed(Trash::Freed));
            return Err(Found { block, ..error(Kind::ApiUseAfterFree) });
        }
        let is_idle = match links {
            Links::Idle { .. } | Links::Static | Links::Zero => true,
            // What was armed when the parent forked is not armed here.
            Links::Armed { addr: own, .. } => own == addr && known.is_none() && state.is_fork_child,
            _ => false,
        };
        let is_pending = known.is_some_and(|known| state.table.at(known.id).is_pending());
        // One that we saw initialised, and whose memory was not freed since.
        let was_inited = known.is_some_and(|known| state.table.at(known.id).is(FULL));
        if is_idle
            && !is_pending
            && purpose == Purpose::Stop
            && let Some(known) = known
            && state.table.run(known.id).is_some()
        {
            // Its handler runs and may have assigned it anew. Who stops it means
            // that handler, whatever stands in the storage.
            return Ok(Some(Checked { id: known.id, fields }));
        }
        if is_idle && !is_pending {
            // Zeroed, or initialised by the header, or copied from an idle one:
            // a new timer, whatever was there.
            let id = match known {
                Some(known) => self.begin_anew(known.id, addr, site, &block),
                None => self.adopt(addr, site, &block),
            };
            let Some(id) = id else { return Ok(None) };
            let is_full = matches!(links, Links::Static | Links::Idle { is_full: true, .. });
            self.state.table.at(id).set(FULL, is_full);
            let runs_by_flag = is_full
                && self.state.table.run(id).is_some()
                && self.engine.policy() == DelPolicy::Running;
            if runs_by_flag {
                self.engine.host.write_running(addr, true);
            }
            if matches!(links, Links::Armed { .. }) {
                self.make_idle(id);
            }
            if links == Links::Zero && known.is_none() {
                self.tell(finding(Kind::StaticUninit, Severity::Info, None, addr, site));
            }
            return Ok(Some(Checked { id, fields }));
        }
        let trash = match links {
            Links::Armed { addr: from, .. } if from != addr && state.is_real(links) => {
                Trash::Copied
            }
            Links::Freed | Links::Unwritten => Trash::Uninit,
            _ if is_pending && is_idle => Trash::Wiped,
            _ if is_pending || was_inited => Trash::Clobbered,
            _ => Trash::Uninit,
        };
        host.count(Count::Trashed(trash));
        let block = host.block(addr).unwrap_or_default();
        let kind = match trash {
            Trash::Freed => Kind::ApiUseAfterFree,
            Trash::Uninit => Kind::UninitUse,
            Trash::Copied => Kind::TimerCopied,
            Trash::Wiped => Kind::TimerWiped,
            Trash::Clobbered => Kind::TimerClobbered,
        };
        Err(Found { block, ..error(kind) })
    }

    /// Another timer begins where there is one that is not pending; its record.
    pub fn begin_anew(&mut self, old: u32, addr: usize, site: usize, block: &Block) -> Option<u32> {
        let host = &self.engine.host;
        if self.state.table.running_here(old, host.thread()).is_some() {
            // The handler itself: the object stays one timer, and who deletes it
            // waits for this run.
            self.state.table.at(old).set(FULL | SHUTDOWN, false);
            host.count(Count::Inited);
            return Some(old);
        }
        let run = self.state.table.run(old);
        let is_running = run.is_some();
        if let Some(token) = run.and_then(|run| run.token) {
            self.harm(token, Kind::ReinitRunning, addr, *block);
        }
        // A running handler keeps the old record.
        let retired = match is_running {
            true => self.state.table.unmap(old),
            false => self.state.table.renew(old),
        };
        if let Some(timer) = retired {
            self.retire(timer);
        }
        if is_running {
            let block = host.block(addr).unwrap_or_default();
            return self.adopt(addr, site, &block);
        }
        host.count(Count::Inited);
        Some(old)
    }

    /// Makes a record for an address that has none; `None` without memory: the
    /// call on the timer has no effect then. If a handler of an older
    /// timer there still runs, its storage was used again too early.
    pub fn adopt(&mut self, addr: usize, site: usize, block: &Block) -> Option<u32> {
        let host = &self.engine.host;
        if let Some(run) = self.state.freed_under(addr, host.thread()) {
            if run.freed_own {
                let kind = Kind::StorageReused;
                let info = finding(kind, Severity::Info, None, addr, site);
                self.tell(Found { block: *block, ..info });
            } else if let Some(run) = run.token {
                self.harm(run, Kind::StorageReused, addr, *block);
            }
        }
        if block.base != 0 {
            host.watch(addr);
        }
        let id = self.state.table.insert(addr, block.base != 0, |timer| host.retired(timer));
        host.count(if id.is_some() { Count::Inited } else { Count::NoMemory });
        id
    }
}

impl<T: Copy, R: Copy> State<T, R> {
    fn place<H: Host<Timer = T, Run = R>>(&self, host: &H, addr: usize, bytes: usize) -> Place {
        if addr < 4096 || !addr.is_multiple_of(align_of::<usize>()) || addr >> 47 != 0 {
            return Place::Nowhere;
        }
        match host.block(addr) {
            Some(block) if block.is_freed => Place::Freed(block),
            Some(block) if addr + bytes <= block.base + block.size => Place::Heap(block),
            Some(_) => Place::Nowhere,
            None if host.is_usable(addr, bytes) => Place::Outside,
            None => Place::Nowhere,
        }
    }

    /// The handler on another thread whose timer was at `addr` until that memory
    /// was freed.
    fn freed_under(&mut self, addr: usize, me: u32) -> Option<Run<R>> {
        let table = &mut self.table;
        self.running.iter().find_map(|&running| {
            let run = table.run_of(running).filter(|run| run.is_gone && run.thread != me).copied();
            (table.at(running.id).addr == addr).then_some(run)?
        })
    }

    /// Is the whole structure of a known timer still there, in a heap block, that
    /// which starts at `block` if this is known, or elsewhere?
    pub fn is_there<H: Host<Timer = T, Run = R>>(
        &self,
        host: &H,
        addr: usize,
        in_block: bool,
        block: usize,
    ) -> bool {
        if !in_block {
            return host.is_usable(addr, FULL_BYTES);
        }
        // Were it freed, its timers would not be known.
        self.settings.hook_free
            || host
                .block(addr)
                .is_some_and(|found| !found.is_freed && (block == 0 || found.base == block))
    }

    /// Is what stands in the storage of a known timer, whose handler ends, still
    /// a timer? `None`: it was zeroed, which says nothing.
    pub fn is_timer<H: Host<Timer = T, Run = R>>(
        &mut self,
        host: &H,
        timer: RecordRef,
    ) -> Option<bool> {
        let addr = self.table.at(timer.id).addr;
        match self.keys.read(&host.read(addr)) {
            Links::Zero => None,
            // Its own, or assigned anew by its handler.
            Links::Idle { .. } | Links::Static => Some(true),
            links => Some(self.is_sound(timer, links)),
        }
    }

    /// Do the links say what the record says?
    fn is_sound(&mut self, known: RecordRef, links: Links) -> bool {
        let record = self.table.at(known.id);
        match links {
            Links::Armed { id, generation, addr } => {
                record.is_pending()
                    && (id, generation, addr) == (known.id, known.generation, record.addr)
            }
            Links::Idle { addr, .. } => !record.is_pending() && addr == record.addr,
            _ => false,
        }
    }

    /// Could these links be an armed timer's, now or before?
    fn is_real(&self, links: Links) -> bool {
        match links {
            Links::Armed { id, generation, .. } => self.table.has_named(id, generation),
            _ => false,
        }
    }

    /// What stands in the storage of an armed timer; if it is not sound, what
    /// became of it, `None` for memory that is not there.
    pub fn read_armed<H: Host<Timer = T, Run = R>>(
        &mut self,
        host: &H,
        id: u32,
    ) -> Result<Fields, (Option<Trash>, Block)> {
        let record = self.table.at(id);
        let (addr, generation) = (record.addr, record.generation);
        let watched = self.settings.hook_free && record.is(IN_BLOCK);
        if watched {
            let fields = host.read(addr);
            if self.keys.are_armed_of(id, record, &fields) {
                return Ok(fields);
            }
        } else {
            match self.place(host, addr, LEGACY_BYTES) {
                Place::Heap(_) | Place::Outside => {}
                Place::Freed(block) => return Err((Some(Trash::Freed), block)),
                Place::Nowhere => return Err((None, Block::default())),
            }
        }
        let fields = host.read(addr);
        let links = self.keys.read(&fields);
        let trash = match links {
            Links::Armed { id: of, generation: g, addr: from }
                if (of, g, from) == (id, generation, addr) =>
            {
                return Ok(fields);
            }
            Links::Armed { addr: from, .. } if from != addr && self.is_real(links) => Trash::Copied,
            Links::Idle { .. } | Links::Static | Links::Zero => Trash::Wiped,
            Links::Freed | Links::Unwritten => Trash::Uninit,
            _ => Trash::Clobbered,
        };
        Err((Some(trash), Block::default()))
    }
}
