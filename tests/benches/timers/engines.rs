//! Who is compared: engines in Rust, in a process of this program's, and in C.

use crate::delay_queue::Delays;
use crate::map::Map;
use crate::nexus::Nexus;
use crate::plain::Plain;
use crate::table::Cost;
use crate::work::work;
use deadwalk_tests::{Program, Target, find_tool};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The engine to which the ratios are.
pub const PLAIN: &str = "plain wheel";
/// Ours.
pub const OURS: &str = "deadwalk";
/// First argument of a process that is to do the work of an engine in Rust.
pub const PEER: &str = "--peer";

/// An engine.
pub struct Engine {
    /// As in the table.
    pub name: &'static str,
    command: Vec<OsString>,
}

impl Engine {
    /// What `count` timers cost; `None`, aloud, if the process failed.
    pub fn run(&self, count: usize, order: &str) -> Option<Cost> {
        let output = Command::new(&self.command[0])
            .args(&self.command[1..])
            .args([&count.to_string(), &format!("order={order}"), "expire"])
            // The ticks of all are milliseconds.
            .env("DEADWALK_OPTIONS", "hz=1000")
            .output()
            .expect("the engine's process starts");
        if !output.status.success() {
            eprintln!("{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
            return None;
        }
        Some(Cost::parse(&String::from_utf8_lossy(&output.stdout)))
    }
}

/// Those that are there, the plain wheel first.
pub fn engines() -> Vec<Engine> {
    let here = std::env::current_exe().expect("this program has a path");
    let rust = |name| {
        let command = vec![here.clone().into(), PEER.into(), OsString::from(name)];
        Some(Engine { name, command })
    };
    let c = |name, package| {
        let program = compile(name, &[&format!("-l{package}")])?;
        Some(Engine { name, command: vec![program.into()] })
    };
    [
        rust(PLAIN),
        ours(),
        rust("BTreeMap"),
        rust("DelayQueue"),
        rust("nexus-timer"),
        c("libev", "ev"),
        c("libuv", "uv"),
        c("libevent", "event"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Does the work of the engine that the arguments name.
pub fn be_peer(mut words: impl Iterator<Item = String>) {
    let name = words.next().expect("an engine's name");
    let count = words.next().and_then(|n| n.parse().ok()).expect("a number of timers");
    let order = words.next().expect("an order");
    let order = order.strip_prefix("order=").expect("order=...");
    match name.as_str() {
        PLAIN => work::<Plain>(count, order),
        "BTreeMap" => work::<Map>(count, order),
        "DelayQueue" => work::<Delays>(count, order),
        "nexus-timer" => work::<Nexus>(count, order),
        name => panic!("no engine {name:?}"),
    }
}

/// The library under test, called as a C program does.
fn ours() -> Option<Engine> {
    let library = Target::get().library();
    let folder = library.parent()?.display().to_string();
    let include = format!("-I{}", Program::include_folder().display());
    let flags = [include, format!("-L{folder}"), format!("-Wl,-rpath,{folder}")];
    let flags: Vec<&str> =
        flags.iter().map(String::as_str).chain(["-Wl,--no-as-needed", "-ldeadwalk"]).collect();
    Some(Engine { name: OURS, command: vec![compile(OURS, &flags)?.into()] })
}

/// A program of `programs/speed/timers`; `None`, aloud, where its library or the
/// compiler is not installed.
fn compile(name: &str, flags: &[&str]) -> Option<PathBuf> {
    let gcc = find_tool("gcc")?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/speed/timers");
    let out = Target::get().programs();
    std::fs::create_dir_all(&out).expect("the target folder is writable");
    let program = out.join(format!("speed-timers-{name}"));
    let output = Command::new(gcc)
        .args(["-g", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread", "-o"])
        .arg(&program)
        .arg(folder.join(name).with_extension("c"))
        .args(flags)
        .output()
        .expect("gcc runs");
    if !output.status.success() {
        deadwalk_tests::skip(&format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
        return None;
    }
    Some(program)
}
