//! The scenarios of timer_list and what each must give under each policy.

use deadwalk_tests::Count::{self, AtLeast, Exactly};
use deadwalk_tests::{Expected, error, info, warning};

/// The policies, in the order of a scenario's cells.
pub const POLICIES: [&str; 3] = ["async", "sync", "running"];

/// One scenario: a program of `examples/c` and its arguments.
#[derive(Debug)]
pub struct Scenario {
    /// Its name on the page.
    pub name: &'static str,
    /// The program and its arguments.
    pub command: &'static str,
    /// `DEADWALK_OPTIONS`.
    pub options: &'static str,
    /// A remark for the page.
    pub note: &'static str,
    /// What is expected, by policy.
    pub cells: [Cell; 3],
}

/// What one scenario must give under one policy.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// `del.while_running`.
    pub while_running: Count,
    /// `del.sync_waits`.
    pub sync_waits: Count,
    /// `del.re_deletes`.
    pub re_deletes: Count,
    /// The findings; no others.
    pub findings: &'static [Expected],
}

/// No landing, no wait, nothing found.
const CLEAN: Cell = found(&[]);
/// One delete waited for a handler, nothing found.
const WAITED: Cell = Cell { sync_waits: Exactly(1), ..CLEAN };
/// ... and had to delete what the handler had armed again.
const RE_DELETED: Cell = Cell { re_deletes: Exactly(1), ..WAITED };

/// No landing and no wait.
const fn found(findings: &'static [Expected]) -> Cell {
    Cell { while_running: Exactly(0), sync_waits: Exactly(0), re_deletes: Exactly(0), findings }
}

/// One landing, and no wait.
const fn landed(findings: &'static [Expected]) -> Cell {
    Cell { while_running: Exactly(1), ..found(findings) }
}

/// One delete that waited, gave up and so landed.
const fn gave_up(findings: &'static [Expected]) -> Cell {
    Cell { sync_waits: Exactly(1), ..landed(findings) }
}

/// The first cell under async, the second under the policies that wait.
const fn or_waits(landed: Cell, waits: Cell) -> [Cell; 3] {
    [landed, waits, waits]
}

const fn scenario(name: &'static str, command: &'static str, cells: [Cell; 3]) -> Scenario {
    Scenario { name, command, options: "", note: "", cells }
}

const LANDING: &str = "del-while-running";

