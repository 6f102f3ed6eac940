//! A heap that poisons what is freed, keeps it back for a while, and proves that
//! nobody wrote to it before it is used again.
//!
//! The malloc family without the C names is in [`heap`]; [`PoisonAlloc`] is the
//! same as Rust's global allocator. What is found goes to a [`HeapObserver`].
//! [`lookup`] and [`watch`] tell detectors about blocks.
//!
//! Bottom up: `os`, `sync`, `lock`, `class` (sizes), `window` (addresses), `poison`
//! (bytes), `slot` (state), `bitmap` and `depot` (free slots), `bin` and `cache`
//! (threads), `guard` (pages without access), `small`, `large`, `huge` (blocks), `alone`
//! (which of them share a page with nobody, and are held when they are freed),
//! `heap` (the family), `family` (C++'s functions beside it), `signal` (handlers
//! that interrupt all this), `trap` (what an access without permission was),
//! `sandbox` (system calls that the process gave up), `purge` (memory that
//! goes back), `pressure` and `holes` (little memory).
//!
//! x86-64 Linux only.
#![cfg_attr(loom, allow(dead_code))] // Models use a part only.

mod alone;
mod bin;
mod bitmap;
mod cache;
mod class;
mod class_counters;
mod config;
mod counters;
mod depot;
pub mod family;
mod fork;
mod fresh;
mod global;
mod guard;
pub mod heap;
mod holes;
mod huge;
mod large;
mod live;
mod lock;
mod lookup;
#[cfg(loom)]
mod models;
mod observer;
mod os;
mod place;
mod poison;
mod pressure;
mod purge;
mod report;
pub mod sandbox;
pub mod signal;
mod slot;
mod small;
mod sweep;
mod sync;
#[cfg_attr(loom, path = "models/tls.rs")]
mod tls;
mod totals;
pub mod trap;
mod window;

pub use alone::{choose_code, expect_watches};
pub use class_counters::{
    CLASS_CELLS, ClassCounters, set_class_counters, set_class_counters_fresh,
};
pub use config::{Config, Isolate, configure};
pub use counters::{
    Counter, HEAP_COUNTERS, flush_counters, read as read_counter, set_counters, set_counters_fresh,
};
pub use fork::{fork_child, fork_parent, fork_prepare, register_fork};
pub use global::PoisonAlloc;
#[doc(hidden)]
pub use guard::use_mprotect;
pub use guard::{Means as GuardMeans, means as guard_means};
pub use live::{LiveBlock, each_live};
pub use lookup::{ActivityProbe, freed_intact, lookup, thread_activity, watch};
pub use observer::{
    Block, BlockState, Freeing, HeapObserver, Misuse, MisuseKind, set_observer, set_site_resolver,
};
pub use poison::{POISON_END, POISON_FREE};
pub use sweep::{Sweeper, sweep};
pub use totals::{HeapTotals, free_slots, totals, trim};
