//! The patterns and their programs.

use super::Api::{Setitimer, Signal, Thread, ThreadId, Timerfd};
use super::{Api, CLOCKS, HANDLED, Named, Pattern, SIGNALS, Twin, VALUED, Variant};

/// What SIGSEGV and SIGKILL make of a program's end.
const SEGV: i32 = 128 + libc::SIGSEGV;
const KILL: i32 = 128 + libc::SIGKILL;

const NO_HANDLER: &str =
    "there is no handler: who reads the descriptor runs the program's own code";
const OWN_STORAGE: &str = "the timer's storage is the C library's or the kernel's";

const HARMED: &[&str] = &["data-freed", "touched"];

type By = &'static [(&'static [Api], &'static [Named])];

const fn bad(source: &'static str, define: &'static str, what: &'static str, by: By) -> Variant {
    Variant {
        twin: Twin::Bad,
        define,
        what,
        source,
        library: None,
        by,
        also: &[],
        options: "",
        status: 0,
    }
}

const fn fixed(source: &'static str, define: &'static str, what: &'static str, by: By) -> Variant {
    Variant { twin: Twin::Fixed, ..bad(source, define, what, by) }
}

const fn like(source: &'static str, define: &'static str, what: &'static str, by: By) -> Variant {
    Variant { twin: Twin::LookAlike, ..bad(source, define, what, by) }
}

impl Variant {
    const fn also(self, also: &'static [&'static str]) -> Variant {
        Variant { also, ..self }
    }

    const fn sync(self) -> Variant {
        Variant { options: "del=sync", ..self }
    }

    /// What lasts is told after a short while.
    const fn soon(self) -> Variant {
        Variant { options: "deadlock_ms=100", ..self }
    }

    const fn ends(self, status: i32) -> Variant {
        Variant { status, ..self }
    }

    const fn with(self, library: &'static str) -> Variant {
        Variant { library: Some(library), ..self }
    }
}

const WRITTEN: Named = Named::error("use-after-free-write");
const LANDED: Named = Named::warning("del-while-running");
const LANDED_AND_FREED: Named = Named::error("del-while-running").so(HARMED);
const FREED_RUNNING: Named = Named::error("data-free-while-running");
const FREED_PENDING: Named = Named::warning("data-free-while-pending");
const CLOSED: Named = Named::error("del-while-running").so(&["resource-closed"]);
const REARMED: Named = Named::error("del-while-running").so(&["rearmed"]);

const EVERY: By = &[(HANDLED, &[])];
const BY_THREAD: By = &[(&[Thread], &[])];
const BY_VALUE: By = &[(VALUED, &[])];
const BY_SIGNAL: By = &[(SIGNALS, &[])];
const BY_CLOCK: By = &[(CLOCKS, &[])];

/// The sixteen.
pub static PATTERNS: &[Pattern] =
    &[P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16];

const P1_SOURCE: &str = "p1_free_running";
const P1: Pattern = Pattern {
    name: "P1",
    title: "asynchronous delete, then free",
    variants: &[
        bad(
            P1_SOURCE,
            "BAD=1",
            "the handler reads its data behind the free",
            &[(VALUED, &[FREED_RUNNING, LANDED_AND_FREED]), (CLOCKS, &[LANDED])],
        ),
        bad(
            P1_SOURCE,
            "BAD=2",
            "the handler writes to it",
            &[(VALUED, &[FREED_RUNNING, LANDED_AND_FREED, WRITTEN]), (CLOCKS, &[LANDED, WRITTEN])],
        ),
        bad(
            "p1_queued",
            "BAD",
            "deleted and freed while the handler's thread is queued, not started",
            &[(
                &[Thread],
                &[Named::warning("expiry-after-del"), Named::warning("enter-with-freed-data")],
            )],
        ),
        fixed(P1_SOURCE, "FIXED", "the handler is over, or frees its data itself", EVERY),
        fixed("p1_queued", "FIXED", "deleted before anything expired", BY_THREAD),
        like(P1_SOURCE, "LOOKALIKE=1", "deleted and freed after the handler's \"done\"", EVERY),
        like(P1_SOURCE, "LOOKALIKE=2", "deleted under the handler, freed after \"done\"", EVERY),
        like(P1_SOURCE, "LOOKALIKE=3", "the same with a condition variable", BY_THREAD),
        like("p1_queued", "LOOKALIKE", "the queued run is let run to its end", BY_THREAD),
    ],
    absent: &[(&[Timerfd], NO_HANDLER)],
};

