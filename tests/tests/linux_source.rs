//! The kernel's own files, unmodified: as they are, correct; with their
//! `del_timer_sync` made `del_timer` on the command line, found at their own lines.
//!
//! Every run has its own random phases and delays on purpose (`provoke`), so that
//! the kernel's waits have something to wait for, and what does not wait is hit.

use deadwalk_tests::{Finding, LinuxSource, Program, Report, Run, Severity, Watched, repeats};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Makes every waiting delete of the file, and of what calls it, an asynchronous one.
const ASYNC: &str = "-Ddel_timer_sync(timer)=del_timer(timer)";

/// Kernel files under a harness.
struct Case {
    harness: &'static str,
    files: &'static [&'static str],
    /// The waiting deletes that count: file and text of the line.
    deletes: &'static [(&'static str, &'static str)],
    handlers: &'static [&'static str],
    /// Who frees what the timers lie in.
    frees: &'static [&'static str],
}

const AX25: Case = Case {
    harness: "ax25",
    files: &[
        "net/ax25/ax25_addr.c",
        "net/ax25/ax25_std_subr.c",
        "net/ax25/ax25_std_timer.c",
        "net/ax25/ax25_subr.c",
        "net/ax25/ax25_timer.c",
    ],
    deletes: &[
        ("net/ax25/ax25_subr.c", "del_timer_sync(&ax25->timer);"),
        ("net/ax25/ax25_subr.c", "del_timer_sync(&ax25->t1timer);"),
        ("net/ax25/ax25_subr.c", "del_timer_sync(&ax25->t2timer);"),
    ],
    handlers: &["ax25_heartbeat_expiry", "ax25_t1timer_expiry", "ax25_t2timer_expiry"],
    frees: &["ax25_cb_put"],
};

/// A list of neighbours with two timers each.
const ROSE: Case = Case {
    harness: "rose",
    files: &["net/ax25/ax25_addr.c", "net/rose/rose_link.c", "net/rose/rose_route.c"],
    deletes: &[("net/rose/rose_route.c", "del_timer_sync(&rose_neigh->t0timer);")],
    handlers: &["rose_t0timer_expiry"],
    frees: &["rose_neigh_put"],
};

/// A driver: lists of timers that wait and that have expired, for every open file.
const MISDN: Case = Case {
    harness: "misdn_timer",
    files: &["drivers/isdn/mISDN/timerdev.c"],
    deletes: &[
        ("drivers/isdn/mISDN/timerdev.c", "\t\t\tdel_timer_sync(&timer->tl);"),
        ("drivers/isdn/mISDN/timerdev.c", "\t\tdel_timer_sync(&timer->tl);"),
    ],
    handlers: &["dev_expire_timer"],
    frees: &["misdn_del_timer", "mISDN_close"],
};

const LAPB: Case = Case {
    harness: "lapb",
    files: &[
        "net/lapb/lapb_iface.c",
        "net/lapb/lapb_in.c",
        "net/lapb/lapb_out.c",
        "net/lapb/lapb_subr.c",
        "net/lapb/lapb_timer.c",
    ],
    deletes: &[
        ("net/lapb/lapb_iface.c", "del_timer_sync(&lapb->t1timer);"),
        ("net/lapb/lapb_iface.c", "del_timer_sync(&lapb->t2timer);"),
    ],
    handlers: &["lapb_t1timer_expiry", "lapb_t2timer_expiry"],
    frees: &["lapb_free_cb"],
};

impl Case {
    fn compile(&self, source: &LinuxSource, flags: &[&str]) -> Program {
        source.compile(self.harness, self.files, flags)
    }

    /// As the kernel has it: the handlers run, the deletes wait, nothing is found.
    fn assert_clean(&self) {
        let Some(source) = LinuxSource::find() else { return };
        let mut waits = 0;
        for (seed, watched) in runs(&self.compile(source, &[])) {
            assert_eq!(
                watched.outcome.status, 0,
                "{} {seed}: {:#?}",
                self.harness, watched.outcome
            );
            let report = &watched.report;
            report.assert_clean();
            assert!(report.counter("timers.handlers_run") > 0, "{} {seed}: {report}", self.harness);
            assert!(report.counter("timers.provoked") > 0, "{} {seed}: {report}", self.harness);
            waits += report.counter("del.sync_waits");
        }
        assert!(waits > 0, "{}: no delete ever waited", self.harness);
    }

