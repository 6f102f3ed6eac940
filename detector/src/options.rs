//! The options of `DEADWALK_OPTIONS` and of `deadwalk run`: one table that
//! generates the parser, the help and the documentation.
//!
//! `key=value:key=value`; a value that contains a colon is quoted with `'` or
//! `"`. The parser neither allocates nor panics: it runs in a program's
//! constructors.

use crate::provoke::LIMIT_MAX_US;

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

/// One row of the table.
pub struct OptionRow {
    /// The key.
    pub key: &'static str,
    /// What values it takes, for the help.
    pub values: &'static str,
    /// The default, for the help.
    pub default: &'static str,
    /// One line of help.
    pub help: &'static str,
    set: for<'a> fn(&mut Options<'a>, &'a str) -> Option<()>,
}

/// Every option.
pub const TABLE: &[OptionRow] = &[
    OptionRow {
        key: "del",
        values: "async|sync|running",
        default: "async",
        help: "what a delete does while the handler runs: return at once, wait for it and suppress later expiries, or (timer_list) wait on timer->running",
        set: |o, v| {
            o.del = DelPolicy::from_name(v)?;
            Some(())
        },
    },
    OptionRow {
        key: "output",
        values: "DIR",
        default: "none",
        help: "folder for the record files",
        set: |o, v| {
            o.output = if v.is_empty() { return None } else { Some(v) };
            Some(())
        },
    },
    OptionRow {
        key: "quarantine",
        values: "BYTES",
        default: "262144",
        help: "how many freed bytes a thread holds back before reuse; 0 = none (k, m allowed)",
        set: |o, v| {
            o.quarantine_bytes = parse_bytes(v)?;
            Some(())
        },
    },
    OptionRow {
        key: "sweep_ms",
        values: "MS",
        default: "0",
        help: "every so often a thread verifies freed memory and the ends of live blocks, in a twentieth of the time at most; 0 = only at exit",
        set: |o, v| {
            o.sweep_ms = v.parse().ok()?;
            Some(())
        },
    },
    OptionRow {
        key: "new_delete",
        values: "on|off",
        default: "off",
        help: "report C++ memory that is given back by another family (new, new[], malloc) or with another size",
        set: |o, v| {
            o.new_delete = parse_switch(v)?;
            Some(())
        },
    },
    OptionRow {
        key: "leaks",
        values: "off|sites",
        default: "off",
        help: "list the blocks that are live at exit, by allocation site",
        set: |o, v| {
            o.leaks = match v {
                "sites" => true,
                "off" => false,
                _ => return None,
            };
            Some(())
        },
    },
    OptionRow {
        key: "abort_on_error",
        values: "on|off",
        default: "off",
        help: "abort (SIGABRT) after the first error of the heap was recorded",
        set: |o, v| {
            o.abort_on_error = parse_switch(v)?;
            Some(())
        },
    },
    OptionRow {
        key: "deadlock_ms",
        values: "MS",
        default: "2000",
        help: "how long a waiting delete waits for a handler before it reports del-deadlock and goes on; how long waits of the program's own may last",
        set: |o, v| {
            o.deadlock_ms = v.parse().ok()?;
            Some(())
        },
    },
    OptionRow {
        key: "deadlock_loops",
        values: "N",
        default: "500000000",
        help: "how often a waiting delete of a timer_list looks again before it gives up, if that comes before deadlock_ms",
        set: |o, v| {
            o.deadlock_loops = v.parse().ok()?;
            Some(())
        },
    },
    OptionRow {
        key: "heal",
        values: "on|off",
        default: "off",
        help: "make misuse of POSIX timers harmless: no expiry after a delete, no call on a stale handle, no free under a running handler of the timer",
        set: |o, v| {
            o.heal = parse_switch(v)?;
            Some(())
        },
    },
    OptionRow {
        key: "hz",
        values: "1..10000",
        default: "100",
        help: "ticks a second of timer_list timers (HZ in the program must agree)",
        set: |o, v| {
            o.hz = v.parse().ok().filter(|hz| (1..=10_000).contains(hz))?;
            Some(())
        },
    },
    OptionRow {
        key: "cpus",
        values: "1..64",
        default: "1",
        help: "timer threads of timer_list timers, each with a wheel of its own",
        set: |o, v| {
            o.cpus = v.parse().ok().filter(|cpus| (1..=64).contains(cpus))?;
            Some(())
        },
    },
    OptionRow {
        key: "hook_free",
        values: "on|off",
        default: "on",
        help: "look for armed and running timer_lists in every block that is freed",
        set: |o, v| {
            o.hook_free = parse_switch(v)?;
            Some(())
        },
    },
    OptionRow {
        key: "legacy_timer_exit",
        values: "on|off",
        default: "off",
        help: "only timer_exit ends a timer_list handler for a waiting delete, as in 2.3 kernels",
        set: |o, v| {
            o.legacy_timer_exit = parse_switch(v)?;
            Some(())
        },
    },
    OptionRow {
        key: "guard",
        values: "timers|all|off",
        default: "timers",
        help: "blocks that hold timers or handlers' data, or all, lie alone on their pages and trap once they are freed",
        set: |o, v| {
            let all = [Guard::Timers, Guard::All, Guard::Off];
            o.guard = all.into_iter().find(|guard| guard.name() == v)?;
            Some(())
        },
    },
    OptionRow {
        key: "guard_sites",
        values: "PATTERN",
        default: "none",
        help: "so do the blocks that functions or objects of such a name allocate (* and ? as in file names)",
        set: |o, v| {
            o.guard_sites = if v.is_empty() { return None } else { Some(v) };
            Some(())
        },
    },
    OptionRow {
        key: "guard_sample",
        values: "N",
        default: "0",
        help: "so does one in so many of all other small blocks; 0 = none",
        set: |o, v| {
            o.guard_sample = v.parse().ok()?;
            Some(())
        },
    },
    OptionRow {
        key: "guard_align",
        values: "start|end",
        default: "start",
        help: "blocks that lie alone start a page, so that an access in front traps, or end one (but for an alignment to 16), so that one behind does",
        set: |o, v| {
            o.guard_at_end = match v {
                "start" => false,
                "end" => true,
                _ => return None,
            };
            Some(())
        },
    },
    OptionRow {
        key: "guard_live",
        values: "BYTES",
        default: "67108864",
        help: "room for live blocks that lie alone, two pages or more each; without any left they lie with the others (k, m allowed)",
        set: |o, v| {
            o.guard_live = parse_bytes(v)?;
            Some(())
        },
    },
    OptionRow {
        key: "guard_freed",
        values: "PAGES",
        default: "262144",
        help: "so many pages of freed blocks stay guarded, at most as many as the default; the oldest are given out again first",
        set: |o, v| {
            o.guard_freed = v.parse().ok().filter(|&pages| pages <= GUARD_FREED)?;
            Some(())
        },
    },
    OptionRow {
        key: "trap_limit",
        values: "N",
        default: "0",
        help: "after so many accesses to freed memory by one instruction the block is opened and it goes on untold; 0 is no limit",
        set: |o, v| {
            o.trap_limit = v.parse().ok()?;
            Some(())
        },
    },
    OptionRow {
        key: "unload",
        values: "keep|let",
        default: "keep",
        help: "code that dlclose unloads under its timers: keep its pages and call no handler there any more, or let it go, which the program seldom survives",
        set: |o, v| {
            o.keep_unloaded = match v {
                "keep" => true,
                "let" => false,
                _ => return None,
            };
            Some(())
        },
    },
    OptionRow {
        key: "tail_us",
        values: "US",
        default: "50",
        help: "CPU time a handler may still use after it was deleted and count as ending",
        set: |o, v| {
            o.tail_us = v.parse().ok()?;
            Some(())
        },
    },
    OptionRow {
        key: "provoke",
        values: "US[,SEED]",
        default: "0",
        help: "hold handlers up before they start, and deletes before they return, for a random time of up to US microseconds, so that rare races happen; 0 = off, at most 1000000",
        set: |o, v| {
            let (us, seed) = parse_provoke(v)?;
            o.provoke_us = us;
            o.provoke_seed = seed.or(o.provoke_seed);
            Some(())
        },
    },
    OptionRow {
        key: "provoke_seed",
        values: "SEED|random",
        default: "random",
        help: "seed of the delays of provoke (the same one gives the same delays, not the same schedule)",
        set: |o, v| {
            o.provoke_seed = if v == "random" { None } else { Some(v.parse().ok()?) };
            Some(())
        },
    },
    OptionRow {
        key: "argv",
        values: "on|off",
        default: "on",
        help: "keep the command line in the record",
        set: |o, v| {
            o.argv = parse_switch(v)?;
            Some(())
        },
    },
    OptionRow {
        key: "bytes",
        values: "on|off",
        default: "on",
        help: "keep heap bytes in findings",
        set: |o, v| {
            o.bytes = parse_switch(v)?;
            Some(())
        },
    },
    OptionRow {
        key: "log",
        values: "off|error|warn|info",
        default: "warn",
        help: "least severe finding that is logged to stderr as it happens (filters: DEADWALK_LOG)",
        set: |o, v| {
            o.log = match v {
                "off" => LogLevel::Off,
                "error" => LogLevel::Error,
                "warn" => LogLevel::Warn,
                "info" => LogLevel::Info,
                _ => return None,
            };
            Some(())
        },
    },
];

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

