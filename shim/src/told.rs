//! What the detector was told of a timer's call before it was made: what is to be told
//! after it depends on its result.
//!
//! Contexts: as the call's.

use deadwalk_detector::DETECTOR;
use deadwalk_detector::deletes::{Arming, Deletion};

use crate::posix_timer;
use crate::tls::keeping_errno;

/// What was told.
pub enum Told {
    /// Nothing.
    Nothing,
    /// The timer is about to be armed.
    Arming(Arming),
    /// It is about to be deleted or disarmed.
    Deletion(Deletion),
}

impl Told {
    /// An arming, if the timer is known.
    #[inline]
    pub fn arming(arming: Option<Arming>) -> Told {
        arming.map_or(Told::Nothing, Told::Arming)
    }

    /// A delete or disarm, if the timer is known.
    #[inline]
    pub fn deletion(deletion: Option<Deletion>) -> Told {
        deletion.map_or(Told::Nothing, Told::Deletion)
    }

    /// The call was made; did it succeed?
    #[inline]
    pub fn called(self, is_done: bool) {
        match (self, is_done) {
            (Told::Deletion(deletion), true) => posix_timer::finish(deletion),
            (Told::Arming(arming), true) if arming.is_under_handler() => {
                keeping_errno(|| DETECTOR.arm_done(&arming));
            }
            (Told::Arming(arming), false) => keeping_errno(|| DETECTOR.arm_refused(arming)),
            _ => {}
        }
    }
}
