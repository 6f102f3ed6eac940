//! As Rust's `#[global_allocator]`: one program, built with four heaps.

use crate::cost::Cost;
use deadwalk_tests::skip;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The heaps with their programs; none for what was not built.
const HEAPS: &[(&str, Option<&str>)] = &[
    ("System", option_env!("CARGO_BIN_EXE_speed_system")),
    ("deadwalk", option_env!("CARGO_BIN_EXE_speed_deadwalk")),
    ("mimalloc", option_env!("CARGO_BIN_EXE_speed_mimalloc")),
    ("snmalloc", option_env!("CARGO_BIN_EXE_speed_snmalloc")),
];

/// The table.
pub fn rust(rounds: usize) -> String {
    let mut heaps = vec![];
    for (name, program) in HEAPS {
        // Cargo names programs too that it did not build.
        match program.filter(|program| Path::new(program).is_file()) {
            Some(program) => heaps.push((name, program, vec![])),
            None => skip(&format!("{name} as global allocator: needs `--features peers`")),
        }
    }
    for _ in 0..rounds {
        for (name, program, costs) in &mut heaps {
            let mut command = Command::new(program);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            costs.push(Cost::of(&mut command).unwrap_or_else(|| panic!("{name} failed")));
        }
    }
    let medians: Vec<_> =
        heaps.iter().map(|(name, _, costs)| (name, Cost::median(costs))).collect();
    let (_, system) = medians[0];
    let mut text = "| `#[global_allocator]` | CPU, s | ratio | memory, MB | ratio |\n".to_string();
    text += "|---|---:|---:|---:|---:|\n";
    for (name, cost) in &medians {
        let _ = writeln!(
            text,
            "| {name} | {:.2} | {:.2} | {:.1} | {:.2} |",
            cost.cpu_s,
            cost.cpu_s / system.cpu_s,
            cost.peak_kib * 1024.0 / 1e6,
            cost.peak_kib / system.peak_kib
        );
    }
    text
}