const P2_SOURCE: &str = "p2_close_running";
const P2_OTHERS: &str = "p2_by_others";
const P2: Pattern = Pattern {
    name: "P2",
    title: "asynchronous delete, then release of what is no heap",
    variants: &[
        bad(
            P2_SOURCE,
            "BAD=1",
            "a descriptor is closed under the handler",
            &[(HANDLED, &[CLOSED])],
        ),
        bad(P2_SOURCE, "BAD=2", "a page is unmapped", &[(HANDLED, &[CLOSED])]).ends(SEGV),
        bad(P2_SOURCE, "BAD=3", "a mutex is destroyed", &[(&[Thread], &[CLOSED])]),
        bad(P2_SOURCE, "BAD=4", "a semaphore is destroyed", &[(HANDLED, &[CLOSED])]),
        bad(P2_OTHERS, "BAD=1", "a third thread closes a descriptor", &[(HANDLED, &[CLOSED])]),
        bad(P2_OTHERS, "BAD=2", "a third thread destroys a semaphore", &[(HANDLED, &[CLOSED])]),
        bad(P2_OTHERS, "BAD=3", "a condition variable is destroyed", &[(&[Thread], &[CLOSED])]),
        fixed(P2_SOURCE, "FIXED=1", "descriptor: waits first", EVERY),
        fixed(P2_SOURCE, "FIXED=2", "page: waits first", EVERY),
        fixed(P2_SOURCE, "FIXED=3", "mutex: waits first", BY_THREAD),
        fixed(P2_SOURCE, "FIXED=4", "semaphore: waits first", EVERY),
        fixed(P2_OTHERS, "FIXED=1", "descriptor, third thread: waits first", EVERY),
        fixed(P2_OTHERS, "FIXED=2", "semaphore, third thread: waits first", EVERY),
        fixed(P2_OTHERS, "FIXED=3", "condition variable: waits first", BY_THREAD),
        like(P2_SOURCE, "LOOKALIKE=1", "another descriptor is closed", EVERY),
        like(P2_SOURCE, "LOOKALIKE=2", "another page is unmapped", EVERY),
        like(P2_SOURCE, "LOOKALIKE=3", "another mutex is destroyed", BY_THREAD),
        like(P2_SOURCE, "LOOKALIKE=4", "another semaphore is destroyed", EVERY),
        like(P2_SOURCE, "LOOKALIKE=5", "closed when the running handler needs it no more", EVERY),
        like(P2_OTHERS, "LOOKALIKE=1", "a third thread closes another one", EVERY),
        like(P2_OTHERS, "LOOKALIKE=2", "the handler has opened the number again", EVERY),
        like(P2_OTHERS, "LOOKALIKE=3", "another descriptor was put in its place", EVERY),
        like(P2_OTHERS, "LOOKALIKE=4", "the condition variable was made anew", BY_THREAD),
        like(P2_OTHERS, "LOOKALIKE=5", "the handler closes every number", EVERY),
        like(P2_OTHERS, "LOOKALIKE=6", "closed by a third thread, not used any more", EVERY),
    ],
    absent: &[(&[Timerfd], NO_HANDLER)],
};

const P3_SOURCE: &str = "p3_rearm";
const P3: Pattern = Pattern {
    name: "P3",
    title: "the handler arms its own timer again",
    variants: &[
        bad(
            P3_SOURCE,
            "BAD",
            "disarmed before the handler arms it again, then freed",
            &[
                (VALUED, &[Named::warning("rearm-after-del"), REARMED, FREED_PENDING, WRITTEN]),
                (CLOCKS, &[Named::warning("rearm-after-del"), REARMED, WRITTEN]),
            ],
        )
        .also(&["enter-with-freed-data"]),
        bad(
            P3_SOURCE,
            "BAD=2",
            "the same, freed in the handler's last instructions",
            &[
                (VALUED, &[Named::warning("rearm-after-del"), REARMED, FREED_PENDING, WRITTEN]),
                (CLOCKS, &[Named::warning("rearm-after-del"), REARMED, WRITTEN]),
            ],
        )
        .also(&["enter-with-freed-data"]),
        fixed(P3_SOURCE, "FIXED", "the handler is told not to arm it again", EVERY),
        like(
            P3_SOURCE,
            "LOOKALIKE=1",
            "a periodic timer, deleted between two runs",
            &[(VALUED, &[]), (&[Setitimer], &[])],
        ),
        like(P3_SOURCE, "LOOKALIKE=2", "the owner arms it again, after the handler's end", EVERY),
    ],
    absent: &[(&[Timerfd], NO_HANDLER)],
};

