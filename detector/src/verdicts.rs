//! The verdict at leave: what became of the notes that others left on a run.
//!
//! Contexts: as [`crate::handlers`]; only the slow path of a handler on which
//! something landed, and the process's end.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Relaxed, SeqCst},
    fence,
};

use crate::core::Detector;
use crate::handlers::MUTEX;
use crate::ladder::{Sample, WentOn, freed_while_running, landed_harmlessly, went_on};
use crate::platform::Platform;
use crate::rearms::{UndoneLanding, is_last_undone, is_undone};
use crate::record::layout::{FindingEntry, SiteEntry, StackRole, Verdict};
use crate::run_notes::{HarmNote, LandingNote};
use crate::runs::{HARMS, RunSlot};
use crate::{Api, Consequence};

impl Detector {
    /// The deleter may yet wait for what the handler has posted.
    fn leave_to_aftermath(&self, run: &RunSlot, landing: &LandingNote, finding: u32) {
        let (del_ns, del_tid) = (landing.del_ns.load(Relaxed), landing.del_tid.load(Relaxed));
        self.aftermath.add(del_tid, finding, awaited(run, landing));
        fence(SeqCst);
        for object in awaited(run, landing) {
            if landing.waited.since(del_ns).any(|waited| waited == object) {
                self.aftermath.waited(del_tid, object, |finding| {
                    self.record.reclassify(finding, Verdict::Warning, Verdict::Info);
                });
            }
        }
    }

    /// The verdicts on a run that others left notes on.
    pub(crate) fn settle(&self, platform: &dyn Platform, run: &RunSlot, generation: u32) {
        let sample = platform.sample_self();
        let activity = sample.activity.wrapping_add(run.calls.load(Relaxed));
        let sample = Sample { activity, ..sample };
        let now = platform.now_ns();
        let tail_ns = self.tail_ns.load(Relaxed);
        let mut harms = [None; HARMS];
        for (harm, settled) in run.harms.iter().zip(&mut harms) {
            if !harm.note.take(generation) {
                continue;
            }
            let went_on = match was_handed_over(run, generation, harm) {
                // What it did since was something else.
                true => WentOn::No,
                false => went_on(&harm.sample.get(), &sample, tail_ns),
            };
            let finding = harm.finding.load(Relaxed);
            self.record.close(finding);
            self.give(platform, (finding, u32::MAX), freed_while_running(went_on), went_on);
            *settled = Some((harm, went_on));
        }
        let written = run.landings.iter().filter(|l| l.note.is_written(generation));
        let last_ns = written.map(|l| l.del_ns.load(Relaxed)).max().unwrap_or(0);
        let timer = self.registry.get(run.timer());
        for landing in run.landings.iter().filter(|l| l.note.take(generation)) {
            let del_ns = landing.del_ns.load(Relaxed);
            let finding = landing.finding.swap(u32::MAX, AcqRel);
            self.record.close(finding);
            let site = landing.site.load(Relaxed);
            let handled = run.handled.load(Relaxed) != 0 || waited_for(run, landing);
            let rearms = timer.is_some_and(|timer| timer.api() == Api::TimerList) && !handled;
            let is_undone = is_last_undone(timer, run, landing, last_ns);
            let (consequence, verdict) = match worst(&harms, run, landing, rearms) {
                // Legal as such, and the arming before it is what it was.
                Some((.., WentOn::No)) if is_undone => {
                    let verdict = freed_while_running(WentOn::No);
                    let undone = UndoneLanding { note: landing, finding, verdict };
                    self.leave_undone(platform, run, &undone);
                    (Consequence::None, verdict)
                }
                Some((consequence, harm, went_on)) => {
                    let worse = self.worsened(platform, run, landing, consequence, harm);
                    let verdict = freed_while_running(went_on);
                    self.give(platform, (worse.unwrap_or(u32::MAX), site), verdict, went_on);
                    (consequence, verdict)
                }
                None => {
                    let mut went_on = went_on(&landing.sample.get(), &sample, tail_ns);
                    let handled = handled || landing.gave_up.load(Relaxed) != 0;
                    let verdict = landed_harmlessly(went_on, handled);
                    let wait_may_come = verdict == Verdict::Warning
                        && match went_on {
                            WentOn::Yes => awaited(run, landing).next().is_some(),
                            _ => posted(run, del_ns, u64::MAX).next().is_some(),
                        };
                    if is_undone {
                        let undone = UndoneLanding { note: landing, finding, verdict };
                        self.leave_undone(platform, run, &undone);
                    } else {
                        if wait_may_come {
                            went_on = WentOn::Yes; // not open: the deleter's wait decides
                        }
                        self.give(platform, (finding, site), verdict, went_on);
                        if wait_may_come {
                            self.leave_to_aftermath(run, landing, finding);
                        }
                    }
                    (Consequence::None, verdict)
                }
            };
            landing.del_tid.store(0, Relaxed);
            if let Some(site) = self.site_of(landing) {
                let harmless = verdict != Verdict::Error;
                let consequence = if harmless { Consequence::None } else { consequence };
                count_window(site, now.saturating_sub(del_ns), verdict, consequence);
            }
        }
        self.clear_noise(platform, 0);
    }

