//! The options of `DEADWALK_OPTIONS` and of `deadwalk run`: one table that
//! generates the parser, the help and the documentation.
//!
//! `key=value:key=value`; a value that contains a colon is quoted with `'` or
//! `"`. The parser neither allocates nor panics: it runs in a program's
//! constructors.

mod parse;
mod table;

pub use parse::{Problem, parse_provoke};
pub use table::{OptionRow, TABLE};

/// What a delete does when the timer's handler is running on another thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DelPolicy {
    /// Returns at once, as libc does.
    Async = 0,
    /// Waits for the handler, and suppresses expiries that start later.
    Sync = 1,
    /// Waits as well; for a `timer_list` on `timer->running` in its storage,
    /// which therefore the handler may not free.
    Running = 2,
}

impl DelPolicy {
    /// The option's value.
    pub const fn name(self) -> &'static str {
        match self {
            DelPolicy::Async => "async",
            DelPolicy::Sync => "sync",
            DelPolicy::Running => "running",
        }
    }

    /// The policy of this name, if there is one.
    pub fn from_name(name: &str) -> Option<DelPolicy> {
        [DelPolicy::Async, DelPolicy::Sync, DelPolicy::Running]
            .into_iter()
            .find(|p| p.name() == name)
    }

    /// The policy of this number, if there is one.
    pub const fn from_u32(number: u32) -> Option<DelPolicy> {
        match number {
            0 => Some(DelPolicy::Async),
            1 => Some(DelPolicy::Sync),
            2 => Some(DelPolicy::Running),
            _ => None,
        }
    }

    /// Do deletes wait for a running handler?
    pub const fn waits(self) -> bool {
        !matches!(self, DelPolicy::Async)
    }
}

/// `guard_freed`, unless it is less.
const GUARD_FREED: usize = 1 << 18;

/// Which blocks lie alone on their pages, and trap once they are freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Those that hold timers or handlers' data, and what was asked for besides.
    Timers,
    /// All small ones.
    All,
    /// None.
    Off,
}

impl Guard {
    /// The option's value.
    pub const fn name(self) -> &'static str {
        match self {
            Guard::Timers => "timers",
            Guard::All => "all",
            Guard::Off => "off",
        }
    }
}

/// Every option with its value; borrows from the option string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// `del`
    pub del: DelPolicy,
    /// `output`; `None`: keep no record file.
    pub output: Option<&'a str>,
    /// `quarantine`, bytes a thread.
    pub quarantine_bytes: usize,
    /// `sweep_ms`; 0 for none.
    pub sweep_ms: u32,
    /// `new_delete`
    pub new_delete: bool,
    /// `leaks=sites`
    pub leaks: bool,
    /// `abort_on_error`
    pub abort_on_error: bool,
    /// `deadlock_ms`
    pub deadlock_ms: u32,
    /// `deadlock_loops`
    pub deadlock_loops: u64,
    /// `tail_us`
    pub tail_us: u32,
    /// `provoke`: longest delay, us; 0 for none.
    pub provoke_us: u32,
    /// `provoke_seed`; `None`: another one in every process.
    pub provoke_seed: Option<u64>,
    /// `heal`
    pub heal: bool,
    /// `hz`, ticks a second of the timer_list engine.
    pub hz: u32,
    /// `cpus`, its timer threads.
    pub cpus: u32,
    /// `hook_free`
    pub hook_free: bool,
    /// `legacy_timer_exit`
    pub legacy_timer_exit: bool,
    /// `guard`
    pub guard: Guard,
    /// `guard_sites`
    pub guard_sites: Option<&'a str>,
    /// `guard_sample`; 0 for none.
    pub guard_sample: u32,
    /// `guard_align=end`
    pub guard_at_end: bool,
    /// `guard_live`, bytes.
    pub guard_live: usize,
    /// `guard_freed`, pages.
    pub guard_freed: usize,
    /// `trap_limit`; 0 for none.
    pub trap_limit: u32,
    /// `unload=keep`
    pub keep_unloaded: bool,
    /// `argv`
    pub argv: bool,
    /// `bytes`
    pub bytes: bool,
    /// `log`
    pub log: LogLevel,
}

/// The least severe finding that the live log prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LogLevel {
    /// Nothing.
    Off = 0,
    /// Errors.
    Error = 1,
    /// Warnings and errors.
    Warn = 2,
    /// Every finding.
    Info = 3,
}

impl LogLevel {
    /// The option's value, which is an `env_logger` filter too.
    pub const fn name(self) -> &'static str {
        match self {
            LogLevel::Off => "off",
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
        }
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            del: DelPolicy::Async,
            output: None,
            quarantine_bytes: 256 * 1024,
            sweep_ms: 0,
            new_delete: false,
            leaks: false,
            abort_on_error: false,
            deadlock_ms: 2000,
            deadlock_loops: 500_000_000,
            tail_us: 50,
            provoke_us: 0,
            provoke_seed: None,
            heal: false,
            hz: 100,
            cpus: 1,
            hook_free: true,
            legacy_timer_exit: false,
            guard: Guard::Timers,
            guard_sites: None,
            guard_sample: 0,
            guard_at_end: false,
            guard_live: 64 << 20,
            guard_freed: GUARD_FREED,
            trap_limit: 0,
            keep_unloaded: true,
            argv: true,
            bytes: true,
            log: LogLevel::Warn,
        }
    }
}
