//! Programs that nobody here wrote: same exit status, same output, and not one
//! warning or error. Each is skipped aloud where it is not installed; on Debian
//! `apt-get install python3 perl gcc git sqlite3 redis-server redis-tools`.

use deadwalk_tests::{Live, Run, alone, find_tool};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Runs plain and watched: same status, same output, nothing found.
#[track_caller]
fn assert_unchanged(run: &Run) {
    let _alone = alone();
    let plain = run.plain().assert_status(0);
    let watched = run.watched();
    watched.assert_same(&plain);
    watched.report.assert_clean();
    assert!(watched.report.counter("heap.allocs") > 0, "the heap was ours: {}", watched.report);
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("our folder");
    path
}

#[test]
fn python_with_threads_and_subprocesses() {
    const SCRIPT: &str = "
import json, re, subprocess, sys, threading
lock, total = threading.Lock(), [0]
def work(seed):
    table = {}
    for i in range(20000):
        seed = (seed * 1103515245 + 12345) % 2**31
        table[str(seed)] = [seed] * (seed % 7)
    text = json.dumps(table)
    with lock:
        total[0] += len(re.findall('[0-9]+', text)) + sum(map(len, json.loads(text)))
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]
for n in range(3):
    print(subprocess.run([sys.executable, '-c', 'print(sum(range(1000)))'],
                         capture_output=True, text=True).stdout)
timer = threading.Timer(0.01, print, ['tick']); timer.start(); timer.join()
[t.join() for t in threads]
print(total[0])
";
    let Some(python) = find_tool("python3") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = write(folder.path(), "script.py", SCRIPT);
    assert_unchanged(&Run::command([python, script]).env("PYTHONMALLOC", "malloc"));
}

#[test]
fn perl() {
    const SCRIPT: &str = r#"
my (%seen, @parts); my $n = 42;
for (1 .. 100000) { $n = ($n * 1103515245 + 12345) % 2147483648; $seen{"k$n"} = "v" x ($n % 50); }
my $text = join ",", map { "$_=$seen{$_}" } sort keys %seen;
$text =~ s/v+/w/g; print length($text), "\n"; @parts = split /,/, $text; print scalar(@parts), "\n";
print `echo child`;
"#;
    let Some(perl) = find_tool("perl") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = write(folder.path(), "script.pl", SCRIPT);
    assert_unchanged(&Run::command([perl, script]));
}

/// 5,000 lines of C; the object file is the same to the byte.
#[test]
fn gcc() {
    let Some(gcc) = find_tool("gcc") else { return };
    let mut source = String::from("#include <stdio.h>\n#include <string.h>\n");
    for n in 0..1000 {
        let _ = write!(
            source,
            "int function{n}(int x, const char *s)\n{{\n\tfor (int i = 0; s[i]; i++)\n\
             \t\tx = x * {} + s[i] + (int)strlen(s);\n\treturn x;\n}}\n",
            n * 7 + 3
        );
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "long.c", &source);
    assert!(source.lines().count() >= 5000);
    let run = Run::command([gcc]).args("-O1 -c long.c -o long.o").folder(folder.path());
    let object = folder.path().join("long.o");
    run.plain().assert_status(0);
    let plain = std::fs::read(&object).expect("an object file");
    assert_unchanged(&run);
    assert_eq!(std::fs::read(&object).expect("an object file"), plain);
}

#[test]
fn git_log() {
    let Some(git) = find_tool("git") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut stream = String::new();
    for n in 1..=300 {
        let text = format!("line {n}\n").repeat(n % 40 + 1);
        let _ = write!(
            stream,
            "commit refs/heads/main\ncommitter A U Thor <author@example.org> {} +0000\n\
             data <<E\ncommit {n}\nE\nM 644 inline file{}\ndata <<E\n{text}E\n\n",
            1_000_000_000 + n * 1000,
            n % 20
        );
    }
    let input = write(folder.path(), "stream", &stream);
    let in_folder = |words: &str| {
        let run = Run::command([&git]).args(words).folder(folder.path());
        run.env("HOME", folder.path()).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_PAGER", "cat")
    };
    in_folder("init -q -b main .").plain().assert_status(0);
    in_folder("fast-import --quiet").input(&input).plain().assert_status(0);
    assert_unchanged(&in_folder("log -p --stat main"));
    assert_unchanged(&in_folder("log --graph --oneline --all"));
}

#[test]
fn sqlite_with_300_000_rows() {
    const SCRIPT: &str = "
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
INSERT INTO t SELECT i, 'name ' || (i * 7919 % 300007), i * 104729 % 1000003 FROM n;
CREATE INDEX by_name ON t(name);
SELECT count(*), sum(value), max(name) FROM t;
SELECT name FROM t WHERE name LIKE 'name 12%' ORDER BY value DESC LIMIT 5;
SELECT count(*) FROM t a JOIN t b ON a.name = b.name WHERE a.value % 3 = 0;
SELECT group_concat(c) FROM (SELECT count(*) c FROM t GROUP BY value % 100);
";
    let Some(sqlite) = find_tool("sqlite3") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = write(folder.path(), "script.sql", SCRIPT);
    assert_unchanged(&Run::command([sqlite]).arg(":memory:").input(&input));
}

/// The server under `deadwalk run`, the benchmark plain beside it.
#[test]
fn redis_server_under_its_benchmark() {
    let tools = [find_tool("redis-server"), find_tool("redis-benchmark"), find_tool("redis-cli")];
    let [Some(server), Some(benchmark), Some(cli)] = tools else { return };
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("socket");
    let json = folder.path().join("report.json");
    let run = Run::command([server]).args("--port 0 --save").arg("").arg("--unixsocket");
    let run = run.arg(&socket).option("-q").option("--json").option(&json).folder(folder.path());
    let run = run.arg("--logfile").arg(folder.path().join("log"));
    let live = Live::start(run.to_command());
    for _ in 0..1000 {
        if socket.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let status = Command::new(benchmark)
        .arg("-s")
        .arg(&socket)
        .args(["-n", "20000", "-q", "-P", "16", "-t", "set,get,lpush,lpop,hset,zadd,mset"])
        .stdout(Stdio::null())
        .status();
    let benchmark_ok = status.is_ok_and(|status| status.success());
    let _ = Command::new(cli).arg("-s").arg(&socket).args(["shutdown", "nosave"]).status();
    assert_eq!(live.wait(), 0);
    assert!(benchmark_ok, "the benchmark was served");
    deadwalk_tests::Report::read(&json).expect("a report").assert_clean();
}
