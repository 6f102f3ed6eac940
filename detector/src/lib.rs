//! The detector core of deadwalk: every timer API is six verbs, and every
//! misuse is a verb in the wrong state.
//!
//! | verb | who | file |
//! |---|---|---|
//! | init, arm, disarm, delete (retire) | the thread that owns the timer | [`deletes`] |
//! | enter, leave | the handler's thread | [`handlers`] |
//! | freed | whoever frees | [`frees`] |
//! | code gone | whoever unloads it | `unloads` |
//! | released, and used | a deleter, and the handler | [`releases`] |
//!
//! The state machine ([`state`]) is pure; [`timers`], [`blocks`] and [`runs`]
//! are its lock-free tables; [`ladder`] gives verdicts; [`record`] is the file
//! that survives the process; [`provoke`] draws delays that make races happen. Time, threads, stacks and memory come from a
//! [`platform::Platform`], so everything is tested without a process.
#![deny(unsafe_code)]
#![cfg_attr(loom, allow(dead_code))] // The models use a part only.

#[cfg(not(loom))]
mod aftermath;
#[cfg(not(loom))]
mod blocks;
#[cfg(not(loom))]
mod clocks;
#[cfg(not(loom))]
pub mod collect;
#[cfg(not(loom))]
mod core;
#[cfg(not(loom))]
pub mod counters;
#[cfg(not(loom))]
pub mod deletes;
#[cfg(not(loom))]
pub mod frees;
#[cfg(not(loom))]
pub mod handlers;
#[cfg(not(loom))]
mod harms;
#[cfg(not(loom))]
mod heal;
#[cfg(not(loom))]
pub mod histogram;
#[cfg(not(loom))]
pub mod in_process;
mod index_map;
pub mod kind;
#[cfg(not(loom))]
pub mod ladder;
#[cfg(not(loom))]
mod landings;
pub mod list_delete;
mod note;
pub mod options;
#[cfg(not(loom))]
pub mod platform;
pub mod provoke;
#[cfg(not(loom))]
mod rearms;
#[cfg(not(loom))]
pub mod record;
#[cfg(not(loom))]
pub mod releases;
#[cfg(not(loom))]
mod run_notes;
mod run_word;
#[cfg(not(loom))]
mod runs;
#[cfg(not(loom))]
mod stale;
pub mod state;
#[cfg(not(loom))]
pub mod statistics;
#[cfg(not(loom))]
mod suspects;
mod sync;
#[cfg(test)]
mod tests;
#[cfg(not(loom))]
pub mod timer_list;
#[cfg(not(loom))]
mod timers;
#[cfg(not(loom))]
mod touches;
#[cfg(not(loom))]
mod unloads;
#[cfg(not(loom))]
mod verdicts;
#[cfg(not(loom))]
mod waits;
#[cfg(not(loom))]
pub mod watcher;

#[cfg(not(loom))]
pub use self::core::{DETECTOR, Detector};
#[cfg(not(loom))]
pub use blocks::HeapBlock;
#[cfg(not(loom))]
pub use collect::{Finding, Findings, subscribe};
#[cfg(not(loom))]
pub use in_process::{counter, heap_counters, heap_misuse};
pub use kind::{Api, Consequence, Kind, Op, Severity, Subject};
#[cfg(not(loom))]
pub use runs::{RUNS, RunRef};
#[cfg(not(loom))]
pub use timers::{Notify, TimerRef};
