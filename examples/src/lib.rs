//! deadwalk in use.
//!
//! | file | shows |
//! |---|---|
//! | `c/showit_posix.c` | the race of the mail, with a POSIX timer |
//! | `run-showit` | builds everything and runs it under `deadwalk run` |
//! | `tests/poison_alloc.rs` | a Rust test binary whose heap is watched, and what it finds |
//! | `tests/timers.rs` | timers of a Rust program, what their misuse gives, and the numbers |
//! | `tests/timers_unhooked.rs` | a timer that expires in freed memory |
//! | `tests/clean.rs` | the same for sound code: nothing is found |
//!
//! The scenarios of kernel timers, in the kernel's manner; what each gives under
//! each delete policy is in `docs/timer-list-scenarios.md`:
//!
//! | file | shows |
//! |---|---|
//! | `run-scenarios` | builds them and runs all under every policy |
//! | `c/showit.c` | the mail's module: is the handler still running after the delete? |
//! | `c/d1_resource.c` | the handler uses a resource after its release |
//! | `c/d2_device.c` | ... a device after it was switched off |
//! | `c/d3_foo.c` | ... a variable that the deleter believes to be its own |
//! | `c/d4_unload.c` | the handler's text is unloaded |
//! | `c/d5_zombie.c` | the handler arms the timer again, in storage that is freed |
//! | `c/deadlock.c` | a waiting delete under a lock that the handler takes |
//! | `c/kfree.c` | timers that are used after their storage was freed |
//! | `c/uninit.c` | timers that nobody initialised |
//! | `c/collection.c` | Rusty Russell's collection of objects, each with a timer |
//! | `c/rearming.c` | his timers that restart themselves |
//! | `c/timertest.c` | the mail's test cases: what each call returns; `timertest_*.h` are the cases |
//! | `c/scenario.h` | what they share: options, gates, the program's own verdict |
