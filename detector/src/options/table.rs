//! Every option: its key, its values, its help, and what it sets.

use super::parse::{parse_bytes, parse_provoke, parse_switch};
use super::{DelPolicy, GUARD_FREED, Guard, LogLevel, Options};

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
    pub(super) set: for<'a> fn(&mut Options<'a>, &'a str) -> Option<()>,
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
