//! Who is compared: allocators and checkers of Debian's packages, preloaded.

use crate::arguments::Arguments;
use deadwalk_tests::{Target, skip};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rounds of those that take several times as long as the others.
const SLOW_ROUNDS: usize = 1;

/// One of the compared.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its column, and its name on the command line.
    pub name: &'static str,
    /// Debian's package.
    pub package: &'static str,
    /// How it is run, for people.
    pub run_as: &'static str,
    /// What is preloaded.
    pub preload: Option<PathBuf>,
    /// Its settings.
    pub env: Vec<(&'static str, String)>,
    /// Takes several times as long as the others: fewer rounds.
    pub slow: bool,
}

impl Peer {
    /// glibc as it is, which everybody is compared with.
    pub fn glibc() -> Peer {
        Peer {
            name: "glibc",
            package: "libc6",
            run_as: "as it is",
            preload: None,
            env: vec![],
            slow: false,
        }
    }

    /// deadwalk with its record in `folder` and further options.
    pub fn deadwalk(folder: &Path, options: &str) -> Peer {
        Peer {
            name: "deadwalk",
            package: "deadwalk",
            run_as: "default options",
            preload: Some(Target::get().library()),
            env: vec![("DEADWALK_OPTIONS", format!("output='{}':{options}", folder.display()))],
            slow: false,
        }
    }

    /// Preloads it, for a program that is linked with libc's malloc.
    pub fn load_into(&self, command: &mut Command) {
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
    }

    /// Of so many rounds, how many are its own.
    pub fn rounds(&self, rounds: usize) -> usize {
        if self.slow { rounds.min(SLOW_ROUNDS) } else { rounds }
    }
}

/// glibc, deadwalk, and of the others who is wanted and installed.
pub fn peers(folder: &Path, arguments: &Arguments) -> Vec<Peer> {
    let mut peers = vec![Peer::glibc(), Peer::deadwalk(folder, "")];
    for (peer, library) in others() {
        if !arguments.wants_peer(peer.name) {
            continue;
        }
        let library = Path::new("/usr/lib").join(library);
        match library.is_file() {
            true => peers.push(Peer { preload: Some(library), ..peer }),
            false => skip(&format!("{}: {} is not installed", peer.name, library.display())),
        }
    }
    peers
}

fn others() -> Vec<(Peer, &'static str)> {
    let plain = |name, package| Peer { name, package, run_as: "preloaded", ..Peer::glibc() };
    let slow = |peer, run_as, env: &[(&'static str, &str)]| Peer {
        run_as,
        env: env.iter().map(|(name, value)| (*name, value.to_string())).collect(),
        slow: true,
        ..peer
    };
    vec![
        (plain("mimalloc", "libmimalloc2.0"), "x86_64-linux-gnu/libmimalloc.so.2"),
        (plain("jemalloc", "libjemalloc2"), "x86_64-linux-gnu/libjemalloc.so.2"),
        (plain("tcmalloc", "libtcmalloc-minimal4"), "x86_64-linux-gnu/libtcmalloc_minimal.so.4"),
        (
            plain("scudo", "libclang-rt-14-dev"),
            "llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.scudo_standalone-x86_64.so",
        ),
        (
            slow(
                plain("glibc-checking", "libc6"),
                "`libc_malloc_debug.so.0`, `glibc.malloc.check=3`, `MALLOC_PERTURB_=165`",
                &[("GLIBC_TUNABLES", "glibc.malloc.check=3"), ("MALLOC_PERTURB_", "165")],
            ),
            "x86_64-linux-gnu/libc_malloc_debug.so.0",
        ),
        (
            slow(
                plain("asan-runtime", "libasan8"),
                "preloaded, the program not instrumented; `detect_leaks=0`",
                &[("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1")],
            ),
            "x86_64-linux-gnu/libasan.so.8",
        ),
    ]
}
