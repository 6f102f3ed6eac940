//! The figures as SVG: one dot per peer and workload, on logarithmic scales.
//!
//! The picture has its own background, for light and for dark pages.

use crate::peers::Peer;
use crate::table::{Measure, Row, mean};
use crate::workload::Group;
use std::fmt::Write;

/// Pixels.
const WIDTH: f64 = 1070.0;
const NAMES_WIDTH: f64 = 150.0;
const PANEL_WIDTH: f64 = 410.0;
const PANEL_GAP: f64 = 56.0;
const HEAD_HEIGHT: f64 = 96.0;
const ROW_HEIGHT: f64 = 24.0;
const FOOT_HEIGHT: f64 = 44.0;

/// What the scales show. What is beyond stands at the edge, as a triangle.
const LOWEST: f64 = 0.5;
const HIGHEST: f64 = 8.0;
const TICKS: &[f64] = &[0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0];

/// In the order of the peers after glibc; told apart by the colour-blind too.
const COLOURS: &[&str] =
    &["#d62728", "#0072b2", "#009e73", "#e69f00", "#cc79a7", "#8c8c8c", "#7a5195"];

const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.mean { font-weight: 600 }
.small { font-size: 11px; fill: #59636e }
.paper { fill: #ffffff }
.band { fill: #f3f5f7 }
.grid { stroke: #d8dde3 }
.glibc { stroke: #1f2328; stroke-width: 1.5 }
.dot { stroke: #ffffff; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.paper { fill: #0d1117 }
.band { fill: #1a2029 }
.grid { stroke: #30363d }
.glibc { stroke: #e6edf3 }
.dot { stroke: #0d1117 }
}";

/// A line of the picture: a name and every peer's two ratios.
struct Line {
    name: String,
    is_mean: bool,
    ratios: [Vec<Option<f64>>; 2],
}

const MEASURES: [(&str, Measure); 2] =
    [("CPU time, glibc = 1", |cost| cost.cpu_s), ("Peak memory, glibc = 1", |cost| cost.peak_kib)];

/// The picture.
pub fn plot(rows: &[Row], peers: &[Peer]) -> String {
    let lines = lines(rows, peers.len());
    let bottom = HEAD_HEIGHT + ROW_HEIGHT * lines.len() as f64;
    let height = bottom + FOOT_HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-label=\"CPU time and peak memory of allocators relative to glibc\">\n\
         <style>{STYLE}\n</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n"
    );
    legend(&mut svg, peers);
    for (at, line) in lines.iter().enumerate() {
        let top = HEAD_HEIGHT + ROW_HEIGHT * at as f64;
        if line.is_mean {
            let (x, width) = (8.0, WIDTH - 16.0);
            let _ = writeln!(
                svg,
                "<rect class=\"band\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{ROW_HEIGHT}\"/>"
            );
        }
        let class = if line.is_mean { "mean" } else { "name" };
        let (x, y) = (NAMES_WIDTH + 4.0, top + ROW_HEIGHT / 2.0 + 4.5);
        let _ = writeln!(
            svg,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
            line.name
        );
    }
    for (panel, (title, _)) in MEASURES.iter().enumerate() {
        let left = NAMES_WIDTH + 22.0 + panel as f64 * (PANEL_WIDTH + PANEL_GAP);
        scale(&mut svg, left, bottom, title);
        for (at, line) in lines.iter().enumerate() {
            let y = HEAD_HEIGHT + ROW_HEIGHT * (at as f64 + 0.5);
            dots(&mut svg, left, y, &line.ratios[panel]);
        }
    }
    svg + "</svg>\n"
}

fn lines(rows: &[Row], peers: usize) -> Vec<Line> {
    let mut lines = vec![];
    for group in [Group::Programs, Group::Patterns] {
        let own = || rows.iter().filter(|row| row.workload.group == group);
        if own().next().is_none() {
            continue;
        }
        let means = |of| (1..peers).map(|at| mean(rows, group, at, of)).collect();
        lines.push(Line {
            name: format!("{}, mean", group.name()),
            is_mean: true,
            ratios: MEASURES.map(|(_, of)| means(of)),
        });
        lines.extend(own().map(|row| Line {
            name: row.workload.name.to_string(),
            is_mean: false,
            ratios: MEASURES.map(|(_, of)| (1..peers).map(|at| row.ratio(at, of)).collect()),
        }));
    }
    lines
}

fn legend(svg: &mut String, peers: &[Peer]) {
    let mut x = 24.0;
    for (at, peer) in peers.iter().skip(1).enumerate() {
        dot(svg, x, 26.0, at);
        let class = if at == 0 { "mean" } else { "name" };
        let _ = writeln!(
            svg,
            "<text class=\"{class}\" x=\"{}\" y=\"30.5\">{}</text>",
            x + 11.0,
            peer.name
        );
        x += 44.0 + 7.4 * peer.name.len() as f64;
    }
}

fn scale(svg: &mut String, left: f64, bottom: f64, title: &str) {
    let (middle, top) = (left + PANEL_WIDTH / 2.0, HEAD_HEIGHT - 6.0);
    let _ = writeln!(
        svg,
        "<text class=\"title\" x=\"{middle}\" y=\"62\" text-anchor=\"middle\">{title}</text>"
    );
    for &tick in TICKS {
        let x = left + place(tick);
        let class = if tick == 1.0 { "glibc" } else { "grid" };
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
        );
        for y in [top - 5.0, bottom + 16.0] {
            let _ = writeln!(
                svg,
                "<text class=\"small\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{tick}</text>"
            );
        }
    }
    let (right, low) = (left + PANEL_WIDTH, bottom + 32.0);
    let _ = writeln!(
        svg,
        "<text class=\"small\" x=\"{right}\" y=\"{low}\" text-anchor=\"end\">\u{25b8} = beyond \
         {HIGHEST}; left is better</text>"
    );
}

/// The first peer, which is deadwalk, comes last and so lies on top.
fn dots(svg: &mut String, left: f64, y: f64, ratios: &[Option<f64>]) {
    for (at, ratio) in ratios.iter().enumerate().rev() {
        let Some(ratio) = *ratio else { continue };
        let x = left + place(ratio);
        if (LOWEST..=HIGHEST).contains(&ratio) {
            dot(svg, x, y, at);
            continue;
        }
        let point = if ratio > HIGHEST { 6.0 } else { -6.0 };
        let _ = writeln!(
            svg,
            "<path fill=\"{}\" class=\"dot\" d=\"M{:.1} {y}l{} -5v10z\"><title>{ratio:.2}</title></path>",
            colour(at),
            x + point,
            -2.0 * point
        );
    }
}

/// deadwalk's is larger.
fn dot(svg: &mut String, x: f64, y: f64, at: usize) {
    let (colour, radius) = (colour(at), if at == 0 { 6.5 } else { 4.5 });
    let _ = writeln!(
        svg,
        "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y}\" r=\"{radius}\" fill=\"{colour}\"/>"
    );
}

fn colour(at: usize) -> &'static str {
    COLOURS[at % COLOURS.len()]
}

fn place(ratio: f64) -> f64 {
    let clamped = ratio.clamp(LOWEST, HIGHEST);
    (clamped / LOWEST).ln() / (HIGHEST / LOWEST).ln() * PANEL_WIDTH
}
