//! The POSIX matrix: each pattern of timer misuse by each kind of POSIX timer, as a
//! bad program, a fixed one and legal ones that look like it.
//!
//! `tests/posix_patterns.rs` holds deadwalk to it; `benches/posix` runs every program
//! many times, the bad ones under other checkers too, and writes
//! `docs/posix-matrix.md`.

mod patterns;

pub use patterns::PATTERNS;

use crate::{Finding, Program, Report, Run, SKIPPED, Severity, Watched};

/// What makes the expiry of a timer known to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// A new thread runs the handler.
    Thread,
    /// A signal to the process.
    Signal,
    /// A signal to a thread.
    ThreadId,
    /// `setitimer`: SIGALRM.
    Setitimer,
    /// `alarm` and `ualarm`, which share `setitimer`'s clock.
    Alarm,
    /// A descriptor that is read; there is no handler.
    Timerfd,
}

use Api::*;

/// Timers that hand a value to their handler.
pub const VALUED: &[Api] = &[Thread, Signal, ThreadId];
/// Those whose handler is a signal's.
pub const SIGNALS: &[Api] = &[Signal, ThreadId, Setitimer, Alarm];
/// Those that each process has once, and that have no value.
pub const CLOCKS: &[Api] = &[Setitimer, Alarm];
/// Those that have a handler.
pub const HANDLED: &[Api] = &[Thread, Signal, ThreadId, Setitimer, Alarm];

impl Api {
    /// All of them: the rows of each pattern.
    pub const ALL: [Api; 6] = [Thread, Signal, ThreadId, Setitimer, Alarm, Timerfd];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Thread => "SIGEV_THREAD",
            Signal => "SIGEV_SIGNAL",
            ThreadId => "SIGEV_THREAD_ID",
            Setitimer => "setitimer",
            Alarm => "alarm, ualarm",
            Timerfd => "timerfd",
        }
    }

    /// What `programs/posix/timers.h` knows it by.
    pub fn flag(self) -> &'static str {
        match self {
            Thread => "-DAPI_THREAD",
            Signal => "-DAPI_SIGNAL",
            ThreadId => "-DAPI_THREAD_ID",
            Setitimer => "-DAPI_SETITIMER",
            Alarm => "-DAPI_ALARM",
            Timerfd => "-DAPI_TIMERFD",
        }
    }
}

/// One of the three programs of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// Has the bug.
    Bad,
    /// The same without it.
    Fixed,
    /// Legal code that resembles the bad one.
    LookAlike,
}

impl Twin {
    /// All of them: the columns.
    pub const ALL: [Twin; 3] = [Twin::Bad, Twin::Fixed, Twin::LookAlike];
}

/// A finding that a bad program must get.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// The kebab-case kind.
    pub kind: &'static str,
    /// How severe it is at least.
    pub at_least: Severity,
    /// What came of it; any if there is none.
    pub consequence: &'static [&'static str],
}

impl Named {
    /// At least info.
    pub const fn info(kind: &'static str) -> Named {
        Named { kind, at_least: Severity::Info, consequence: &[] }
    }

    /// At least a warning.
    pub const fn warning(kind: &'static str) -> Named {
        Named { at_least: Severity::Warning, ..Named::info(kind) }
    }

    /// An error.
    pub const fn error(kind: &'static str) -> Named {
        Named { at_least: Severity::Error, ..Named::info(kind) }
    }

    /// With one of these consequences.
    pub const fn so(self, consequence: &'static [&'static str]) -> Named {
        Named { consequence, ..self }
    }

    fn is_in(&self, report: &Report) -> bool {
        report.of_kind(self.kind).iter().any(|finding| {
            finding.severity() >= self.at_least
                && (self.consequence.is_empty()
                    || self.consequence.contains(&finding.text("consequence")))
        })
    }
}