/// A part of the option string that was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem<'a> {
    /// No option has this key.
    UnknownKey(&'a str),
    /// The key is known, the value is not one of its values.
    BadValue(&'a str, &'a str),
}

impl<'a> Options<'a> {
    /// Applies an option string, later entries over earlier ones. What is not
    /// understood is handed to `problem` and left out.
    pub fn apply(&mut self, text: &'a str, mut problem: impl FnMut(Problem<'a>)) {
        let mut rest = text;
        while !rest.is_empty() {
            let (entry, quoted, after) = next_entry(rest);
            rest = after;
            if entry.is_empty() {
                continue;
            }
            let (key, value) = match quoted {
                Some(value) => (entry, value),
                None => entry.split_once('=').unwrap_or((entry, "")),
            };
            match TABLE.iter().find(|row| row.key == key) {
                None => problem(Problem::UnknownKey(key)),
                Some(row) if (row.set)(self, value).is_none() => {
                    problem(Problem::BadValue(key, value));
                }
                Some(_) => {}
            }
        }
    }
}

/// Splits off one entry: `(key=value, None, rest)` or, if the value is quoted,
/// `(key, Some(value), rest)`.
fn next_entry(text: &str) -> (&str, Option<&str>, &str) {
    let colon = text.find(':').unwrap_or(text.len());
    if let Some(eq) = text[..colon].find('=') {
        let value = &text[eq + 1..];
        for quote in ['\'', '"'] {
            if let Some(inner) = value.strip_prefix(quote)
                && let Some(end) = inner.find(quote)
            {
                let rest = &inner[end + 1..];
                return (&text[..eq], Some(&inner[..end]), rest.strip_prefix(':').unwrap_or(rest));
            }
        }
    }
    (&text[..colon], None, text.get(colon + 1..).unwrap_or(""))
}

