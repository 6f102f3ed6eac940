//! The detector core of deadwalk.

pub mod counters;
pub mod histogram;
pub mod kind;
pub mod options;
pub mod record;
pub mod statistics;

pub use kind::{Api, Consequence, Kind, Op, Severity, Subject};
