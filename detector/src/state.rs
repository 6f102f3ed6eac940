//! What a timer's life is: the state machine, free of any API and platform.
//!
//! ```text
//!             init                arm
//!   Vacant ---------> Idle -----------------> Armed <---.
//!     ^                ^                     |  |  |    | arm (re-arm), enter (periodic)
//!     |   enter (one-shot, due) `-----------'   |  `----'
//!     |                                  disarm |
//!     |                                         v
//!     |                arm <--------------- Disarmed          (from Idle too)
//!     |
//!     |   reuse (rested)            delete: from Idle, Armed, Disarmed
//!     `------------------ Retired <---------------------------
//! ```
//! Beside the phase a timer has a number of *runs*: `enter` adds one, `leave`
//! takes one away, in every phase, since a delete does not stop a handler that
//! has started. Handlers of one POSIX timer may overlap.

/// Where a timer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Phase {
    /// No timer.
    Vacant = 0,
    /// Created and not armed, or its one shot has been fired.
    Idle = 1,
    /// An expiry is to come.
    Armed = 2,
    /// The program disarmed it.
    Disarmed = 3,
    /// Deleted; late expiries may still refer to it.
    Retired = 4,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Phase; 5] =
        [Phase::Vacant, Phase::Idle, Phase::Armed, Phase::Disarmed, Phase::Retired];

    const fn from_bits(bits: u64) -> Phase {
        match bits & 7 {
            1 => Phase::Idle,
            2 => Phase::Armed,
            3 => Phase::Disarmed,
            4 => Phase::Retired,
            _ => Phase::Vacant,
        }
    }
}

/// What happens to a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// It is created.
    Init,
    /// It is armed.
    Arm {
        /// It re-arms itself.
        periodic: bool,
    },
    /// It is disarmed. `seen_arms` is [`State::arms`] from before the call into
    /// libc: an arm that came between wins, since nobody knows which was last.
    Disarm {
        /// The count of arms before the disarm took effect.
        seen_arms: u8,
    },
    /// It is deleted.
    Delete,
    /// A handler starts.
    Enter {
        /// The current arming's time has come: a one-shot is used up. An
        /// earlier arming's late expiry is not due.
        due: bool,
    },
    /// A handler ends.
    Leave,
}

/// A timer's whole state; packs into one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Where it stands.
    pub phase: Phase,
    /// It re-arms itself.
    pub periodic: bool,
    /// Handlers running now.
    pub runs: u16,
    /// Arms so far, modulo 256.
    pub arms: u8,
    /// Which timer of this slot it is; 0 is none.
    pub generation: u32,
}

/// What a verb did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The timer was armed before.
    pub was_pending: bool,
    /// Handlers that were running before.
    pub runs_before: u16,
    /// The handler starts after a delete or disarm took effect.
    pub after_del: bool,
}

impl State {
    /// An unused slot.
    pub const VACANT: State =
        State { phase: Phase::Vacant, periodic: false, runs: 0, arms: 0, generation: 0 };

    /// The state after `verb`, or `None` if the verb is impossible here: the
    /// caller has lost track (a slot reused, a call on a deleted timer).
    #[inline(always)]
    pub const fn step(self, verb: Verb) -> Option<(State, Outcome)> {
        let outcome = Outcome {
            was_pending: matches!(self.phase, Phase::Armed),
            runs_before: self.runs,
            after_del: false,
        };
        let mut next = self;
        match (self.phase, verb) {
            (Phase::Vacant, Verb::Init) | (Phase::Retired, Verb::Init) if self.runs == 0 => {
                let generation = self.generation.wrapping_add(1);
                next = State {
                    phase: Phase::Idle,
                    generation: if generation == 0 { 1 } else { generation },
                    ..State::VACANT
                };
            }
            (_, Verb::Init) | (Phase::Vacant, _) => return None,
            (Phase::Retired, Verb::Arm { .. } | Verb::Disarm { .. } | Verb::Delete) => return None,
            (_, Verb::Arm { periodic }) => {
                next.phase = Phase::Armed;
                next.periodic = periodic;
                next.arms = self.arms.wrapping_add(1);
            }
            (_, Verb::Disarm { seen_arms }) => {
                if seen_arms == self.arms {
                    next.phase = Phase::Disarmed;
                    next.periodic = false;
                }
            }
            (_, Verb::Delete) => next.phase = Phase::Retired,
            (phase, Verb::Enter { due }) => {
                if self.runs == u16::MAX {
                    return None;
                }
                next.runs = self.runs + 1;
                if matches!(phase, Phase::Armed) && due && !self.periodic {
                    next.phase = Phase::Idle;
                }
                let after_del = matches!(phase, Phase::Disarmed | Phase::Retired);
                return Some((next, Outcome { after_del, ..outcome }));
            }
            (_, Verb::Leave) => {
                if self.runs == 0 {
                    return None;
                }
                next.runs = self.runs - 1;
            }
        }
        Some((next, outcome))
    }

