//! The severity ladder: pure rules from facts to verdict.
//!
//! Source of the rules: the report's specification, "Verdict at `leave`". A
//! handler that has told the deleter "done" still runs for a few instructions;
//! what happens in that tail is legal.

use crate::record::layout::Verdict;

/// What is known of a handler's thread at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// It was asleep (blocked); always false in a sample of oneself.
    pub asleep: bool,
    /// Voluntary context switches so far.
    pub voluntary_switches: u64,
    /// CPU time so far, ns.
    pub cpu_ns: u64,
    /// A number that changes with every call that deadwalk sees.
    pub activity: u64,
}

/// Why a handler is taken to have gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WentOn {
    /// It was in its tail.
    No,
    /// It used more CPU than a tail does, but less than [`CERTAIN`] times that,
    /// and nothing else tells: see `suspects.rs`.
    CpuOnly,
    /// It was asleep, slept, or made a call.
    Yes,
}

/// How many times `tail_us` no noise of scheduling is taken for: stolen virtual
/// CPUs were seen to come back after two milliseconds and a half.
pub const CERTAIN: u64 = 100;

/// Whether the handler, sampled at the moment of an event and again when it
/// left, went on in between or was in its tail.
pub fn went_on(event: &Sample, leave: &Sample, tail_ns: u64) -> WentOn {
    if event.asleep
        || leave.voluntary_switches > event.voluntary_switches
        || leave.activity != event.activity
    {
        return WentOn::Yes;
    }
    match leave.cpu_ns.saturating_sub(event.cpu_ns) {
        cpu_ns if cpu_ns > tail_ns.saturating_mul(CERTAIN) => WentOn::Yes,
        cpu_ns if cpu_ns > tail_ns => WentOn::CpuOnly,
        _ => WentOn::No,
    }
}

/// The verdict on a landing without consequence.
pub fn landed_harmlessly(went_on: WentOn, handled: bool) -> Verdict {
    match (went_on, handled) {
        (WentOn::No, _) => Verdict::Tail,
        (_, true) => Verdict::Info,
        (_, false) => Verdict::Warning,
    }
}

/// The verdict on a free under a running handler.
pub fn freed_while_running(went_on: WentOn) -> Verdict {
    if went_on == WentOn::No { Verdict::Tail } else { Verdict::Error }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Sample =
        Sample { asleep: false, voluntary_switches: 4, cpu_ns: 1_000_000, activity: 9 };

    #[test]
    fn a_tail_is_short_and_silent() {
        let leave = Sample { cpu_ns: AT.cpu_ns + 50_000, ..AT };
        assert_eq!(went_on(&AT, &leave, 50_000), WentOn::No);
        assert_eq!(
            went_on(&AT, &Sample { cpu_ns: leave.cpu_ns + 1, ..leave }, 50_000),
            WentOn::CpuOnly
        );
        let long = Sample { cpu_ns: AT.cpu_ns + CERTAIN * 50_000 + 1, ..AT };
        assert_eq!(went_on(&AT, &long, 50_000), WentOn::Yes);
        assert_eq!(went_on(&AT, &Sample { activity: 10, ..leave }, 50_000), WentOn::Yes);
        assert_eq!(went_on(&AT, &Sample { voluntary_switches: 5, ..leave }, 50_000), WentOn::Yes);
        assert_eq!(went_on(&Sample { asleep: true, ..AT }, &leave, 50_000), WentOn::Yes);
    }

    #[test]
    fn the_rungs() {
        assert_eq!(landed_harmlessly(WentOn::No, false), Verdict::Tail);
        assert_eq!(landed_harmlessly(WentOn::Yes, true), Verdict::Info);
        assert_eq!(landed_harmlessly(WentOn::CpuOnly, false), Verdict::Warning);
        assert_eq!(freed_while_running(WentOn::No), Verdict::Tail);
        assert_eq!(freed_while_running(WentOn::CpuOnly), Verdict::Error);
    }
}
