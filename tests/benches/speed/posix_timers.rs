//! POSIX timers: an arming with its delete, and an expiry, plain and under deadwalk.

use crate::peers::Peer;
use deadwalk_tests::Program;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// The kinds of timers, as the program names them, with what they are, and with what
/// a pair of theirs is.
const KINDS: [(&str, &str, &str); 5] = [
    ("thread", "SIGEV_THREAD", "`timer_settime`, `timer_delete`"),
    ("signal", "SIGEV_SIGNAL", "`timer_settime`, `timer_delete`"),
    ("thread-id", "SIGEV_THREAD_ID", "`timer_settime`, `timer_delete`"),
    ("itimer", "setitimer", "`setitimer`, `setitimer` to zero"),
    ("timerfd", "timerfd", "`timerfd_settime`, `close`"),
];

/// A table of CPU times, as text. Each is the least of interleaved runs: what else
/// the machine does only adds.
pub fn posix_timers(folder: &Path, rounds: usize) -> String {
    let program = Program::with_flags("speed/posix_timers", &["-O2"]);
    let peers = [Peer::glibc(), Peer::deadwalk(folder, "")];
    let measure = |what: &str, kind: &str| {
        let mut least = [f64::INFINITY; 2];
        for _ in 0..rounds {
            for (peer, least) in peers.iter().zip(&mut least) {
                let mut command = Command::new(&program.path);
                command.args([what, kind]);
                peer.load_into(&mut command);
                let output = command.output().expect("the program runs");
                let text = String::from_utf8_lossy(&output.stdout);
                let ns: f64 = text.trim().parse().expect("the program prints a number");
                *least = least.min(ns);
            }
        }
        least
    };
    let mut table = String::from(
        "| | pair | plain, ns | deadwalk, ns | ratio | an expiry, plain, ns | deadwalk, ns | ratio |\n\
         |---|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for (kind, name, pair) in KINDS {
        let _ = write!(table, "| {name} | {pair} |");
        for [plain, watched] in [measure("pair", kind), measure("expiry", kind)] {
            let _ = write!(table, " {plain:.0} | {watched:.0} | {:.2} |", watched / plain);
        }
        table.push('\n');
    }
    table
}
