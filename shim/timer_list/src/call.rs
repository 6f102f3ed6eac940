//! One call under the engine's lock, and what it has to tell afterwards.

use deadwalk_detector::{Kind, Op, Severity};

use crate::engine::{Engine, Locked};
use crate::host::{Block, Caller, Count, Deleted, Found, Host};
use crate::record::RecordRef;

/// What is to be done once the lock is open.
enum After<H: Host> {
    Tell(Found<H::Timer>),
    /// A `rearm-after-del`, which the record remembers.
    TellRearm(RecordRef, Found<H::Timer>),
    Harm(H::Run, Kind, usize, Block),
    Worsen(u32),
    Retire(H::Timer),
    Futile(Op, usize),
    Deleted(Deleted<H::Timer, H::Run>),
}

/// The lock, and what is to be told when it is open again: stacks and findings
/// take long, and may go where the lock is wanted.
pub(crate) struct Call<'a, H: Host> {
    pub engine: &'a Engine<H>,
    pub state: Locked<'a, H>,
    /// Empty as a rule, and then without an allocation.
    after: Vec<After<H>>,
}

impl<'a, H: Host> Call<'a, H> {
    /// Takes the lock; `None` in a thread that has it.
    pub fn begin(engine: &'a Engine<H>) -> Option<Self> {
        Some(Call::under(engine, engine.lock()?))
    }

    /// A call of a thread that has the lock.
    pub fn under(engine: &'a Engine<H>, state: Locked<'a, H>) -> Self {
        Call { engine, state, after: Vec::new() }
    }

    #[cold]
    fn later(&mut self, after: After<H>) {
        if self.after.try_reserve(1).is_ok() {
            self.after.push(after);
        } else {
            self.engine.host.count(Count::Lost);
        }
    }

    /// Will report a finding about this timer, under its name.
    pub fn tell_of(&mut self, id: u32, found: Found<H::Timer>) {
        let (timer, is_for_this) = self.state.name_for_finding(&self.engine.host, id);
        self.tell(Found { timer, ..found });
        if is_for_this && let Some(timer) = timer {
            self.retire(timer);
        }
    }

    /// Will report a finding.
    pub fn tell(&mut self, found: Found<H::Timer>) {
        self.later(After::Tell(found));
    }

    /// Will report a `rearm-after-del` of this timer.
    pub fn tell_rearm(&mut self, timer: RecordRef, found: Found<H::Timer>) {
        self.later(After::TellRearm(timer, found));
    }

    /// Will leave word on a run of another thread, of the timer at `addr`.
    pub fn harm(&mut self, run: H::Run, kind: Kind, addr: usize, block: Block) {
        self.later(After::Harm(run, kind, addr, block));
    }

    /// Will say that a finding has done harm.
    pub fn worsen(&mut self, finding: u32) {
        self.later(After::Worsen(finding));
    }

    /// Will report a delete.
    pub fn deleted(&mut self, deleted: Deleted<H::Timer, H::Run>) {
        self.later(After::Deleted(deleted));
        // Before what was found meanwhile.
        if let [first, .., _] = &mut self.after[..]
            && !matches!(first, After::Deleted(_))
        {
            self.after.rotate_right(1);
        }
    }

    /// Will let the detector forget a timer, after what is told of it.
    pub fn retire(&mut self, timer: H::Timer) {
        if self.after.is_empty() {
            self.engine.host.retired(timer);
        } else {
            self.later(After::Retire(timer));
        }
    }

    /// Will hint at a delete that is called over and over.
    pub fn futile(&mut self, op: Op, site: usize) {
        self.later(After::Futile(op, site));
    }

    /// Opens the lock, lets others have it, and takes it again.
    pub fn pause(self, attempt: u32) -> Option<Self> {
        let Call { engine, state, after } = self;
        drop(state);
        engine.host.pause(attempt);
        Some(Call { engine, state: engine.lock()?, after })
    }

    /// Opens the lock and tells.
    #[inline]
    pub fn end(self) {
        let Call { engine, state, after } = self;
        drop(state);
        if !after.is_empty() {
            Self::tell_all(engine, after);
        }
    }

    #[cold]
    fn tell_all(engine: &Engine<H>, after: Vec<After<H>>) {
        let host = &engine.host;
        for after in after {
            match after {
                After::Tell(found) => {
                    host.found(&found);
                }
                After::TellRearm(timer, found) => {
                    let finding = host.found(&found);
                    if finding.is_some()
                        && let Some(mut state) = engine.lock()
                        && state.table.get(timer).is_some()
                        && let Some(rare) = state.table.rare_or_new(timer.id)
                    {
                        rare.rearm_finding = finding;
                    }
                }
                After::Harm(run, kind, addr, block) => {
                    host.harmed(run, kind, addr, block);
                }
                After::Worsen(finding) => host.worsened(finding),
                After::Retire(timer) => host.retired(timer),
                After::Futile(op, site) => host.futile(op, site),
                After::Deleted(deleted) => host.deleted(&deleted),
            }
        }
    }
}

/// A finding about a timer by a call from `site`.
pub(crate) const fn finding<T: Copy>(
    kind: Kind,
    severity: Severity,
    timer: Option<T>,
    addr: usize,
    site: usize,
) -> Found<T> {
    let block = Block { base: 0, size: 0, is_freed: false, alloc_site: 0, free_site: 0 };
    Found { kind, severity, timer, addr, block, caller: Caller::Access, site, blocked: None }
}