const P4_SOURCE: &str = "p4_third_party";
const P4: Pattern = Pattern {
    name: "P4",
    title: "a third party arms it again",
    variants: &[
        bad(
            P4_SOURCE,
            "BAD",
            "a worker arms it between the disarm and the free",
            &[(VALUED, &[FREED_PENDING, WRITTEN]), (CLOCKS, &[WRITTEN])],
        )
        .also(&["enter-with-freed-data"]),
        fixed(P4_SOURCE, "FIXED", "the worker is stopped first", EVERY),
        like(P4_SOURCE, "LOOKALIKE", "the worker arms a different timer", EVERY),
    ],
    absent: &[(&[Timerfd], NO_HANDLER)],
};

const P5_SOURCE: &str = "p5_free_pending";
const P5: Pattern = Pattern {
    name: "P5",
    title: "free while pending",
    variants: &[
        bad(
            P5_SOURCE,
            "BAD=1",
            "an error path frees the object; the handler leaves it alone",
            &[(VALUED, &[FREED_PENDING, Named::warning("enter-with-freed-data")])],
        ),
        bad(
            P5_SOURCE,
            "BAD=2",
            "the handler writes to it",
            &[(VALUED, &[FREED_PENDING, WRITTEN]), (CLOCKS, &[WRITTEN])],
        )
        .also(&["enter-with-freed-data"]),
        fixed(P5_SOURCE, "FIXED", "deleted first", EVERY),
        like(P5_SOURCE, "LOOKALIKE=1", "a neighbour is freed", EVERY),
        like(P5_SOURCE, "LOOKALIKE=2", "freed, then disarmed by the same thread", EVERY),
        like(P5_SOURCE, "LOOKALIKE=3", "freed, then deleted by the same thread", EVERY),
        like(P5_SOURCE, "LOOKALIKE=4", "the process ends before it expires", EVERY),
    ],
    absent: &[(&[Timerfd], "the kernel is handed no pointer")],
};

const P6: Pattern = Pattern {
    name: "P6",
    title: "the handler frees its own timer",
    variants: &[
        like("p6_self_free", "LOOKALIKE=1", "it deletes its timer and frees its data", BY_THREAD),
        like("p6_self_free", "LOOKALIKE=2", "it frees its data, the owner deletes", BY_THREAD),
    ],
    absent: &[(&Api::ALL, OWN_STORAGE)],
};

const P7_SOURCE: &str = "p7_double_owner";
const P7: Pattern = Pattern {
    name: "P7",
    title: "two owners",
    variants: &[
        bad(
            P7_SOURCE,
            "BAD=1",
            "teardown frees under the handler, which frees too",
            &[
                (VALUED, &[Named::error("double-free"), FREED_RUNNING]),
                (CLOCKS, &[Named::error("double-free")]),
            ],
        )
        .also(&["del-while-running"]),
        bad(
            P7_SOURCE,
            "BAD=2",
            "the handler frees first",
            &[(HANDLED, &[Named::error("double-free")])],
        )
        .also(&["del-while-running"]),
        bad(
            P7_SOURCE,
            "BAD=3",
            "the handler frees first, and its thread has ended",
            &[(HANDLED, &[Named::error("double-free")])],
        )
        .also(&["del-while-running"]),
        bad(
            P7_SOURCE,
            "BAD=4",
            "teardown frees while the handler computes, which frees too",
            &[
                (VALUED, &[Named::error("double-free"), FREED_RUNNING]),
                (CLOCKS, &[Named::error("double-free")]),
            ],
        )
        .also(&["del-while-running"]),
        fixed(P7_SOURCE, "FIXED", "whoever takes the node frees it", EVERY),
        like(P7_SOURCE, "LOOKALIKE", "two threads disarm, one frees", EVERY),
    ],
    absent: &[(&[Timerfd], NO_HANDLER)],
};

const DEADLOCK: Named = Named::error("del-deadlock");
const MAYBE_DEADLOCK: Named = Named::warning("del-deadlock");