fn parse_switch(value: &str) -> Option<bool> {
    match value {
        "on" | "1" | "true" => Some(true),
        "off" | "0" | "false" => Some(false),
        _ => None,
    }
}

/// `US[,SEED]`: the longest delay, and the seed if there is one.
pub fn parse_provoke(value: &str) -> Option<(u32, Option<u64>)> {
    let (us, seed) = match value.split_once(',') {
        Some((us, seed)) => (us, Some(seed.parse().ok()?)),
        None => (value, None),
    };
    Some((us.parse().ok().filter(|&us| us <= LIMIT_MAX_US)?, seed))
}

fn parse_bytes(value: &str) -> Option<usize> {
    let (digits, unit) = match value.as_bytes().last()? {
        b'k' | b'K' => (&value[..value.len() - 1], 1 << 10),
        b'm' | b'M' => (&value[..value.len() - 1], 1 << 20),
        _ => (value, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> (Options<'_>, Vec<Problem<'_>>) {
        let mut options = Options::default();
        let mut problems = Vec::new();
        options.apply(text, |p| problems.push(p));
        (options, problems)
    }

    #[test]
    fn the_help_s_defaults_are_the_defaults() {
        for row in TABLE.iter().filter(|r| !matches!(r.key, "output" | "guard_sites")) {
            let mut options = Options { quarantine_bytes: 1, ..Options::default() };
            assert_eq!((row.set)(&mut options, row.default), Some(()), "{}", row.key);
            options.quarantine_bytes = Options::default().quarantine_bytes;
            assert_eq!(options, Options::default(), "{}", row.key);
        }
    }

    #[test]
    fn values_quotes_and_order() {
        let (o, p) = parse("del=sync:output='/a b:c':quarantine=64k::argv=0:argv=true:del=async");
        assert_eq!(p, []);
        assert_eq!(o.output, Some("/a b:c"));
        assert_eq!((o.del, o.quarantine_bytes, o.argv), (DelPolicy::Async, 65536, true));
        assert_eq!(parse("output=\"it's:here\"").0.output, Some("it's:here"));
    }

    #[test]
    fn provoke_takes_a_seed_with_it_or_apart() {
        let provoke = |text| {
            let (o, p) = parse(text);
            assert_eq!(p, [], "{text}");
            (o.provoke_us, o.provoke_seed)
        };
        assert_eq!(provoke(""), (0, None));
        assert_eq!(provoke("provoke=2000"), (2000, None));
        assert_eq!(provoke("provoke=2000,7"), (2000, Some(7)));
        assert_eq!(provoke("provoke_seed=9:provoke=5"), (5, Some(9)));
        assert_eq!(provoke("provoke=5,1:provoke_seed=2"), (5, Some(2)));
        assert_eq!(provoke("provoke=5,1:provoke_seed=random"), (5, None));
        for bad in ["1000001", "-1", "5,", ",5", "5,x", "5,1,2", ""] {
            assert_eq!(parse_provoke(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_and_the_rest_applies() {
        let (o, p) = parse("bogus=1:del=maybe:tail_us=-1:bytes:del=sync");
        assert_eq!(o.del, DelPolicy::Sync);
        assert_eq!(
            p,
            [
                Problem::UnknownKey("bogus"),
                Problem::BadValue("del", "maybe"),
                Problem::BadValue("tail_us", "-1"),
                Problem::BadValue("bytes", "")
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "\\PC*") { let _ = parse(&text); }

        #[test]
        fn any_near_text_ends(text in "[a-z=:'\"0-9]{0,60}") { let _ = parse(&text); }
    }
}