    /// Counts a verdict on (finding, delete site), or leaves it open if a little
    /// CPU time alone speaks for it.
    fn give(
        &self,
        platform: &dyn Platform,
        (finding, site): (u32, u32),
        verdict: Verdict,
        went_on: WentOn,
    ) {
        if went_on == WentOn::CpuOnly && matches!(verdict, Verdict::Warning | Verdict::Error) {
            self.record.open(platform, finding);
            self.suspects.add(finding, site);
        } else {
            self.record.occurred(platform, finding, verdict);
        }
    }

    /// Turns open verdicts into tails where as many landings on the same handler
    /// were tails as were not, or where fewer than `fewest` were not.
    pub(crate) fn clear_noise(&self, platform: &dyn Platform, fewest: u32) {
        if !self.suspects.any() {
            return;
        }
        let Some(body) = self.record.body_if_any() else { return };
        let handler_of = |f: &FindingEntry| f.stacks[StackRole::Handler as usize].load(Relaxed);
        for (index, finding) in body.findings.iter().enumerate() {
            if self.suspects.count(index) == 0 {
                continue;
            }
            let same = || {
                let all = body.findings.iter().enumerate();
                all.filter(|(_, f)| handler_of(f) == handler_of(finding))
            };
            let given = |f: &FindingEntry, v: Verdict| f.verdicts[v as usize].load(Relaxed);
            // Certain verdicts on the handler speak against it as well.
            let blame = |(i, f): (usize, &FindingEntry)| {
                self.suspects.count(i) + given(f, Verdict::Warning) + given(f, Verdict::Error)
            };
            let tails = same().map(|(_, f)| given(f, Verdict::Tail)).max().unwrap_or(0);
            let blamed = same().map(blame).max().unwrap_or(0);
            if tails >= blamed || blamed < fewest {
                self.acquit(platform, index, finding);
            }
        }
    }

    /// The open verdicts of a finding were the noise of scheduling.
    fn acquit(&self, platform: &dyn Platform, index: usize, finding: &FindingEntry) {
        let (count, site) = self.suspects.take(index);
        for _ in 0..count {
            self.record.close(index as u32);
            self.record.occurred(platform, index as u32, Verdict::Tail);
        }
        let sites = self.record.body_if_any().map(|body| &body.sites);
        let Some(site) = sites.and_then(|sites| sites.get(site as usize)) else { return };
        site.in_tail.fetch_add(u64::from(count), Relaxed);
        let consequence = usize::from(finding.consequence.load(Relaxed));
        if consequence != Consequence::None as usize
            && let Some(counted) = site.consequences.get(consequence)
        {
            counted.fetch_sub(count, Relaxed);
            site.consequences[Consequence::None as usize].fetch_add(count, Relaxed);
        }
    }

    pub(crate) fn site_of(&self, landing: &LandingNote) -> Option<&'static SiteEntry> {
        self.record.body_if_any()?.sites.get(landing.site.load(Relaxed) as usize)
    }
}

