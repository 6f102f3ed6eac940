//! What timers live through, by every kind of timer: clocks, overruns, thousands of
//! them, forks, execs, daemons, other users, small stacks, constructors and
//! destructors, handlers that make timers. A watched program does as a plain one
//! does, nothing is found, and deadwalk counts what the program itself counted.

use deadwalk_tests::{Program, Run, SKIPPED, Watched, is_root, skip};

/// What the programs in `life/` call the kinds.
const KINDS: [&str; 5] = ["thread", "signal", "thread-id", "itimer", "timerfd"];

/// Kinds whose timers the program makes: the clocks of a process are always there.
const COUNTED: [&str; 4] = ["thread", "signal", "thread-id", "timerfd"];

/// Words of the programs' last line, and the counters that must be the same.
const COUNTERS: [(&str, &str); 4] = [
    ("created", "timers.inited"),
    ("armed", "timers.armed"),
    ("deleted", "del.calls"),
    ("handled", "timers.handlers_run"),
];

/// Runs the program with each kind, plain and watched.
#[track_caller]
fn assert_lives(program: &Program, args: &str, mut look: impl FnMut(&str, &Watched)) {
    for kind in KINDS {
        let run = Run::of(program).arg(kind).args(args);
        let plain = run.plain();
        if plain.status == SKIPPED {
            continue;
        }
        let plain = plain.assert_status(0);
        let watched = run.watched();
        let ended = (watched.outcome.status, &watched.outcome.stdout);
        assert_eq!(ended, (0, &plain.stdout), "{kind} {args}: {watched:#?}");
        watched.report.assert_clean();
        look(kind, &watched);
    }
}

/// The watched program's own counts, and deadwalk's.
#[track_caller]
fn assert_counts(kind: &str, watched: &Watched, which: &[(&str, &str)]) {
    let told = &watched.outcome.stderr;
    assert!(told.lines().all(|line| line.starts_with("created ")), "{kind}: {watched:#?}");
    if !COUNTED.contains(&kind) {
        return;
    }
    for (word, counter) in which {
        let words: Vec<&str> = told.split_whitespace().collect();
        let pairs = words.chunks(2).filter(|pair| pair[0] == *word);
        let own: u64 = pairs.map(|pair| pair[1].parse::<u64>().expect("a number")).sum();
        // Who reads a descriptor is its handler.
        let counter = match (kind, *counter) {
            ("timerfd", "timers.handlers_run") => "timers.consumed",
            (_, counter) => counter,
        };
        let ours = watched.report.counter(counter);
        assert_eq!(ours, own, "{kind}: {counter}, the program: {told}\n{}", watched.report);
    }
}

#[track_caller]
fn assert_all_counted(program: &str, args: &str) {
    let program = Program::new(&format!("life/{program}"));
    assert_lives(&program, args, |kind, watched| assert_counts(kind, watched, &COUNTERS));
}

#[test]
fn clocks_relative_absolute_and_past() {
    assert_all_counted("clocks", "");
}

/// SIGEV_THREAD's program ends with handlers on their way, so nobody knows how many ran;
/// one read of a timerfd takes many expiries.
#[test]
fn overruns() {
    let program = Program::new("life/overrun");
    assert_lives(&program, "", |kind, watched| {
        let is_known = !matches!(kind, "thread" | "timerfd");
        let known = if is_known { &COUNTERS[..] } else { &COUNTERS[..3] };
        assert_counts(kind, watched, known);
    });
}

#[test]
fn thousands_of_timers() {
    assert_all_counted("many", "");
}

#[test]
fn fork() {
    assert_all_counted("processes", "fork");
}

#[test]
fn vfork() {
    assert_all_counted("processes", "vfork");
}

/// A timerfd lives on, but is no known one any more.
#[test]
fn exec() {
    let program = Program::new("life/processes");
    assert_lives(&program, "exec", |kind, watched| {
        let known = if kind == "timerfd" { &COUNTERS[..1] } else { &COUNTERS };
        assert_counts(kind, watched, known);
    });
}

#[test]
fn daemon() {
    assert_all_counted("processes", "daemon");
}

#[test]
fn another_user() {
    if !is_root() {
        return skip("setuid takes root");
    }
    assert_all_counted("processes", "setuid");
}

#[test]
fn handlers_on_the_smallest_stacks() {
    assert_all_counted("stacks", "");
}

#[test]
fn handlers_that_make_and_delete_timers() {
    assert_all_counted("handlers", "");
}

/// Of the program and of a library of its own, whose constructor runs before ours.
#[test]
fn constructors_and_destructors() {
    let library = Program::library("life/edges_library", &[]);
    let path = library.path.to_str().expect("the target folder's name is text");
    let program = Program::with_flags("life/edges", &["-Wl,--no-as-needed", path]);
    assert_lives(&program, "", |kind, watched| assert_counts(kind, watched, &COUNTERS));
}
