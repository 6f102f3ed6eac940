//! What deadwalk costs: CPU time and peak memory of real programs and allocator
//! patterns as ratios to glibc's, beside allocators that check nothing and
//! beside what checks.
//!
//! `cargo build --release --workspace && cargo bench -p deadwalk-tests --bench speed`
//!
//! Everything takes about 25 minutes; arguments after `--` choose:
//!
//! | argument | runs |
//! |---|---|
//! | `programs`, `patterns` | that group |
//! | a workload's name, as `larson` | it alone |
//! | `rust` | a Rust program with deadwalk as its global allocator |
//! | `ingredients` | options and parts of deadwalk, what each costs |
//! | `profile` | where the time goes under deadwalk (needs perf) |
//! | `scaling` | more threads, ten million live blocks |
//! | `endurance` | ten minutes of allocations, or `--seconds N`; only if named |
//! | `timers` | stress-ng's timers |
//! | `guards` | watched blocks, and programs by what is guarded |
//! | `guard-instructions` | the latter by instructions (needs valgrind); only if named |
//! | `posix-timers` | what an arming, a delete and an expiry cost |
//! | `--peers none` | glibc and deadwalk only; also `all`, `mimalloc,scudo` |
//! | `--rounds N` | so many rounds, of which the medians count (5) |
//!
//! `-- larson --peers none --rounds 3` answers within half a minute. The library
//! is preloaded with a folder for its record, so that the `deadwalk` command is
//! not in the figures. With `--features peers`, which compiles C and C++, the Rust
//! program is compared with other people's heaps too. With `DEADWALK_BLESS=1` the
//! sections that were run are written to `docs/speed.md`.

mod arguments;
mod compare;
mod cost;
mod endurance;
mod guards;
mod ingredients;
mod page;
mod patterns;
mod peers;
mod plot;
mod posix_timers;
mod profile;
mod programs;
mod redis;
mod rust;
mod scaling;
mod table;
mod timers;
mod workload;

use arguments::Arguments;

/// Rounds of what compares many settings.
const FEWER_ROUNDS: usize = 2;

fn main() {
    let arguments = Arguments::parse(std::env::args().skip(1));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, rounds) = (folder.path(), arguments.rounds);
    compare::compare(folder, &arguments);
    // Each takes long: what is not asked for is not run.
    let section = |name: &str, run: &dyn Fn() -> Option<String>| {
        if arguments.wants_section(name)
            && let Some(text) = run()
        {
            page::publish(name, &text);
        }
    };
    section("rust", &|| Some(rust::rust(rounds)));
    section("ingredients", &|| Some(ingredients::ingredients(folder, rounds.min(FEWER_ROUNDS))));
    section("profile", &|| profile::profile(folder));
    section("scaling", &|| scaling::scaling(folder, rounds.min(FEWER_ROUNDS)));
    section("timers", &|| timers::timers(folder, rounds));
    section("posix-timers", &|| Some(posix_timers::posix_timers(folder, rounds)));
    section("guards", &|| Some(guards::guards(folder, rounds)));
    if arguments.names_section("guard-instructions") {
        section("guard-instructions", &|| guards::instructions(folder));
    }
    if arguments.names_section("endurance") {
        section("endurance", &|| endurance::endurance(folder, arguments.seconds));
    }
}