const P8_SOURCE: &str = "p8_lock";
const P8: Pattern = Pattern {
    name: "P8",
    title: "waiting for the handler under its lock",
    variants: &[
        bad(P8_SOURCE, "BAD=1", "`timer_delete` waits (`del=sync`)", &[(VALUED, &[DEADLOCK])])
            .sync(),
        bad(
            P8_SOURCE,
            "BAD=2",
            "the deleter waits for the handler's \"done\"",
            &[(HANDLED, &[DEADLOCK])],
        )
        .also(&["del-while-running"])
        .ends(KILL),
        bad(
            P8_SOURCE,
            "BAD=3",
            "the deleter joins the thread that runs the handler",
            &[(SIGNALS, &[DEADLOCK])],
        )
        .also(&["del-while-running"])
        .ends(KILL),
        bad(
            P8_SOURCE,
            "BAD=4",
            "the deleter loops on a flag of the handler's",
            &[(&[Thread, Signal, ThreadId, Setitimer], &[MAYBE_DEADLOCK])],
        )
        .also(&["del-while-running"])
        .soon()
        .ends(KILL),
        bad(
            P8_SOURCE,
            "BAD=5",
            "the deleter waits for a condition variable of the handler's",
            &[(HANDLED, &[DEADLOCK])],
        )
        .also(&["del-while-running"])
        .ends(KILL),
        fixed(P8_SOURCE, "FIXED=1", "the lock is dropped first (`del=sync`)", BY_VALUE).sync(),
        fixed(P8_SOURCE, "FIXED=2", "dropped before waiting for \"done\"", EVERY),
        fixed(P8_SOURCE, "FIXED=3", "dropped before the join", BY_SIGNAL),
        fixed(P8_SOURCE, "FIXED=5", "dropped before the condition variable", EVERY),
        like(
            P8_SOURCE,
            "LOOKALIKE=1",
            "another timer's handler wants the lock (`del=sync`)",
            BY_VALUE,
        )
        .sync(),
        like(P8_SOURCE, "LOOKALIKE=2", "the handler only tries the lock (`del=sync`)", BY_VALUE)
            .sync(),
        like(P8_SOURCE, "LOOKALIKE=3", "the deleter waits for a third thread", EVERY).soon(),
        like(P8_SOURCE, "LOOKALIKE=4", "the deleter's wait has a limit", EVERY).soon(),
        like(P8_SOURCE, "LOOKALIKE=5", "the deleter is busy for a while", EVERY).soon(),
        like(P8_SOURCE, "LOOKALIKE=6", "the handler's lock has a limit", EVERY).soon(),
    ],
    absent: &[(&[Timerfd], NO_HANDLER)],
};

const P9_SOURCE: &str = "p9_cross";
const P9: Pattern = Pattern {
    name: "P9",
    title: "waiting delete from the wrong context",
    variants: &[
        bad(
            P9_SOURCE,
            "BAD",
            "two handlers delete each other's timer (`del=sync`)",
            &[(VALUED, &[DEADLOCK])],
        )
        .sync(),
        fixed(P9_SOURCE, "FIXED", "the main thread deletes both (`del=sync`)", BY_VALUE).sync(),
        like(P9_SOURCE, "LOOKALIKE", "each handler deletes its own (`del=sync`)", BY_VALUE).sync(),
    ],
    absent: &[(CLOCKS, "a disarm of the process's clock never waits"), (&[Timerfd], NO_HANDLER)],
};

const P10: Pattern = Pattern {
    name: "P10",
    title: "uninitialised timer",
    variants: &[],
    absent: &[(&Api::ALL, OWN_STORAGE)],
};

const P11: Pattern = Pattern {
    name: "P11",
    title: "a timer initialised again, moved or copied",
    variants: &[],
    absent: &[(&Api::ALL, OWN_STORAGE)],
};

