//! Timers: stress-ng's own figure, plain and under deadwalk.

use crate::cost::median;
use crate::peers::Peer;
use deadwalk_tests::find_tool;
use std::path::Path;
use std::process::Command;

/// Operations of a run.
const OPERATIONS: &str = "200000";

/// Timer operations a second, as text; `None` if stress-ng is missing.
pub fn timers(folder: &Path, rounds: usize) -> Option<String> {
    let stress = find_tool("stress-ng")?;
    let peers = [Peer::glibc(), Peer::deadwalk(folder, "")];
    let mut rates = [vec![], vec![]];
    for _ in 0..rounds {
        for (peer, rates) in peers.iter().zip(&mut rates) {
            let mut command = Command::new(&stress);
            command.args(["--timer", "1", "--timer-ops", OPERATIONS, "--metrics-brief"]);
            command.current_dir(folder);
            peer.load_into(&mut command);
            let output = command.output().expect("stress-ng runs");
            let text = [output.stdout, output.stderr].concat();
            let rate = operations_a_second(&String::from_utf8_lossy(&text));
            rates.push(rate.expect("stress-ng prints its figures"));
        }
    }
    let [plain, watched] = rates.map(median);
    Some(format!(
        "`stress-ng --timer 1 --timer-ops {OPERATIONS}`, timer operations a second: plain \
         {plain:.0}, under deadwalk {watched:.0}, ratio {:.2}.\n",
        watched / plain
    ))
}

/// The fifth figure of the line "... timer OPS REAL USR SYS OPS/S ...".
fn operations_a_second(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.split_once("] timer "))?.1;
    line.split_whitespace().nth(4)?.parse().ok()
}