    /// Without the waits: every run names a delete of the kernel's and the handler
    /// that it landed on. If `frees_too`, the timer is named and the free of what it
    /// lay in, but for two runs: the program may end by a signal before, since its
    /// handlers then use what is freed.
    fn assert_found(&self, frees_too: bool) {
        let Some(source) = LinuxSource::find() else { return };
        let runs = runs(&self.compile(source, &[ASYNC]));
        let mut freed = 0;
        for (seed, Watched { report, .. }) in &runs {
            let findings = report.findings();
            let landed = findings.iter().any(|finding| self.names_delete(source, finding));
            assert!(landed, "{} {seed}: {report}", self.harness);
            freed += usize::from(findings.iter().any(|finding| self.names_free(finding)));
        }
        assert!(freed + 2 >= runs.len() || !frees_too, "{}: {freed} frees", self.harness);
    }

    fn names_handler(&self, finding: &Finding<'_>) -> bool {
        let handler = finding.stack("handler").first().and_then(|frame| frame.function());
        finding.severity() > Severity::Info
            && handler.is_some_and(|name| self.handlers.contains(&name))
    }

    fn names_delete(&self, source: &LinuxSource, finding: &Finding<'_>) -> bool {
        let is_there = |&(file, text): &(&str, &str)| {
            let (line, name) = (source.line_of(file, text), file.rsplit('/').next());
            let del = finding.stack("del");
            del.first().is_some_and(|f| f.line() == Some(line) && f.file_name() == name)
        };
        self.names_handler(finding) && self.deletes.iter().any(is_there)
    }

    fn names_free(&self, finding: &Finding<'_>) -> bool {
        let free = finding.stack("free");
        let free = free.first().and_then(|frame| frame.function());
        matches!(finding.kind(), "free-while-running" | "free-while-pending")
            && finding.severity() == Severity::Error
            && finding.text("message").contains("timer_list at 0x")
            && free.is_some_and(|name| self.frees.contains(&name))
            && self.names_handler(finding)
    }
}

fn run(program: &Program, seed: u32) -> Watched {
    Run::of(program)
        .arg(seed.to_string())
        .env("DEADWALK_OPTIONS", "hz=1000")
        .option("--provoke")
        .option(format!("2000,{seed}"))
        .watched()
}

/// The runs of a program, by seed: some at a time, since they sleep nearly always.
fn runs(program: &Program) -> Vec<(u32, Watched)> {
    const AT_A_TIME: usize = 4;
    let next = AtomicU32::new(1);
    let one_after_the_other = || {
        let seeds = std::iter::repeat_with(|| next.fetch_add(1, Relaxed));
        let mine = seeds.take_while(|&seed| seed <= repeats(5, 20));
        mine.map(|seed| (seed, run(program, seed))).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let workers = [(); AT_A_TIME].map(|()| scope.spawn(one_after_the_other));
        workers.into_iter().flat_map(|worker| worker.join().expect("a run ends")).collect()
    })
}

#[test]
fn ax25_is_clean() {
    AX25.assert_clean();
}

#[test]
fn ax25_without_its_waits_is_found() {
    AX25.assert_found(true);
}

#[test]
fn rose_is_clean() {
    ROSE.assert_clean();
}

#[test]
fn rose_without_its_waits_is_found() {
    ROSE.assert_found(true);
}

#[test]
fn misdn_is_clean() {
    MISDN.assert_clean();
}

#[test]
fn misdn_without_its_waits_is_found() {
    MISDN.assert_found(true);
}

#[test]
fn lapb_is_clean() {
    LAPB.assert_clean();
}

/// Its handlers look at a flag under a lock before anything else, so that most of
/// them have gone by the time of the free: the delete and the handler are named.
#[test]
fn lapb_without_its_waits_is_found() {
    LAPB.assert_found(false);
}

/// As it is, `ax25_disconnect` deletes T1 before T3, whose handler starts T1: where
/// the delete of T3 waits, T1 runs on in a connection that is gone. Nothing else is
/// found.
#[test]
fn ax25_starts_t1_after_its_delete() {
    let Some(source) = LinuxSource::find() else { return };
    let program = AX25.compile(source, &["-DT3"]);
    let is_started = |report: &Report| {
        let accesses = ["use-after-free-read", "use-after-free-write"];
        let frees = ["free-while-pending", "free-while-running"];
        report.assert_only(&[frees, accesses].concat());
        let mut is_started = false;
        for finding in report.findings() {
            finding.assert_stack("free", "ax25_cb_put");
            if frees.contains(&finding.kind()) {
                finding.assert_stack("handler", "ax25_t1timer_expiry");
                finding.assert_stack("arm", "ax25_start_t1timer");
                is_started = true;
            }
        }
        is_started
    };
    let is_found = (1..=20).any(|seed| is_started(&run(&program, seed).report));
    assert!(is_found, "in none of 20 runs");
}
