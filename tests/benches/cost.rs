//! What deadwalk costs on whole programs: CPU time (user and system, children
//! included) and peak memory against the plain C library, as ratios.
//!
//! `cargo build --release --workspace && cargo bench -p deadwalk-tests --bench cost`
//!
//! Each pair runs interleaved, plain then watched, five times; the medians are
//! compared. The library is preloaded with a record folder, so that the time of
//! the `deadwalk` command itself is not in it.

use deadwalk_tests::{Target, find_tool};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const RUNS: usize = 5;

/// What one run took.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Cost {
    cpu_s: f64,
    peak_kib: f64,
}

struct Workload {
    name: &'static str,
    command: Vec<String>,
    input: Option<String>,
    python: bool,
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("| program | plain CPU s | watched CPU s | CPU ratio | memory ratio |");
    println!("|---|---|---|---|---|");
    for workload in workloads(folder.path()) {
        let (mut plain, mut watched) = (vec![], vec![]);
        for _ in 0..RUNS {
            plain.push(measure(command(&workload, None), workload.name));
            watched.push(measure(command(&workload, Some(folder.path())), workload.name));
        }
        let cpu = |runs: &[Cost]| median(runs.iter().map(|cost| cost.cpu_s).collect());
        let peak = |runs: &[Cost]| median(runs.iter().map(|cost| cost.peak_kib).collect());
        println!(
            "| {} | {:.3} | {:.3} | {:.2} | {:.2} |",
            workload.name,
            cpu(&plain),
            cpu(&watched),
            cpu(&watched) / cpu(&plain),
            peak(&watched) / peak(&plain)
        );
    }
    timer_ops(folder.path());
}

fn workloads(folder: &Path) -> Vec<Workload> {
    let mut list = vec![];
    let file = |name: &str| folder.join(name).display().to_string();
    let mut add = |name, command: Vec<String>, input| {
        list.push(Workload { name, command, input, python: name == "python3" });
    };
    if let Some(sqlite) = find_tool("sqlite3") {
        write(folder, "sqlite.sql", SQLITE);
        add("sqlite3", words(&sqlite, &[":memory:"]), Some(file("sqlite.sql")));
    }
    if let Some(python) = find_tool("python3") {
        write(folder, "script.py", PYTHON);
        add("python3", words(&python, &[&file("script.py")]), None);
    }
    if let Some(perl) = find_tool("perl") {
        write(folder, "script.pl", PERL);
        add("perl", words(&perl, &[&file("script.pl")]), None);
    }
    if let Some(cc1) = preprocessed_source(folder) {
        let args = ["-quiet", "-O2", "-fpreprocessed", &file("cc1.i"), "-o", "/dev/null"];
        add("cc1", words(Path::new(&cc1), &args), None);
    }
    list
}

fn words(program: &Path, args: &[&str]) -> Vec<String> {
    let program = program.display().to_string();
    std::iter::once(program).chain(args.iter().map(ToString::to_string)).collect()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("our folder");
}

