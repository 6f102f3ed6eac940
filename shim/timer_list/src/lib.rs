//! The kernel's `timer_list` API as an engine: wheel, delete policies, canaries.
//!
//! | file | is |
//! |---|---|
//! | [`wheel`] | which entry expires when: pure |
//! | [`layout`], [`storage`] | the structure in the program's memory, and all access to it |
//! | [`canary`] | what stands in an armed timer's list links, and what else may be found there |
//! | [`record`], [`table`] | the truth: a record per timer, outside the program's memory |
//! | `addr_map`, `chunks`, `sites` | what the table is made of: no step of its growth takes long |
//! | `names` | which timers the detector knows |
//! | [`host`] | what the engine needs: threads, time, heap, detector |
//! | [`engine`] | lock, settings, clock |
//! | [`front`] | timers for Rust programs: the engine in process, without the library |
//! | [`telling`] | what a process tells the detector of all this |
//! | [`retry`] | how soon a second delete makes a first one good |
//! | [`sample`] | what another thread is doing |
//! | `call`, `check`, `arm`, `delete`, `wait`, `expiry`, `free` | the calls, by who makes them |
//!
//! No trusted state lies in the program's memory: a timer is known by its
//! address *and generation*. Time, threads, storage and the detector come from
//! a [`host::Host`], so all of this runs without a process, and under loom.
//!
//! Contexts: normal threads and timer handlers; `Engine::freeing` inside `free`.
//! Not in signal handlers.
#![deny(unsafe_code)]

mod addr_map;
mod arm;
mod call;
pub mod canary;
mod check;
mod chunks;
mod delete;
pub mod engine;
mod expiry;
mod free;
#[cfg(not(loom))]
pub mod front;
pub mod host;
pub mod layout;
mod lock;
mod names;
mod plain;
pub mod record;
pub mod retry;
#[cfg(not(loom))]
pub mod sample;
mod sites;
pub mod storage;
mod sync;
pub mod table;
#[cfg(not(loom))]
pub mod telling;
#[cfg(test)]
mod tests;
mod wait;
pub mod wheel;

pub use arm::Arm;
pub use engine::{Engine, Settings};
pub use expiry::{Due, Ticket};