/// Every scenario, in the order of the page.
pub const SCENARIOS: [Scenario; 25] = [
    scenario(
        "D1 resource released",
        "d1_resource",
        or_waits(
            landed(&[
                error(LANDING).so("touched"),
                error("data-free-while-running"),
                error("use-after-free-read"),
            ]),
            WAITED,
        ),
    ),
    scenario(
        "D2 device shut down",
        "d2_device",
        or_waits(landed(&[error(LANDING).so("resource-closed")]), WAITED),
    ),
    Scenario {
        options: FAST,
        ..scenario(
            "D3 what is foo?",
            "d3_foo",
            or_waits(landed(&[warning(LANDING)]), Cell { sync_waits: Exactly(1000), ..CLEAN }),
        )
    },
    scenario(
        "D4 text unloaded",
        "d4_unload",
        or_waits(
            landed(&[error(LANDING).so("text-unloaded"), error("unload-while-running")]),
            WAITED,
        ),
    ),
    scenario(
        "D5a zombie, freed first",
        "d5_zombie a",
        or_waits(
            landed(&[
                error(LANDING).so("storage-freed"),
                error("free-while-running"),
                error("api-use-after-free"),
            ]),
            RE_DELETED,
        ),
    ),
    scenario(
        "D5b zombie, re-added first",
        "d5_zombie b",
        or_waits(
            landed(&[
                error(LANDING).so("rearmed"),
                error("rearm-after-del"),
                error("free-while-pending"),
            ]),
            RE_DELETED,
        ),
    ),
    Scenario {
        options: "hook_free=off",
        ..scenario(
            "D5b, frees unseen",
            "d5_zombie b",
            or_waits(
                landed(&[
                    error(LANDING).so("rearmed"),
                    error("rearm-after-del"),
                    error("expire-after-free"),
                ]),
                RE_DELETED,
            ),
        )
    },
    scenario(
        "deadlock",
        "deadlock",
        or_waits(landed(&[warning(LANDING)]), gave_up(&[error("del-deadlock"), info(LANDING)])),
    ),
    scenario(
        "showit",
        "showit 100",
        or_waits(
            Cell { while_running: Exactly(100), ..found(&[warning(LANDING).times(100)]) },
            Cell { sync_waits: Exactly(100), ..CLEAN },
        ),
    ),
    scenario("showit, declared async", "showit 100 del_timer_async", {
        let hits = Cell { while_running: Exactly(100), ..found(&[warning(LANDING).times(100)]) };
        [hits; 3]
    }),
    scenario("kfree (a) while pending", "kfree a", [found(&[error("free-while-pending")]); 3]),
    scenario("kfree (b) then delete", "kfree b", [found(&[error("api-use-after-free")]); 3]),
    scenario("kfree (c) then write", "kfree c", [found(&[error("use-after-free-write")]); 3]),
    scenario(
        "kfree (c) then write a 0 byte",
        "kfree c0",
        [found(&[error("use-after-free-write")]); 3],
    ),
    scenario(
        "kfree (e) then read",
        "kfree e",
        [found(&[error("use-after-free-read").times(2)]); 3],
    ),
    scenario(
        "kfree (d) by the handler",
        "kfree d",
        [
            landed(&[info(LANDING), info("free-own-handler")]),
            Cell { findings: &[info("free-own-handler")], ..WAITED },
            Cell {
                findings: &[error("free-own-handler"), error("running-flag-after-free")],
                ..WAITED
            },
        ],
    ),
    scenario("uninit, as in the mail", "uninit mail", [found(&[info("static-uninit")]); 3]),
    scenario("uninit, zeroed static", "uninit zeroed", [found(&[info("static-uninit")]); 3]),
    scenario(
        "uninit, malloc",
        "uninit malloc",
        [found(&[error("uninit-use").times(2)]); 3], // the add and the delete
    ),
    scenario("uninit, kmalloc", "uninit kmalloc", [found(&[error("uninit-use").times(2)]); 3]),
    scenario(
        "Rusty 1 (bad)",
        "collection bad",
        or_waits(
            landed(&[
                error(LANDING).so("storage-freed"),
                error("free-while-running"),
                error("double-free"),
            ]),
            gave_up(&[
                error("del-deadlock"),
                error(LANDING).so("storage-freed"),
                error("free-while-running"),
                error("double-free"),
            ]),
        ),
    ),
    Scenario {
        note: "Correct code, where deletes do not wait. Where they do, it must say \
               `del_timer_async`.",
        ..scenario("Rusty 2 (retry)", "collection retry", RETRY)
    },
    Scenario {
        options: FAST,
        ..scenario("Rusty 3 (self re-arming)", "rearming sync 1000", [RANDOM_PHASE; 3])
    },
    scenario(
        "Rusty 3 with del_timer",
        "rearming plain",
        or_waits(landed(&[error(LANDING).so("rearmed"), warning("rearm-after-del")]), RE_DELETED),
    ),
    Scenario {
        note: "It is no finding; `deadwalk run` prints a hint to whoever looks for the hang.",
        ..scenario("retry for ever", "collection forever", [CLEAN; 3])
    },
];

/// Ticks of a millisecond for what takes many.
const FAST: &str = "hz=1000";

/// Rusty 2: how often it tries is the scheduler's; where deletes wait, each try
/// is a deadlock.
const RETRY: [Cell; 3] = [
    Cell {
        while_running: AtLeast(1),
        ..found(&[info(LANDING).at_least(1), info("free-own-handler")])
    },
    Cell {
        sync_waits: AtLeast(1),
        while_running: AtLeast(1),
        ..found(&[
            error("del-deadlock").at_least(1),
            info(LANDING).at_least(1),
            info("free-own-handler"),
        ])
    },
    Cell {
        sync_waits: AtLeast(1),
        while_running: AtLeast(1),
        ..found(&[
            error("del-deadlock").at_least(1),
            info(LANDING).at_least(1),
            error("free-own-handler"),
        ])
    },
];

/// Rusty 3: some of a thousand deletes come in a handler, which arms again.
const RANDOM_PHASE: Cell = Cell { sync_waits: AtLeast(1), re_deletes: AtLeast(1), ..CLEAN };
