//! Tests of the engine on a mock host.
//!
//! * [`arming`], [`deletes`], [`waits`], [`canaries`], [`frees`], [`time`]: call
//!   by call, handlers "running" as long as the test wants.
//! * [`model`]: random calls against a plain reference model.
//! * [`stress`]: real threads; what must add up at the end.
//! * [`loom`]: every interleaving of a few calls.

#[cfg(not(loom))]
mod arming;
#[cfg(not(loom))]
mod canaries;
#[cfg(not(loom))]
mod deletes;
#[cfg(not(loom))]
mod frees;
#[cfg(not(loom))]
mod host;
#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod model;
#[cfg(not(loom))]
mod rig;
#[cfg(not(loom))]
mod stress;
#[cfg(not(loom))]
mod time;
#[cfg(not(loom))]
mod waits;
