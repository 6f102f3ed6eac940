//! Who is compared: allocators and checkers of Debian's packages.

use deadwalk_tests::matrix::{Case, Class};
use deadwalk_tests::{find_tool, skip};
use std::path::{Path, PathBuf};

/// One of the compared.
pub struct Peer {
    /// Its column.
    pub name: &'static str,
    /// Debian's package.
    pub package: &'static str,
    /// How it is run, for people.
    pub run_as: &'static str,
    /// The library to preload.
    pub preload: Option<PathBuf>,
    /// Its settings.
    pub env: &'static [(&'static str, &'static str)],
    /// The command before the program's.
    pub prefix: Vec<String>,
    /// What it says of which class. A text that fits several classes, or the
    /// class of another bug, is taken in its favour where it may be meant.
    pub says: &'static [(&'static str, &'static [Class])],
}

use Class::*;

const GLIBC: &[(&str, &[Class])] = &[
    ("double free", &[DoubleFree]),
    ("invalid pointer", &[InvalidFree]),
    ("invalid size", &[InvalidFree]),
    ("unaligned tcache chunk", &[WriteAfterFree]),
    ("realloc(): invalid", &[]),
    ("corrupted", &[]),
    ("invalid next size", &[]),
    ("malloc(): ", &[]),
    ("munmap_chunk(): ", &[InvalidFree]),
];
const MIMALLOC: &[(&str, &[Class])] = &[
    ("double free detected", &[DoubleFree]),
    ("invalid (unaligned) pointer", &[InvalidFree]),
    ("pointer might not point to a valid heap region", &[InvalidFree]),
    ("buffer overflow in heap block", &[Overflow]),
    ("corrupted", &[]),
    ("mimalloc: error", &[]),
];
const SCUDO: &[(&str, &[Class])] = &[
    ("invalid chunk state when", &[DoubleFree]),
    ("race on chunk header", &[DoubleFree]),
    ("misaligned pointer when", &[InvalidFree]),
    ("allocation type mismatch", &[Mismatch]),
    ("invalid sized delete", &[Mismatch]),
    ("corrupted chunk header", &[]),
    ("Scudo ERROR", &[]),
];
const DUMA: &[(&str, &[Class])] = &[
    ("address not from DUMA or already freed", &[DoubleFree, InvalidFree]),
    ("Free mismatch", &[Mismatch]),
    ("already freed", &[DoubleFree]),
    ("no mans land", &[Overflow, Underflow]),
    ("DUMA Aborting", &[]),
];
const VALGRIND: &[(&str, &[Class])] = &[
    ("Mismatched free()", &[Mismatch]),
    ("Mismatched new/delete size", &[Mismatch]),
    ("Invalid free()", &[InvalidFree]),
    ("Invalid write", &[]),
    ("Invalid read", &[]),
    ("Process terminating", &[]),
];
const ASAN: &[(&str, &[Class])] = &[
    ("attempting double-free", &[DoubleFree]),
    ("attempting free on address", &[InvalidFree]),
    ("bad-free", &[InvalidFree]),
    ("alloc-dealloc-mismatch", &[Mismatch]),
    ("new-delete-type-mismatch", &[Mismatch]),
    ("heap-use-after-free", &[WriteAfterFree, ReadAfterFree]),
    ("heap-buffer-overflow", &[Overflow]),
    ("attempting to call malloc_usable_size", &[]),
    ("ERROR: AddressSanitizer", &[]),
];

impl Peer {
    /// Whether it is deadwalk.
    pub fn is_deadwalk(&self) -> bool {
        self.package == "deadwalk"
    }

    /// Whether a text is a diagnosis of its, and whether it names the class.
    pub fn diagnosis(&self, case: &Case, text: &str) -> (bool, bool) {
        let said: Vec<_> = self.says.iter().filter(|(part, _)| text.contains(part)).collect();
        let mut named = said.iter().any(|(_, classes)| classes.contains(&case.class));
        if self.package == "valgrind" {
            named = memcheck_names(case, text).unwrap_or(named);
        }
        (!said.is_empty(), named)
    }
}

/// memcheck says "Invalid write" and, below it, where the address lies.
fn memcheck_names(case: &Case, text: &str) -> Option<bool> {
    let freed = text.contains("free'd");
    Some(match case.class {
        WriteAfterFree => text.contains("Invalid write") && freed,
        ReadAfterFree => text.contains("Invalid read") && (freed || case.size == 0),
        DoubleFree => text.contains("Invalid free()") && freed,
        Overflow => text.contains("Invalid write") && text.contains("bytes after a block"),
        Underflow => text.contains("Invalid write") && text.contains("bytes before a block"),
        _ => return None,
    })
}

/// Everybody who is installed, deadwalk first.
pub fn peers() -> Vec<Peer> {
    let glibc = || Peer {
        name: "glibc",
        package: "libc6",
        run_as: "as it is",
        preload: None,
        env: &[],
        prefix: vec![],
        says: GLIBC,
    };
    let mut peers = vec![
        Peer {
            name: "deadwalk",
            package: "deadwalk",
            run_as: "`deadwalk run`, rows that say so with `sweep_ms` or `new_delete=on`",
            says: &[],
            ..glibc()
        },
        glibc(),
    ];
    let check = Peer {
        name: "glibc, checking",
        run_as: "`libc_malloc_debug.so.0`, `glibc.malloc.check=3`, `MALLOC_PERTURB_=165`",
        env: &[("GLIBC_TUNABLES", "glibc.malloc.check=3"), ("MALLOC_PERTURB_", "165")],
        ..glibc()
    };
    let mimalloc = Peer {
        name: "mimalloc",
        package: "libmimalloc2.0",
        run_as: "`MIMALLOC_SHOW_ERRORS=1`",
        env: &[("MIMALLOC_SHOW_ERRORS", "1")],
        says: MIMALLOC,
        ..glibc()
    };
    let scudo = Peer {
        name: "scudo",
        package: "libclang-rt-14-dev",
        run_as: "`SCUDO_OPTIONS=dealloc_type_mismatch=true`",
        env: &[("SCUDO_OPTIONS", "dealloc_type_mismatch=true")],
        says: SCUDO,
        ..glibc()
    };
    let duma = Peer { name: "DUMA", package: "duma", says: DUMA, ..glibc() };
    let asan = Peer {
        name: "ASan runtime",
        package: "libasan8",
        run_as: "preloaded, the program not instrumented; `detect_leaks=0`, `allocator_may_return_null=1`",
        env: &[("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1")],
        says: ASAN,
        ..glibc()
    };
    for (peer, library) in [
        (check, "x86_64-linux-gnu/libc_malloc_debug.so.0"),
        (mimalloc, "x86_64-linux-gnu/libmimalloc.so.2"),
        (scudo, "llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.scudo_standalone-x86_64.so"),
        (duma, "libduma.so.0"),
        (asan, "x86_64-linux-gnu/libasan.so.8"),
    ] {
        let library = Path::new("/usr/lib").join(library);
        match library.is_file() {
            true => peers.push(Peer { preload: Some(library), ..peer }),
            false => skip(&format!("{}: {} is not installed", peer.name, library.display())),
        }
    }
    if let Some(valgrind) = find_tool("valgrind") {
        peers.push(Peer {
            name: "memcheck",
            package: "valgrind",
            run_as: "`valgrind -q`",
            prefix: vec![valgrind.display().to_string(), "-q".to_string()],
            says: VALGRIND,
            ..glibc()
        });
    }
    peers
}