/// Writes `cc1.i`, 12,000 lines; returns gcc's own compiler proper.
fn preprocessed_source(folder: &Path) -> Option<String> {
    let gcc = find_tool("gcc")?;
    let mut source = String::from("#include <stdio.h>\n#include <string.h>\n");
    for n in 0..1500 {
        let _ = write!(
            source,
            "struct s{n} {{ int a[{}]; char *name; }};\nint f{n}(struct s{n} *p, int x)\n{{\n\
             \tfor (int i = 0; p->name[i]; i++)\n\t\tx = x * {n} + p->a[i & 3] + (int)strlen(p->name);\n\
             \tif (x > {n})\n\t\tprintf(\"%d\\n\", x);\n\treturn x;\n}}\n",
            n % 9 + 4
        );
    }
    write(folder, "cc1.c", &source);
    let preprocessed = Command::new(&gcc)
        .args(["-E", "cc1.c", "-o", "cc1.i"])
        .current_dir(folder)
        .status()
        .is_ok_and(|status| status.success());
    let output = Command::new(&gcc).arg("-print-prog-name=cc1").output().ok()?;
    preprocessed.then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn command(workload: &Workload, records: Option<&Path>) -> Command {
    let mut command = Command::new(&workload.command[0]);
    command.args(&workload.command[1..]).stdout(Stdio::null()).stdin(Stdio::null());
    if workload.python {
        command.env("PYTHONMALLOC", "malloc").env("PYTHONHASHSEED", "0");
    }
    if let Some(input) = &workload.input {
        command.stdin(std::fs::File::open(input).expect("our file"));
    }
    if let Some(records) = records {
        watch(&mut command, records);
    }
    command
}

fn watch(command: &mut Command, records: &Path) {
    command.env("LD_PRELOAD", Target::get().library());
    command.env("DEADWALK_OPTIONS", format!("output='{}'", records.display()));
}

/// Runs it to its end; panics if it fails, for a failed run costs nothing.
fn measure(mut command: Command, name: &str) -> Cost {
    #[allow(clippy::zombie_processes, reason = "wait4 below is the wait, with the usage")]
    let child = command.spawn().unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut status = 0;
    // SAFETY: rusage is plain data, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for writes, and the child is ours, not
    // waited for by anybody else.
    let pid = unsafe { libc::wait4(child.id() as libc::pid_t, &mut status, 0, &mut usage) };
    assert!(pid > 0 && status == 0, "{name} ended with wait status {status:#x}");
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Cost {
        cpu_s: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_kib: usage.ru_maxrss as f64,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// stress-ng's own number: timer operations per second, plain and watched.
fn timer_ops(folder: &Path) {
    let Some(stress) = find_tool("stress-ng") else { return };
    let rate = |watched: bool| {
        let mut command = Command::new(&stress);
        command.args(["--timer", "1", "--timer-ops", "200000", "--metrics-brief"]);
        command.current_dir(folder);
        if watched {
            watch(&mut command, folder);
        }
        let output = command.output().expect("stress-ng runs");
        let text = [output.stdout, output.stderr].concat();
        ops_per_second(&String::from_utf8_lossy(&text))
    };
    let (mut plain, mut watched) = (vec![], vec![]);
    for _ in 0..RUNS {
        plain.extend(rate(false));
        watched.extend(rate(true));
    }
    if plain.len() < RUNS || watched.len() < RUNS {
        return println!("\nstress-ng --timer: no figures in its output");
    }
    let (plain, watched) = (median(plain), median(watched));
    println!(
        "\nstress-ng --timer, ops/s: plain {plain:.0}, watched {watched:.0}, ratio {:.2}",
        watched / plain
    );
}

/// The fifth figure of the line "... timer OPS REAL USR SYS OPS/S ...".
fn ops_per_second(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.split_once("] timer "))?.1;
    line.split_whitespace().nth(4)?.parse().ok()
}

const SQLITE: &str = "
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
INSERT INTO t SELECT i, 'name ' || (i * 7919 % 300007), i * 104729 % 1000003 FROM n;
CREATE INDEX by_name ON t(name);
SELECT count(*), sum(value), max(name) FROM t;
SELECT count(*) FROM t a JOIN t b ON a.name = b.name WHERE a.value % 3 = 0;
UPDATE t SET name = name || ' again' WHERE value % 5 = 0;
SELECT group_concat(c) FROM (SELECT count(*) c FROM t GROUP BY value % 100);
";

const PYTHON: &str = "
import json
n = 42
for round in range(10):
    table = {}
    for i in range(40000):
        n = (n * 1103515245 + 12345) % 2**31
        table[str(n)] = [n] * (n % 7)
    text = json.dumps(table)
    back = json.loads(text)
    words = [w.upper() for w in text.split(',')]
    print(len(back), len(words))
";

const PERL: &str = r#"
my $n = 42;
for my $round (1 .. 5) {
    my %seen;
    for (1 .. 100000) { $n = ($n * 1103515245 + 12345) % 2147483648; $seen{"k$n"} = "v" x ($n % 50); }
    my $text = join ",", map { "$_=$seen{$_}" } sort keys %seen;
    my @parts = split /,/, $text;
    print scalar(@parts), "\n";
}
"#;
