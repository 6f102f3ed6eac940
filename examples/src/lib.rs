//! deadwalk in use.
//!
//! | file | shows |
//! |---|---|
//! | `c/showit_posix.c` | the race of the mail, with a POSIX timer |
//! | `run-showit` | builds everything and runs it under `deadwalk run` |
//! | `tests/poison_alloc.rs` | a Rust test binary whose heap is watched, and what it finds |
//! | `tests/clean.rs` | the same for sound code: nothing is found |
