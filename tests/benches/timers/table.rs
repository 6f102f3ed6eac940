//! The figures as Markdown.

use crate::engines::Engine;
use std::fmt::Write;

const COLUMNS: [&str; 5] = ["add", "mod", "delete", "expire", "bytes"];

/// Nanoseconds per operation, and bytes a pending timer, in the order of the columns.
#[derive(Clone, Copy)]
pub struct Cost([Option<f64>; COLUMNS.len()]);

impl Cost {
    /// From lines of a name and a figure.
    pub fn parse(text: &str) -> Cost {
        let figure = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line?.parse().ok()
        };
        Cost(COLUMNS.map(figure))
    }

    /// The lesser of each figure.
    pub fn least(self, other: Cost) -> Cost {
        let mut least = self;
        for (own, other) in least.0.iter_mut().zip(other.0) {
            *own = own.zip(other).map(|(a, b)| a.min(b)).or(*own).or(other);
        }
        least
    }
}

/// A line for each engine: figures, and their ratios to the first engine's.
pub fn table(count: usize, engines: &[Engine], costs: &[Option<Cost>]) -> String {
    let mut text = format!(
        "| {count} timers | add, ns | mod, ns | delete, ns | expire, ns | bytes a timer |\n"
    );
    text += "|---|---:|---:|---:|---:|---:|\n";
    let first = costs.first().copied().flatten();
    for (engine, cost) in engines.iter().zip(costs) {
        let cells = (0..COLUMNS.len()).map(|column| {
            let figure = |cost: &Option<Cost>| cost.as_ref().and_then(|cost| cost.0[column]);
            match (figure(cost), figure(&first)) {
                (Some(own), Some(first)) if engines.len() > 1 => {
                    format!("{own:.0} ({:.1})", own / first)
                }
                (Some(own), _) => format!("{own:.0}"),
                (None, _) => "–".into(),
            }
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(text, "| {} | {} |", engine.name, cells.join(" | "));
    }
    text
}
