//! What `guard`, `guard_sites` and `guard_sample` find in programs without timers.

use deadwalk_tests::Severity::Error;
use deadwalk_tests::{Program, Report, Run, find_tool};

const READ: &str = "use-after-free-read";

fn guarded(mode: &str, options: &str) -> Report {
    let run = Run::of(&Program::new("guarded")).args(mode).env("DEADWALK_OPTIONS", options);
    let watched = run.watched();
    assert_eq!(watched.outcome.status, 3, "{options}: {:#?}", watched.outcome);
    watched.report
}

/// How many reads there were of blocks that this function allocated: of a name that is
/// the C library's.
fn reads_of(report: &Report, function: &str) -> u64 {
    let reads = report.of_kind(READ);
    let of_it = reads.iter().filter(|read| {
        read.stack("alloc")
            .iter()
            .any(|frame| frame.function().is_some_and(|name| name.contains(function)))
    });
    of_it.map(|read| read.count()).sum()
}

#[test]
fn all_blocks() {
    let report = guarded("bad 10", "guard=all");
    assert_eq!((reads_of(&report, "new_node"), reads_of(&report, "strdup")), (10, 10));
    for read in report.of_kind(READ) {
        assert_eq!((read.severity(), read.text("subject")), (Error, "heap"));
        read.assert_stack("free", "give_back");
        read.assert_stack("access", "main");
    }
    guarded("fixed 1000", "guard=all").assert_clean();
}

/// At which end of its page a block lies makes no difference to what is freed.
#[test]
fn all_blocks_at_the_end_of_their_pages() {
    let report = guarded("bad 10", "guard=all:guard_align=end");
    assert_eq!((reads_of(&report, "new_node"), reads_of(&report, "strdup")), (10, 10));
    assert!(report.of_kind(READ).iter().all(|read| *read.access("offset") == 5), "{report}");
    guarded("fixed 1000", "guard=all:guard_align=end").assert_clean();
}

#[test]
fn those_of_a_function_or_an_object() {
    let report = guarded("bad 10", "guard_sites=new_n?de");
    assert_eq!((reads_of(&report, "new_node"), reads_of(&report, "strdup")), (10, 0));
    let report = guarded("bad 10", "guard_sites=libc.so*");
    assert_eq!((reads_of(&report, "new_node"), reads_of(&report, "strdup")), (0, 10));
    guarded("fixed 1000", "guard_sites=new_*").assert_clean();
}

/// As small ones, pages, a large slot, or a mapping of their own.
#[test]
fn blocks_of_chosen_sites_are_held_whatever_their_size() {
    for size in [4000, 40_000, 400_000, 80_000_000] {
        let report = guarded(&format!("bad 10 {size}"), "guard_sites=new_node");
        let reads = (reads_of(&report, "new_node"), reads_of(&report, "strdup"));
        assert_eq!(reads, (10, 0), "{size} {report}");
        let report = guarded(&format!("bad 10 {size}"), "guard=all");
        assert_eq!(reads_of(&report, "new_node"), 10, "{size} {report}");
        guarded(&format!("fixed 10 {size}"), "guard_sites=new_node").assert_clean();
    }
}

#[test]
fn a_name_that_nothing_has_is_said() {
    let run = Run::of(&Program::new("guarded")).arg("fixed");
    let run = run.env("DEADWALK_OPTIONS", "guard_sites=no_such_function");
    let watched = run.watched();
    watched.outcome.assert_status(3).assert_says("no function or object has such a name");
}

#[test]
fn one_in_so_many() {
    let report = guarded("bad 50000", "guard_sample=100");
    let reads = reads_of(&report, "new_node") + reads_of(&report, "strdup");
    assert!((700..=1300).contains(&reads), "{reads}");
    assert!(reads_of(&report, "new_node") > 100, "{report}");
    assert!(reads_of(&report, "strdup") > 100, "{report}");
    guarded("fixed 50000", "guard_sample=100").assert_clean();
}

#[test]
fn off_is_off() {
    for options in ["guard=off", "guard=off:guard_sample=1", "guard=off:guard_sites=*"] {
        guarded("bad 1000", options).assert_clean();
    }
}

/// More blocks are freed than stay guarded, and more are live than have room.
#[test]
fn what_the_budgets_left_out_is_said() {
    let budgets = "guard=all:guard_freed=100:guard_live=64k";
    let report = guarded("fixed 1000", budgets);
    assert!(report.counter("heap.guards_released") > 1000, "{report}");
    // What was accessed is guarded for good.
    let report = guarded("bad 1000", budgets);
    assert!(report.counter("heap.guards_released") < 1000, "{report}");
    let report = guarded("bad 1000", "guard=all:guard_live=0");
    assert!(report.counter("heap.guards_refused") >= 2000, "{report}");
    report.assert_clean();
}

/// Where addresses are few no block lies alone.
#[test]
fn a_small_limit_of_addresses_is_said() {
    let path = Program::new("guarded").path.display().to_string();
    let limited = format!("ulimit -v 2000000; exec {path} bad 1000");
    let run = Run::command(["sh", "-c", &limited]).env("DEADWALK_OPTIONS", "guard=all");
    let watched = run.watched();
    watched.outcome.assert_status(3);
    let report = watched.report;
    assert!(report.counter("heap.guards_refused") >= 2000, "{report}");
}

/// Programs that nobody here wrote come to the same end.
#[test]
fn real_programs_with_all_blocks_alone() {
    let programs: &[(&str, &[&str])] = &[
        (
            "python3",
            &[
                "-c",
                "d = {str(i): [i] * 3 for i in range(20000)}\nprint(sum(map(len, d.values())))",
            ],
        ),
        (
            "perl",
            &[
                "-e",
                "my %h; push @{$h{$_ % 97}}, \"x$_\" x 3 for 1..20000; print scalar(keys %h), \"\\n\"",
            ],
        ),
        (
            "sqlite3",
            &[
                ":memory:",
                "create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c where x < 5000) insert into t select x, hex(x * 7919) from c; create index i on t(b); select count(*), max(b) from t;",
            ],
        ),
        ("gcc", &["-x", "c", "-O2", "-S", "-o", "-", "/dev/null"]),
    ];
    for (name, args) in programs {
        let Some(tool) = find_tool(name) else { continue };
        let words = std::iter::once(tool.into_os_string()).chain(args.iter().map(Into::into));
        let mut run = Run::command(words);
        let plain = run.plain();
        for options in ["guard=all", "guard=all:guard_align=end"] {
            run = run.env("DEADWALK_OPTIONS", options);
            let watched = run.watched();
            watched.assert_same(&plain);
            watched.report.assert_clean();
        }
    }
}