/// One program of a pattern, by whichever kinds of timers it makes sense.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Which of the three it is.
    pub twin: Twin,
    /// What it is compiled with: `BAD=2`.
    pub define: &'static str,
    /// What it does.
    pub what: &'static str,
    /// The source in `programs/posix`.
    pub source: &'static str,
    /// A library that it loads, from a source beside.
    pub library: Option<&'static str>,
    /// By which timers, and what a report names there; nothing of the clean ones.
    pub by: &'static [(&'static [Api], &'static [Named])],
    /// Kinds that it may get besides.
    pub also: &'static [&'static str],
    /// Settings of deadwalk.
    pub options: &'static str,
    /// How it ends under deadwalk.
    pub status: i32,
}

impl Variant {
    /// What a report must name, if the program is made for this kind of timer.
    pub fn named(&self, api: Api) -> Option<&'static [Named]> {
        self.by.iter().find(|(apis, _)| apis.contains(&api)).map(|(_, named)| *named)
    }

    fn flags(&self, api: Api) -> [String; 2] {
        [api.flag().to_string(), format!("-D{}", self.define)]
    }

    /// The compiled program, with extra flags for the compiler.
    pub fn program(&self, api: Api, extra: &[&str]) -> Program {
        let own = self.flags(api);
        let flags: Vec<&str> =
            own.iter().map(String::as_str).chain(extra.iter().copied()).collect();
        Program::with_flags(&format!("posix/{}", self.source), &flags)
    }

    /// The program's whole command.
    pub fn command(&self, api: Api, extra: &[&str]) -> Vec<String> {
        let mut words = vec![self.program(api, extra).path.display().to_string()];
        if let Some(library) = self.library {
            let own = self.flags(api);
            let flags: Vec<&str> =
                own.iter().map(String::as_str).chain(extra.iter().copied()).collect();
            let library = Program::library(&format!("posix/{library}"), &flags);
            words.push(library.path.display().to_string());
        }
        words
    }

    /// How to run it.
    pub fn run(&self, api: Api) -> Run {
        let run = Run::command(self.command(api, &[]));
        match self.options {
            "" => run,
            options => run.env("DEADWALK_OPTIONS", options),
        }
    }

    /// What is wrong about a run under deadwalk, a line each; `None` if this machine
    /// cannot run it.
    pub fn complaints(&self, api: Api, watched: &Watched) -> Option<Vec<String>> {
        let (report, status) = (&watched.report, watched.outcome.status);
        if status == SKIPPED {
            return None;
        }
        let mut wrong = vec![];
        let named = self.named(api).unwrap_or_default();
        if status != self.status {
            wrong.push(format!("status {status}: {}", watched.outcome.stderr));
        }
        for named in named.iter().filter(|named| !named.is_in(report)) {
            wrong.push(format!("no {named:?} in {:?}", report.tally()));
        }
        let is_known = |kind| named.iter().any(|n| n.kind == kind) || self.also.contains(&kind);
        // What a bad program's handler then does with its freed data.
        let is_harm = |finding: &Finding<'_>| {
            let is_access =
                matches!(finding.kind(), "use-after-free-read" | "use-after-free-write");
            self.twin == Twin::Bad && is_access && finding.text("subject") == "timer-data"
        };
        for finding in report.findings() {
            let is_loud = finding.severity() > Severity::Info;
            if is_loud && !is_known(finding.kind()) && !is_harm(&finding) {
                wrong.push(format!("found {:?}", report.tally()));
                break;
            }
        }
        Some(wrong)
    }
}

/// A pattern of misuse.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// Its number among the sixteen: "P1".
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    /// Its programs.
    pub variants: &'static [Variant],
    /// Why there is none by those timers.
    pub absent: &'static [(&'static [Api], &'static str)],
}

impl Pattern {
    /// The programs of one cell.
    pub fn cell(&self, api: Api, twin: Twin) -> Vec<&'static Variant> {
        self.variants.iter().filter(|v| v.twin == twin && v.named(api).is_some()).collect()
    }

    /// Why it does not apply to such a timer.
    pub fn reason(&self, api: Api) -> Option<&'static str> {
        self.absent.iter().find(|(apis, _)| apis.contains(&api)).map(|(_, reason)| *reason)
    }
}
