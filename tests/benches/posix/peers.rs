//! Other checkers: who they are, and what they say of a program.

use crate::score::Said;
use deadwalk_tests::posix::{Api, Variant};
use deadwalk_tests::{find_tool, skip};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// Longest run under a checker: some programs deadlock under it and never end.
const LIMIT_S: &str = "30";

/// Gates that only direct the race are no synchronisation: see `timers.h`.
const UNSEEN: &str = "-DUNSEEN";

/// A checker.
pub struct Peer {
    /// Its column.
    pub name: &'static str,
    /// How it is run, for people.
    pub run_as: &'static str,
    /// What the program is compiled with.
    pub flags: &'static [&'static str],
    /// The command before the program's.
    prefix: &'static [&'static str],
    /// Its words, worst first, and what they are called in the table.
    says: &'static [(&'static str, &'static str)],
}

const ASAN: &[(&str, &str)] = &[
    ("heap-use-after-free", "use after free"),
    ("attempting double-free", "double free"),
    ("AddressSanitizer: SEGV", "SEGV"),
    ("ERROR: AddressSanitizer", "error"),
];
const TSAN: &[(&str, &str)] = &[
    ("heap-use-after-free", "use after free"),
    ("race on", "race"),
    ("data race", "race"),
    ("double lock", "lock"),
    ("destroy of a locked mutex", "lock"),
    ("lock-order-inversion", "lock"),
    ("ThreadSanitizer: SEGV", "SEGV"),
    ("signal-unsafe call", "signal-unsafe call"),
    ("WARNING: ThreadSanitizer", "warning"),
];
const HELGRIND: &[(&str, &str)] = &[
    ("Possible data race", "race"),
    ("destroy of a locked mutex", "lock"),
    ("pthread_mutex_lock: mutex is invalid", "lock"),
    ("lock order", "lock"),
    ("call to pthread", "misuse of pthread"),
    ("Process terminating", "SEGV"),
];
const MEMCHECK: &[(&str, &str)] = &[
    ("Invalid free", "double free"),
    ("Invalid write", "invalid write"),
    ("Invalid read", "invalid read"),
    ("Jump to the invalid address", "SEGV"),
    ("Process terminating with default action of signal 11", "SEGV"),
];

impl Peer {
    /// Runs the program once.
    pub fn run(&self, variant: &Variant, api: Api) -> Said {
        let output = Command::new("timeout")
            .args(["-k", "1", LIMIT_S])
            .args(self.prefix)
            .args(variant.command(api, self.flags))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()
            .expect("timeout is installed");
        let text = String::from_utf8_lossy(&output.stderr);
        let said = self.says.iter().find(|(part, _)| text.contains(part));
        // timeout ends by the signal that ended its child, or with 128 more.
        let is_crash = output.status.signal() == Some(libc::SIGSEGV)
            || output.status.code() == Some(128 + libc::SIGSEGV);
        match said {
            Some((_, name)) => Said::This(name),
            None if is_crash => Said::Crashed,
            None => Said::Nothing,
        }
    }
}

/// Those that are installed.
pub fn peers() -> Vec<Peer> {
    let mut peers = vec![];
    for peer in [
        Peer {
            name: "ASan",
            run_as: "gcc's, `-fsanitize=address`",
            flags: &[UNSEEN, "-fsanitize=address"],
            prefix: &["env", "ASAN_OPTIONS=detect_leaks=0"],
            says: ASAN,
        },
        Peer {
            name: "TSan",
            run_as: "gcc's, `-fsanitize=thread`",
            flags: &[UNSEEN, "-fsanitize=thread"],
            // It does not cope with random addresses of newer kernels.
            prefix: &["setarch", "-R"],
            says: TSAN,
        },
    ] {
        match links(peer.flags) {
            true => peers.push(peer),
            false => skip(&format!("{}: the compiler has no {:?}", peer.name, peer.flags)),
        }
    }
    if find_tool("valgrind").is_some() {
        peers.push(Peer {
            name: "Helgrind",
            run_as: "`valgrind --tool=helgrind --free-is-write=yes`",
            flags: &[UNSEEN],
            prefix: &["valgrind", "-q", "--tool=helgrind", "--free-is-write=yes"],
            says: HELGRIND,
        });
        peers.push(Peer {
            name: "memcheck",
            run_as: "`valgrind`",
            flags: &[UNSEEN],
            prefix: &["valgrind", "-q"],
            says: MEMCHECK,
        });
    }
    peers
}

/// Whether the compiler makes programs with those flags.
fn links(flags: &[&str]) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = folder.path().join("empty.c");
    std::fs::write(&source, "int main(void) { return 0; }\n").expect("a temporary file");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_string());
    let made = Command::new(compiler)
        .args(flags)
        .arg(&source)
        .arg("-o")
        .arg(folder.path().join("empty"))
        .stderr(Stdio::null())
        .status();
    made.is_ok_and(|status| status.success())
}
