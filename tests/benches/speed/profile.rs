//! Where the time goes under deadwalk: samples of perf, by what is done.

use crate::peers::Peer;
use crate::workload::{Job, Workload};
use crate::{patterns, programs};
use deadwalk_tests::{Target, find_tool, skip};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Samples a second: no round number, or a program in step with it would show
/// always the same.
const FREQUENCY: &str = "1999";

/// Columns, with what the names of their functions have in them; first come first
/// served. What is in line elsewhere counts there: small blocks' canaries and
/// sites, and the fill of the smallest.
const PARTS: &[(&str, &[&str])] = &[
    ("fill", &["poison::fill"]),
    ("verify", &["poison::batch", "poison::holds", "poison::plain", "::verify"]),
    ("large blocks", &["alloc::large", "alloc::huge", "alloc::guard"]),
];

/// The table; `None` without perf.
pub fn profile(folder: &Path) -> Option<String> {
    let perf = find_tool("perf")?;
    let mut text = "Parts of the CPU time under deadwalk, in per cent:\n\n| | ".to_string();
    for (name, _) in PARTS {
        let _ = write!(text, "{name} | ");
    }
    text.push_str("rest of the library | kernel | program | most time in the library |\n|---|");
    text.push_str(&"---:|".repeat(PARTS.len() + 3));
    text.push_str("---|\n");
    for workload in programs::programs(folder).into_iter().chain(patterns::patterns()) {
        match record(&perf, folder, &workload) {
            Some(samples) => line(&mut text, &workload, &samples),
            None => skip(&format!("no profile of {}", workload.name)),
        }
    }
    Some(text)
}

/// A function: its samples, its object and its name.
struct Function {
    samples: f64,
    object: String,
    name: String,
}

/// Runs it once; `None` for what is no single command.
fn record(perf: &Path, folder: &Path, workload: &Workload) -> Option<Vec<Function>> {
    let Job::Command { words, env, input } = &workload.job else { return None };
    let data = folder.join("perf.data");
    let mut command = Command::new(perf);
    command.args(["record", "-q", "-e", "cpu-clock", "-F", FREQUENCY, "-o"]).arg(&data);
    command.args(words).envs(env.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(input) = input {
        command.stdin(std::fs::File::open(input).expect("our file"));
    }
    Peer::deadwalk(folder, "").load_into(&mut command);
    command.status().ok().filter(|status| status.success())?;
    let output = Command::new(perf)
        .args(["report", "--stdio", "-t", "|", "-F", "sample,dso,symbol", "-i"])
        .arg(&data)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().filter_map(function).collect())
}

/// "1234|object|[.] name"
fn function(line: &str) -> Option<Function> {
    let mut fields = line.split('|').map(str::trim);
    let samples = fields.next()?.parse().ok()?;
    let object = fields.next()?.to_string();
    let name = fields.next()?;
    let name = name.split_once("] ").map_or(name, |(_, name)| name).trim().to_string();
    Some(Function { samples, object, name })
}

fn line(text: &mut String, workload: &Workload, samples: &[Function]) {
    let library = Target::get().library();
    let library = library.file_name().and_then(|name| name.to_str()).expect("our name");
    let mut parts = vec![0.0; PARTS.len()];
    let (mut rest, mut kernel, mut program) = (0.0, 0.0, 0.0);
    for function in samples {
        let is_in = |names: &[&str]| names.iter().any(|name| function.name.contains(name));
        let sum = if function.object == library {
            let part = PARTS.iter().position(|(_, names)| is_in(names));
            part.map_or(&mut rest, |at| &mut parts[at])
        } else if function.object.starts_with("[kernel") {
            &mut kernel
        } else {
            &mut program
        };
        *sum += function.samples;
    }
    parts.extend([rest, kernel, program]);
    let all: f64 = parts.iter().sum();
    let percent = |samples: f64| format!("{:.0}", samples / all * 100.0);
    let cells: Vec<_> = parts.iter().map(|&samples| percent(samples)).collect();
    let own = samples.iter().filter(|function| function.object == library);
    let most = own.max_by(|a, b| a.samples.total_cmp(&b.samples));
    let most =
        most.map_or(String::new(), |most| format!("`{}` {}", most.name, percent(most.samples)));
    let _ = writeln!(text, "| {} | {} | {most} |", workload.name, cells.join(" | "));
}
