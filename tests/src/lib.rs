//! The harness of the end-to-end tests.
//!
//! One bug, one program: the C sources in `programs/` are compiled on the spot
//! ([`Program`]), run plain and under `deadwalk run` ([`Run`]), and the JSON
//! report is asserted on ([`Report`]). Nothing here links the shim: what is
//! tested is the command and the library that a user gets.
//!
//! `cargo test` does not build the library; `tests/run` does, then runs these.
//!
//! | variable | effect |
//! |---|---|
//! | `DEADWALK_TEST_QUICK=1` | fewer repetitions ([`repeats`]) |
//! | `DEADWALK_TEST_BIN=DIR` | takes `deadwalk` and `libdeadwalk.so` from there |
//! | `DEADWALK_TEST_TIMEOUT_S=N` | how long one program may run (default 120) |

mod cgroup;
mod expected;
mod linux_source;
mod live;
pub mod matrix;
mod overcommit;
pub mod posix;
mod program;
mod report;
mod run;
mod skip;
mod target;
mod tmpfs;

pub use cgroup::Cgroup;
pub use expected::{Count, Expected, error, info, warning};
pub use linux_source::LinuxSource;
pub use live::Live;
pub use overcommit::Overcommit;
pub use program::Program;
pub use report::{Finding, Frame, Report, Severity};
pub use run::{Outcome, Run, SKIPPED, Watched};
pub use skip::{find_tool, is_root, skip};
pub use target::Target;
pub use tmpfs::Tmpfs;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often a test repeats its program: `full`, or `quick` if the environment
/// has `DEADWALK_TEST_QUICK`.
pub fn repeats(quick: u32, full: u32) -> u32 {
    if std::env::var_os("DEADWALK_TEST_QUICK").is_some() { quick } else { full }
}

/// Runs the holder's test alone within its test binary, for the tests that load
/// the whole machine. Gated programs need no such care.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}
