//! The detector core of deadwalk: every timer API is six verbs, and every
//! misuse is a verb in the wrong state.
//!
//! | verb | who | file |
//! |---|---|---|
//! | init, arm, disarm, delete (retire) | the thread that owns the timer | [`deletes`] |
//! | enter, leave | the handler's thread | [`handlers`] |
//! | freed | whoever frees | [`frees`] |
//!
//! The state machine ([`state`]) is pure; [`timers`], [`blocks`] and [`runs`]
//! are its lock-free tables; [`ladder`] gives verdicts; [`record`] is the file
//! that survives the process. Time, threads, stacks and memory come from a
//! [`platform::Platform`], so everything is tested without a process.
#![deny(unsafe_code)]

mod aftermath;
mod blocks;
pub mod collect;
mod core;
pub mod counters;
pub mod deletes;
pub mod frees;
pub mod handlers;
pub mod histogram;
pub mod in_process;
mod index_map;
pub mod kind;
pub mod ladder;
mod note;
pub mod options;
pub mod platform;
pub mod record;
mod runs;
pub mod state;
pub mod statistics;
mod sync;
mod timers;

pub use self::core::{DETECTOR, Detector};
pub use blocks::HeapBlock;
pub use collect::{Finding, subscribe};
pub use in_process::{counter, heap_misuse};
pub use kind::{Api, Consequence, Kind, Op, Severity, Subject};
pub use runs::RunRef;
pub use timers::TimerRef;
