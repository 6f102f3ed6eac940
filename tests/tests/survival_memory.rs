//! Memory in quantity, and programs that have their own ideas of the address
//! space.

use deadwalk_tests::{Cgroup, Outcome, Overcommit, Program, Run, Severity, alone, repeats};

/// No more than `vm.max_map_count` mappings, however many blocks.
#[test]
fn sixty_thousand_blocks_of_200_kb() {
    let _alone = alone();
    let blocks = repeats(20_000, 60_000);
    let run = Run::of(&Program::new("survive_many_blocks")).arg(blocks.to_string());
    let watched = run.assert_survives(0);
    let lines: Vec<_> = watched.outcome.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            format!("blocks {blocks}, well {blocks}"),
            "memory for two pages each and no more than four: 1".to_string(),
            "most is given back: 1".to_string(),
        ]
    );
}

/// What a program freed goes back to the system while it lives on, and what is written
/// there is told all the same.
#[test]
fn memory_of_blocks_that_were_freed_goes_back() {
    let _alone = alone();
    let program = Program::new("survive_mass_free");
    let watched = Run::of(&program).arg("trim").watched();
    watched.report.assert_clean();
    let lines: Vec<_> = watched.outcome.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "all is in memory: 1",
            "most went back: 1",
            "the block's memory went back: 1",
            "trimmed: 1",
            "all went back: 1"
        ]
    );
    for (mode, went_back) in [("before", 0), ("after", 1)] {
        let watched = Run::of(&program).arg(mode).watched();
        assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
        let went_back = format!("the block's memory went back: {went_back}\n");
        assert!(watched.outcome.stdout.contains(&went_back), "{mode}: {:#?}", watched.outcome);
        let told = watched.report.assert_kind("use-after-free-write", Severity::Error);
        assert_eq!(told.count(), 1, "{mode}: {}", watched.report);
        watched.report.assert_only(&["use-after-free-write"]);
        watched.report.assert_seen("use-after-free-write").assert_stack("alloc", "main");
    }
}

/// Fixed mappings of the program's at places of its own, and right behind every
/// piece of the heap.
#[test]
fn programs_that_map_at_fixed_addresses() {
    for _ in 0..repeats(3, 10) {
        let watched = Run::of(&Program::new("survive_map_fixed")).assert_survives(0);
        assert!(watched.outcome.stdout.contains("own places kept: 14\n"), "{:#?}", watched.outcome);
        assert!(watched.outcome.stdout.contains("neighbours kept: 16\n"), "{:#?}", watched.outcome);
    }
}

#[test]
fn blocks_freed_without_access_to_them() {
    let watched = Run::of(&Program::new("survive_protected")).assert_survives(0);
    assert_eq!(watched.outcome.stdout, "lives\n");
}

#[test]
fn programs_that_write_all_that_is_usable() {
    let watched = Run::of(&Program::new("survive_usable_size")).assert_survives(0);
    assert_eq!(watched.outcome.stdout, "of nothing: 0, blocks 2000\n");
}

/// What `survive_limit` tells: MiB given at first, then again and for other
/// blocks, threads made; and the lines that are the same in every run.
struct Given {
    mib: Vec<u64>,
    threads: u64,
    facts: Vec<String>,
}

impl Given {
    fn of(outcome: &Outcome) -> Given {
        let mut given = Given { mib: vec![], threads: 0, facts: vec![] };
        for line in outcome.stdout.lines() {
            let (word, number) = line.split_once(' ').expect("two words");
            match (word, number.parse()) {
                ("given" | "again" | "others", Ok(mib)) => given.mib.push(mib),
                ("threads", Ok(threads)) => given.threads = threads,
                _ => given.facts.push(line.to_string()),
            }
        }
        given
    }
}

/// Under a limit: about as much memory as from libc, `ENOMEM` then, and life goes
/// on as soon as it is freed.
#[track_caller]
fn assert_lives_under(kind: &str, mib: u32, bytes: u32, when: &str) {
    let what = format!("{when} {kind} {mib} {bytes}");
    let limit = match (when, kind) {
        ("preset", "as") => format!("ulimit -v {}; ", mib * 1024),
        ("preset", _) => format!("ulimit -d {}; ", mib * 1024),
        _ => String::new(),
    };
    let program = Program::new("survive_limit");
    let run = Run::command(["sh", "-c", &(limit + r#"exec "$@""#), "sh"]).arg(&program.path);
    let run = run.args(&what);
    let (plain, watched) = (run.plain().assert_status(0), run.watched());
    assert_eq!((watched.outcome.status, &*watched.outcome.stderr), (0, ""), "{what}");
    watched.report.assert_clean();
    let (ours, libcs) = (Given::of(&watched.outcome), Given::of(&plain));
    assert_eq!(ours.facts, libcs.facts, "{what}");
    assert_eq!(ours.threads, 4, "{what}");
    let amounts = format!("{what}: {:?} of libc's {:?} MiB", ours.mib, libcs.mib);
    assert!(ours.mib[0] * 10 >= libcs.mib[0] * 8, "{amounts}");
    // Stacks of threads that have ended stay with libc: they are missing here.
    assert!(
        ours.mib.iter().zip(&libcs.mib).all(|(ours, libcs)| ours * 3 >= libcs * 2),
        "{amounts}"
    );
}

const SIZES: [u32; 5] = [1 << 20, 100, 10_000, 100_000, 20 << 20];

fn sizes() -> &'static [u32] {
    &SIZES[..repeats(2, 5) as usize]
}

#[test]
fn address_limits_set_before_the_start() {
    for &bytes in sizes() {
        assert_lives_under("as", 256, bytes, "preset");
    }
    assert_lives_under("as", 1024, 1 << 20, "preset");
}

#[test]
fn address_limits_set_at_run_time() {
    for &bytes in sizes() {
        assert_lives_under("as", 256, bytes, "late");
    }
    assert_lives_under("as", 1024, 300_000, "late");
}

#[test]
fn data_limits() {
    for (bytes, when) in [(100, "preset"), (1 << 20, "late"), (20 << 20, "preset")] {
        assert_lives_under("data", 256, bytes, when);
    }
    assert_lives_under("data", 1024, 100_000, "late");
}

/// A control group's limit is no error that malloc returns: the kernel kills. The
/// record is the kernel's by then, and what was found is told.
#[test]
fn killed_for_want_of_memory() {
    let _alone = alone();
    let Some(cgroup) = Cgroup::with_memory(128 << 20) else { return };
    let script = r#"echo $$ > "$1"; shift; exec "$@""#;
    let run = Run::command(["sh", "-c", script, "sh"]).arg(cgroup.processes());
    let watched = run.arg(&Program::new("survive_killed").path).watched();
    assert_eq!(watched.outcome.status, 128 + libc::SIGKILL, "{:#?}", watched.outcome);
    let report = &watched.report;
    assert_eq!(report.count("double-free", Severity::Error), 1, "{report}");
    assert!(report.counter("heap.allocs") > 50, "{report}");
    let is_killed = report.processes().iter().any(|process| process["ended"] == "signal");
    assert!(is_killed, "{report}");
}

/// Strict accounting: what is mapped counts, touched or not, and the heap does
/// not map what it does not need.
#[test]
fn strict_accounting() {
    let _alone = alone();
    let Some(_strict) = Overcommit::strict() else { return };
    let run = Run::of(&Program::new("survive_chain"));
    let watched = run.assert_survives(0);
    assert!(watched.outcome.stdout.starts_with("child 0"), "{:#?}", watched.outcome);
    Run::of(&Program::new("survive_usable_size")).assert_survives(0);
}