    /// As one word.
    pub const fn pack(self) -> u64 {
        self.phase as u64
            | (self.periodic as u64) << 3
            | (self.arms as u64) << 8
            | (self.runs as u64) << 16
            | (self.generation as u64) << 32
    }

    /// From one word.
    pub const fn unpack(word: u64) -> State {
        State {
            phase: Phase::from_bits(word),
            periodic: word & 8 != 0,
            arms: (word >> 8) as u8,
            runs: (word >> 16) as u16,
            generation: (word >> 32) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(phase: Phase, periodic: bool, runs: u16) -> State {
        State { phase, periodic, runs, arms: 7, generation: 3 }
    }

    /// (phase, verb) -> phase, or None: the whole table, written by hand.
    #[test]
    fn every_phase_and_verb() {
        use Phase::*;
        let arm = Verb::Arm { periodic: false };
        let disarm = Verb::Disarm { seen_arms: 7 };
        let overtaken = Verb::Disarm { seen_arms: 6 };
        let due = Verb::Enter { due: true };
        let late = Verb::Enter { due: false };
        #[rustfmt::skip]
        let table = [
            //         Init        arm          disarm          overtaken       Delete         due             late            Leave
            (Vacant,   [Some(Idle), None,        None,           None,           None,          None,           None,           None]),
            (Idle,     [None,       Some(Armed), Some(Disarmed), Some(Idle),     Some(Retired), Some(Idle),     Some(Idle),     Some(Idle)]),
            (Armed,    [None,       Some(Armed), Some(Disarmed), Some(Armed),    Some(Retired), Some(Idle),     Some(Armed),    Some(Armed)]),
            (Disarmed, [None,       Some(Armed), Some(Disarmed), Some(Disarmed), Some(Retired), Some(Disarmed), Some(Disarmed), Some(Disarmed)]),
            (Retired,  [Some(Idle), None,        None,           None,           None,          Some(Retired),  Some(Retired),  Some(Retired)]),
        ];
        let verbs = [Verb::Init, arm, disarm, overtaken, Verb::Delete, due, late, Verb::Leave];
        for (phase, row) in table {
            for (verb, want) in verbs.into_iter().zip(row) {
                for runs in [0u16, 1, 2] {
                    let want = match verb {
                        Verb::Init if runs > 0 => None,
                        Verb::Leave if runs == 0 => None,
                        _ => want,
                    };
                    let got = state(phase, false, runs).step(verb);
                    assert_eq!(got.map(|g| g.0.phase), want, "{phase:?} {verb:?} runs {runs}");
                    let Some((next, outcome)) = got else { continue };
                    let change = match verb {
                        Verb::Enter { .. } => 1,
                        Verb::Leave => -1,
                        _ => 0,
                    };
                    if verb == Verb::Init {
                        assert_eq!((next.runs, next.generation), (0, 4));
                        continue;
                    }
                    assert_eq!(next.runs as i32, runs as i32 + change);
                    assert_eq!(outcome.runs_before, runs);
                    assert_eq!(outcome.was_pending, phase == Armed);
                    let enters = matches!(verb, Verb::Enter { .. });
                    assert_eq!(outcome.after_del, enters && matches!(phase, Disarmed | Retired));
                    assert_eq!(next.generation, 3);
                }
            }
        }
    }

    #[test]
    fn a_periodic_timer_stays_armed_and_a_slot_never_gets_generation_zero() {
        let (next, _) = state(Phase::Armed, true, 0).step(Verb::Enter { due: true }).unwrap();
        assert_eq!(next.phase, Phase::Armed);
        let old = State { generation: u32::MAX, ..State::VACANT };
        assert_eq!(old.step(Verb::Init).unwrap().0.generation, 1);
        let full = State { runs: u16::MAX, ..state(Phase::Idle, false, 0) };
        assert_eq!(full.step(Verb::Enter { due: true }), None);
    }

    #[test]
    fn packing_loses_nothing() {
        for phase in Phase::ALL {
            for periodic in [false, true] {
                for runs in [0, 1, u16::MAX] {
                    let s =
                        State { arms: 255, generation: u32::MAX, ..state(phase, periodic, runs) };
                    assert_eq!(State::unpack(s.pack()), s);
                }
            }
        }
    }
}
