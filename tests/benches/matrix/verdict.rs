//! One run, judged.

use crate::peers::Peer;
use deadwalk_tests::Severity;
use deadwalk_tests::matrix::{Case, Class, SKIPPED, STATUS, Twin};
use std::process::{Command, Stdio};

/// What `timeout` returns.
const TIMED_OUT: i32 = 124;

/// What came of one case under one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The case could be made.
    pub made: bool,
    /// Something was said, or the program died.
    pub caught: bool,
    /// What was said names the class.
    pub named: bool,
    /// The program went on to its end, unharmed.
    pub survived: bool,
}

/// Runs the case and returns the verdict with what was said.
pub fn judge(peer: &Peer, case: &Case, twin: Twin) -> (Verdict, String) {
    if peer.is_deadwalk() && !case.is_rust() {
        by_report(case, twin)
    } else {
        by_text(peer, case, twin)
    }
}

fn by_report(case: &Case, twin: Twin) -> (Verdict, String) {
    let watched = case.run(twin).watched();
    let found = watched.report.findings();
    let loud = found.iter().any(|finding| finding.severity() > Severity::Info);
    let kinds: Vec<_> = found.iter().map(|finding| finding.kind()).collect();
    let status = watched.outcome.status;
    // Programs that wait for a finding in vain end by their own alarm.
    let waited = status == 128 + libc::SIGALRM;
    let verdict = Verdict {
        made: status != SKIPPED,
        caught: loud || (status != STATUS && !waited),
        named: kinds == [case.class.kind()] && found[0].count() == 1,
        survived: status == STATUS,
    };
    (verdict, format!("{status} {kinds:?}"))
}

fn by_text(peer: &Peer, case: &Case, twin: Twin) -> (Verdict, String) {
    let (status, text) = run(peer, case, twin);
    let (said, named) = match peer.is_deadwalk() {
        true => (!text.is_empty(), text.contains(case.class.kind())),
        false => peer.diagnosis(case, &text),
    };
    let died = status != Some(STATUS);
    let verdict = Verdict {
        made: status != Some(SKIPPED),
        // A request refused with a remark is no misuse caught, nor is a hang.
        caught: (said && case.class != Class::Refused) || (died && status != Some(TIMED_OUT)),
        named,
        survived: !died,
    };
    (verdict, format!("{status:?} {text}"))
}

/// Exit status, `None` if a signal ended it, and standard error.
fn run(peer: &Peer, case: &Case, twin: Twin) -> (Option<i32>, String) {
    let mut words = vec!["timeout".to_string(), "60".to_string()];
    // The preloaded library is the program's, not that of what starts it.
    words.push("env".to_string());
    if let Some(library) = &peer.preload {
        words.push(format!("LD_PRELOAD={}", library.display()));
    }
    words.extend(peer.env.iter().map(|(name, value)| format!("{name}={value}")));
    if case.is_rust() && !peer.is_deadwalk() {
        words.push("HEAP=system".to_string());
    }
    words.extend(peer.prefix.iter().cloned());
    words.extend(case.command(twin));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).env("LIBC_FATAL_STDERR_", "1");
    let output = command.output().expect("timeout is installed");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
