//! What a delete of a `timer_list` did, as the engine tells it. Pure: models have it, too.

use crate::Op;

/// A delete call and what it did; `T` names a timer, `R` a run of its handler.
#[derive(Clone, Copy, Debug)]
pub struct ListDelete<T, R> {
    /// The timer, if it is known.
    pub timer: Option<T>,
    /// The function called.
    pub op: Op,
    /// Its return address.
    pub site: usize,
    /// How often it detached the timer.
    pub detaches: u32,
    /// Of these, after it had begun to wait.
    pub re_deletes: u32,
    /// It found the timer armed again by its running handler.
    pub readds_by_handler: u32,
    /// ... by somebody else.
    pub readds_by_other: u32,
    /// It was made by the timer's own handler.
    pub is_own: bool,
    /// How long it waited for the handler, ns; `None`: it did not have to. That
    /// it waits was counted when it began.
    pub waited_ns: Option<u64>,
    /// It waited in vain.
    pub gave_up: bool,
    /// The run that was on when it took effect for the last time, and when that
    /// was, ns.
    pub landed_on: Option<(R, u64)>,
}
