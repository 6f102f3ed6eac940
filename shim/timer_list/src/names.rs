//! The detector's names of timers: who has one, and until when.
//!
//! The detector knows a timer only while it has to: while its handler runs, while
//! it is armed with an argument in a heap block that it must watch, and after
//! something was found of a run that a later call may change. So a million timers
//! may be armed and expire, and cost the detector nothing; and who tells a finding
//! of a timer without a name names it for that long.

use crate::call::Call;
use crate::engine::State;
use crate::host::{Host, Known};
use crate::record::{NONE, Record};

impl<T: Copy, R: Copy> State<T, R> {
    fn known<H: Host<Timer = T, Run = R>>(&mut self, host: &H, id: u32) -> Option<T> {
        let &mut Record { addr, function, data, arm_site, del_site, .. } = self.table.at(id);
        let (arm_site, del_site) = (self.sites.site(arm_site), self.sites.site(del_site));
        host.init(&Known { addr, handler: function, data, arm_site, del_site })
    }

    /// The detector's name of a timer, made at the first need; it stays.
    pub fn name_of<H: Host<Timer = T, Run = R>>(&mut self, host: &H, id: u32) -> Option<T> {
        if let Some(name) = self.table.name(id) {
            return Some(name);
        }
        self.table.rare_or_new(id)?;
        let name = self.known(host, id);
        if let Some(rare) = self.table.rare_mut(id) {
            rare.timer = name;
        }
        self.table.drop_rare(id);
        name
    }

    /// A name of a timer for a finding, and whether it is for that alone: to be
    /// [retired](Host::retired) when the finding is told.
    pub fn name_for_finding<H: Host<Timer = T, Run = R>>(
        &mut self,
        host: &H,
        id: u32,
    ) -> (Option<T>, bool) {
        match self.table.name(id) {
            Some(name) => (Some(name), false),
            None => {
                let name = self.known(host, id);
                (name, name.is_some())
            }
        }
    }
}

impl<H: Host> Call<'_, H> {
    /// Takes the name of a timer back, if nothing hangs on it.
    #[inline]
    pub fn take_back_name(&mut self, id: u32) {
        let record = self.state.table.at(id);
        if record.rare == NONE {
            return;
        }
        let is_pending = record.is_pending();
        let Some(rare) = self.state.table.rare_mut(id) else { return };
        if rare.run.is_some() || rare.keeps_name || rare.has_data && is_pending {
            return;
        }
        if let Some(name) = rare.timer.take() {
            self.retire(name);
        }
        self.state.table.drop_rare(id);
    }
}
