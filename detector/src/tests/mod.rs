//! Tests of the core as a whole, against a scripted host.
//!
//! * [`scenarios`]: each finding and each rung of the ladder, one after the other.
//! * [`between`]: two threads in the middle of each other, by hand.
//! * [`model`]: random verbs against a plain reference model.
//! * [`rearms`]: a handler arms a timer that was disarmed.
//! * [`stale`]: expiries that are another timer's.
//! * [`stress`]: real threads; what must add up at the end.
//! * [`releases`]: descriptors and the like that go after a landing.
//! * [`unloads`]: code that goes under timers.
//! * [`waits`]: deletes and handlers that wait for each other.
//! * [`loom`]: every interleaving of the protocols where two threads meet.

#[cfg(not(loom))]
mod between;
#[cfg(not(loom))]
pub(crate) mod host;
#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod model;
#[cfg(not(loom))]
mod rearms;
#[cfg(not(loom))]
mod releases;
#[cfg(not(loom))]
mod scenarios;
#[cfg(not(loom))]
mod signals;
#[cfg(not(loom))]
mod stale;
#[cfg(not(loom))]
mod stress;
#[cfg(not(loom))]
mod unloads;
#[cfg(not(loom))]
mod waits;
#[cfg(not(loom))]
mod watcher;