const P12_SOURCE: &str = "p12_unload";
const P12_LIBRARY: &str = "p12_module";
const P12: Pattern = Pattern {
    name: "P12",
    title: "the handler's text is unloaded",
    variants: &[
        bad(
            P12_SOURCE,
            "BAD=1",
            "dlclose with the timer armed",
            &[(HANDLED, &[Named::error("unload-while-pending")])],
        )
        .with(P12_LIBRARY),
        bad(
            P12_SOURCE,
            "BAD=2",
            "dlclose under the running handler",
            &[(
                HANDLED,
                &[
                    Named::error("unload-while-running"),
                    Named::error("del-while-running").so(&["text-unloaded"]),
                ],
            )],
        )
        .with(P12_LIBRARY),
        fixed(P12_SOURCE, "FIXED", "deleted, and waited for the handler, first", EVERY)
            .with(P12_LIBRARY),
        like(P12_SOURCE, "LOOKALIKE=1", "another object is closed", EVERY).with(P12_LIBRARY),
        like(P12_SOURCE, "LOOKALIKE=2", "the library was opened twice", EVERY).with(P12_LIBRARY),
        like(P12_SOURCE, "LOOKALIKE=3", "its destructor deletes the timer", EVERY)
            .with(P12_LIBRARY),
    ],
    absent: &[(&[Timerfd], NO_HANDLER)],
};

const P13_SOURCE: &str = "p13_pending_test";
const P13: Pattern = Pattern {
    name: "P13",
    title: "pending test, then act",
    variants: &[
        bad(
            P13_SOURCE,
            "BAD",
            "deleted only if armed, which misses the running handler; then freed",
            &[(VALUED, &[FREED_RUNNING, WRITTEN]), (CLOCKS, &[WRITTEN])],
        ),
        fixed(P13_SOURCE, "FIXED", "always deleted and waited for", EVERY),
        like(P13_SOURCE, "LOOKALIKE", "the test is only printed", EVERY),
    ],
    absent: &[(&[Timerfd], NO_HANDLER)],
};

const P14: Pattern = Pattern {
    name: "P14",
    title: "armed before the object is ready",
    variants: &[],
    absent: &[(&Api::ALL, "not detected: it takes a race detector")],
};

const P15_SOURCE: &str = "p15_overlap";
const P15: Pattern = Pattern {
    name: "P15",
    title: "the handler overlaps itself",
    variants: &[
        bad(
            P15_SOURCE,
            "BAD",
            "its interval is shorter than its run time",
            &[(HANDLED, &[Named::info("overlapping-handler")])],
        ),
        fixed(P15_SOURCE, "FIXED", "one-shot, armed again at the end", EVERY),
        like(P15_SOURCE, "LOOKALIKE", "serialised by a lock", BY_THREAD),
        like(
            P15_SOURCE,
            "LOOKALIKE",
            "serialised by the one thread that takes the signal",
            BY_SIGNAL,
        ),
    ],
    absent: &[(&[Timerfd], NO_HANDLER)],
};

const P16_SOURCE: &str = "p16_stale_handle";
const P16: Pattern = Pattern {
    name: "P16",
    title: "stale handle, late expiry",
    variants: &[
        bad(
            P16_SOURCE,
            "BAD",
            "deleted twice",
            &[
                (&[Thread], &[Named::error("stale-handle")]),
                (&[Signal, ThreadId], &[Named::info("stale-handle")]),
            ],
        ),
        bad(
            "p1_queued",
            "BAD",
            "the handler starts after the delete",
            &[(&[Thread], &[Named::warning("expiry-after-del")])],
        )
        .also(&["enter-with-freed-data"]),
        bad(
            "p16_late",
            "BAD",
            "the blocked signal is delivered after the disarm",
            &[(CLOCKS, &[Named::info("expiry-after-del")])],
        ),
        bad(
            "p16_timerfd",
            "BAD",
            "armed after its close",
            &[(&[Timerfd], &[Named::info("stale-handle")])],
        ),
        fixed(P16_SOURCE, "FIXED", "the handle is cleared", BY_VALUE),
        fixed("p16_late", "FIXED", "the pending signal is taken first", BY_CLOCK),
        fixed("p16_timerfd", "FIXED", "the descriptor is cleared", &[(&[Timerfd], &[])]),
        like(P16_SOURCE, "LOOKALIKE=1", "a live handle, by another thread", BY_VALUE),
        like(P16_SOURCE, "LOOKALIKE=2", "handles given out again", BY_VALUE),
        like("p16_late", "LOOKALIKE", "nothing had expired", BY_CLOCK),
        like("p16_timerfd", "LOOKALIKE=1", "a duplicate outlives it", &[(&[Timerfd], &[])]),
        like("p16_timerfd", "LOOKALIKE=2", "numbers given out again", &[(&[Timerfd], &[])]),
    ],
    absent: &[],
};