/// The worst that followed a delete on a run: a harm done to it since, its use
/// of what was released, or its own arming of the timer if that counts at once
/// (`rearms`).
fn worst<'a>(
    harms: &[Option<(&'a HarmNote, WentOn)>; HARMS],
    run: &RunSlot,
    landing: &LandingNote,
    rearms: bool,
) -> Option<(Consequence, Option<&'a HarmNote>, WentOn)> {
    let del_ns = landing.del_ns.load(Relaxed);
    let since = |at: &AtomicU64| at.load(Relaxed) != 0 && at.load(Relaxed) >= del_ns;
    let harmed = harms.iter().flatten().filter(|(harm, _)| since(&harm.at_ns));
    let harmed = harmed.map(|&(harm, went_on)| (harm.consequence(), Some(harm), went_on));
    let rearms = rearms && is_undone(run, del_ns);
    let rearmed = rearms.then_some((Consequence::Rearmed, None, WentOn::Yes));
    let is_used = landing.releases.used_site() != 0;
    let used = is_used.then_some((Consequence::ResourceClosed, None, WentOn::Yes));
    harmed
        .filter(|(consequence, ..)| *consequence != Consequence::None)
        .chain(rearmed)
        .chain(used)
        // Certain harm before what may have been the tail.
        .max_by_key(|&(consequence, _, went_on)| (went_on != WentOn::No, consequence))
}

/// Did the deleter, after its delete, wait for something that the handler then
/// posted, or delete again?
fn waited_for(run: &RunSlot, landing: &LandingNote) -> bool {
    let del_ns = landing.del_ns.load(Relaxed);
    awaited(run, landing).any(|object| landing.waited.since(del_ns).any(|w| w == object))
}

/// Were the data that were freed handed over before? The deleter, after its delete, waited
/// for something that the handler posted, and the handler does not use them any more.
fn was_handed_over(run: &RunSlot, generation: u32, harm: &HarmNote) -> bool {
    let freed_ns = harm.at_ns.load(Relaxed);
    harm.consequence() == Consequence::DataFreed
        && run.landings.iter().filter(|l| l.note.is_written(generation)).any(|landing| {
            let del_ns = landing.del_ns.load(Relaxed);
            posted(run, del_ns, freed_ns)
                .any(|object| landing.waited.between(del_ns, freed_ns).any(|w| w == object))
        })
}

/// What a wait or a second delete by the deleter may name: what the handler
/// posted since, the thread of its handler, and a timer_list itself.
fn awaited<'a>(run: &'a RunSlot, landing: &LandingNote) -> impl Iterator<Item = u64> + use<'a> {
    let again = landing.again.load(Relaxed);
    let again = (again != 0).then_some(again);
    let joinable = run.joinable.load(Relaxed);
    let joinable = (joinable != 0).then_some(joinable);
    again.into_iter().chain(joinable).chain(posted(run, landing.del_ns.load(Relaxed), u64::MAX))
}

/// What the handler posted in this time. A mutex counts only if it signalled a
/// condition variable too: only then does its unlock announce something.
fn posted(run: &RunSlot, since_ns: u64, until_ns: u64) -> impl Iterator<Item = u64> + '_ {
    let signalled = run.signalled.load(Relaxed) != 0;
    run.posted
        .between(since_ns, until_ns)
        .filter(move |&object| signalled || object & MUTEX as u64 == 0)
}

fn count_window(site: &SiteEntry, window_ns: u64, verdict: Verdict, consequence: Consequence) {
    site.window_count.fetch_add(1, Relaxed);
    site.window_min_ns.fetch_min(window_ns, Relaxed);
    site.window_max_ns.fetch_max(window_ns, Relaxed);
    site.window_buckets[crate::histogram::bucket(window_ns)].fetch_add(1, Relaxed);
    if verdict == Verdict::Tail {
        site.in_tail.fetch_add(1, Relaxed);
    }
    site.consequences[consequence as usize].fetch_add(1, Relaxed);
}
