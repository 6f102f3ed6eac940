//! `libdeadwalk.so`: what deadwalk puts between a program and libc.
//!
//! | file | is |
//! |---|---|
//! | `start`, `exit`, `fork` | the process's life: constructor, end, children |
//! | `export` | the thunk of an export that wants to know its caller |
//! | `malloc` | the exported malloc family over the poisoning allocator |
//! | `operators`, `overrides` | C++'s new and delete, and who else defines them |
//! | `malloc_info` | what is asked of a heap: mallinfo, malloc_stats, malloc_trim |
//! | `posix_timer`, `thunk` | the `timer_*` family and the handlers of SIGEV_THREAD |
//! | `sigwait` | signals that are waited for instead of handled |
//! | `clock_users` | who set the clock of alarm, and who took it from whom |
//! | `itimer` | the three clocks of setitimer, alarm and ualarm |
//! | `told` | what the detector was told of a timer's call, and is told after it |
//! | `timerfd`, `descriptors` | timers that are descriptors, and signals that are read |
//! | `vfork` | the mark of a vfork child |
//! | `heal` | frees that `heal=on` puts off |
//! | `provoke` | delays that make races happen |
//! | `resources` | descriptors and the like that go under a handler |
//! | `guard_sites` | whose blocks lie alone, by name |
//! | `stale_calls` | system calls with a freed buffer |
//! | `unload` | `dlclose` under live timers |
//! | `jump` | exports that note a call and jump on to libc: waits, posts, dlopen |
//! | `stdio` | stdio that a signal handler calls in the middle of stdio |
//! | `kernel` | the exports of kernel-style programs: locks, slab |
//! | `timer_list` | the kernel's timers: its engine in this process, its exports, its threads |
//! | `signal` | signal handlers of the program, faults on guard pages, accesses to freed blocks |
//! | `sweeper` | the thread that sweeps the heap meanwhile |
//! | `leaks` | the listing of live blocks at the end |
//! | `api` | what a program may ask of the library |
//! | `record_file` | the mapped record |
//! | `sandbox` | what we may still ask of the kernel |
//! | `host`, `modules`, `elf`, `stack`, `sample` | the detector's platform |
//! | `collector` | the thread that logs findings as they happen, and looks at waits |
//! | `watch`, `standstill` | when to look at waits for handlers, and whether any thread goes on |
//! | `real`, `tls`, `threads`, `say`, `arena`, `foreign` | libc's own functions, our TLS, our threads, stderr, our heap, other heaps |
//!
//! # Rules
//!
//! The host comes first: errno, return values, signal masks and descriptor
//! numbers are as without us; nothing panics across an entry point; nothing is
//! written to stdout. Every export says in which contexts it may run; inside
//! malloc there is no std lock, no TLS with a destructor, no allocation from
//! the watched heap.

#[macro_use]
mod export;

mod api;
mod arena;
mod clock_users;
mod collector;
mod descriptors;
mod elf;
mod exit;
mod foreign;
mod fork;
mod guard_sites;
mod heal;
mod host;
mod itimer;
mod jump;
mod kernel;
mod leaks;
mod malloc;
mod malloc_info;
mod modules;
mod operators;
mod overrides;
mod posix_timer;
mod provoke;
mod real;
mod record_file;
mod resources;
mod sample;
mod sandbox;
mod say;
mod signal;
mod sigwait;
mod stack;
mod stale_calls;
mod standstill;
mod start;
mod stdio;
mod sweeper;
mod threads;
mod thunk;
mod timer_list;
mod timerfd;
mod tls;
mod told;
mod unload;
mod unwinder;
mod vfork;
mod watch;
