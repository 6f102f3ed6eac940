//! The record file: one per process, mapped and shared, read by the command.

pub mod crash;
pub mod guard_means;
pub mod heap_sites;
pub mod layout;
pub mod mapped;
pub mod reader;
pub mod writer;
