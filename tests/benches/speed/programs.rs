//! The six real programs.

use crate::redis::Redis;
use crate::workload::{Group, Job, Workload};
use deadwalk_tests::find_tool;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Those that are installed; their inputs are written to `folder`.
pub fn programs(folder: &Path) -> Vec<Workload> {
    let redis = Redis::find(folder).map(Job::Redis);
    let sqlite = find_tool("sqlite3").map(|program| Job::Command {
        words: words(&program, &[":memory:"]),
        env: &[],
        input: Some(written(folder, "sqlite.sql", SQLITE)),
    });
    let python = find_tool("python3").map(|program| Job::Command {
        words: words(&program, &[&name(&written(folder, "script.py", PYTHON))]),
        // Its own allocator hides the C library's.
        env: &[("PYTHONMALLOC", "malloc"), ("PYTHONHASHSEED", "0")],
        input: None,
    });
    let perl = find_tool("perl").map(|program| Job::Command {
        words: words(&program, &[&name(&written(folder, "script.pl", PERL))]),
        env: &[("PERL_HASH_SEED", "0")],
        input: None,
    });
    let lua = find_tool("lua").map(|program| Job::Command {
        words: words(&program, &[&name(&written(folder, "script.lua", LUA))]),
        env: &[],
        input: None,
    });
    let cc1 = compiler_proper(folder).map(|(program, source)| Job::Command {
        words: words(
            &program,
            &["-quiet", "-O2", "-fpreprocessed", &name(&source), "-o", "/dev/null"],
        ),
        env: &[],
        input: None,
    });
    [
        ("redis", redis),
        ("sqlite3", sqlite),
        ("python3", python),
        ("perl", perl),
        ("lua", lua),
        ("cc1", cc1),
    ]
    .into_iter()
    .filter_map(|(name, job)| Some(Workload { name, group: Group::Programs, job: job? }))
    .collect()
}

fn words(program: &Path, args: &[&str]) -> Vec<String> {
    std::iter::once(name(program)).chain(args.iter().map(ToString::to_string)).collect()
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("our folder");
    path
}

/// Of the source that is compiled: some seconds' worth.
const FUNCTIONS: usize = 400;

/// gcc's own compiler proper, with a preprocessed source for it.
fn compiler_proper(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let gcc = find_tool("gcc")?;
    let mut source = String::from("#include <stdio.h>\n#include <string.h>\n");
    for n in 0..FUNCTIONS {
        let _ = write!(
            source,
            "struct s{n} {{ int a[{}]; char *name; }};\nint f{n}(struct s{n} *p, int x)\n{{\n\
             \tfor (int i = 0; p->name[i]; i++)\n\t\tx = x * {n} + p->a[i & 3] + (int)strlen(p->name);\n\
             \tif (x > {n})\n\t\tprintf(\"%d\\n\", x);\n\treturn x;\n}}\n",
            n % 9 + 4
        );
    }
    written(folder, "cc1.c", &source);
    let preprocessed = Command::new(&gcc)
        .args(["-E", "cc1.c", "-o", "cc1.i"])
        .current_dir(folder)
        .status()
        .is_ok_and(|status| status.success());
    let output = Command::new(&gcc).arg("-print-prog-name=cc1").output().ok()?;
    let cc1 = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    (preprocessed && cc1.is_file()).then(|| (cc1, folder.join("cc1.i")))
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

const LUA: &str = r#"
local n = 42
local function draw(m) n = (n * 1103515245 + 12345) % 2147483648; return n % m end
local function tree(depth)
  if depth == 0 then return {} end
  return { tree(depth - 1), tree(depth - 1), name = "node" .. depth }
end
local function count(t) return t[1] and 1 + count(t[1]) + count(t[2]) or 1 end
for round = 1, 6 do
  local words, parts, makers = {}, {}, {}
  for i = 1, 60000 do words["k" .. draw(1e9)] = string.rep("v", draw(40)) end
  for k, v in pairs(words) do parts[#parts + 1] = k .. "=" .. v end
  table.sort(parts)
  local text = table.concat(parts, ",")
  for i = 1, 20000 do makers[i] = function() return i + round end end
  local seen = 0
  for word in text:gmatch("[^,]+") do seen = seen + #word:upper() end
  print(#parts, seen, count(tree(14)), makers[7]())
end
"#;
