//! Addresses of real compiled files become functions, files and lines. Needs a
//! C compiler; without one the tests say so and pass.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{FindingImage, Image, file, folder, run, status};
use deadwalk_detector::record::layout::{self, StackRole, Verdict};
use deadwalk_detector::{Api, Consequence, Kind};
use object::{Object, ObjectSymbol, SymbolKind};
use serde_json::Value;

/// `target` starts on line 3.
const SOURCE: &[u8] = b"volatile int x;\n\
    static inline __attribute__((always_inline)) void inner(void) { x++; }\n\
    __attribute__((noinline)) void target(void) {\n\
    inner();\n\
    x--;\n\
    }\n\
    int main(void) { target(); return 0; }\n";

/// Compiles [`SOURCE`]; `None` without a compiler.
fn compile(folder: &Path, compiler: &str, options: &[&str]) -> Option<PathBuf> {
    let source = file(folder, "target.c", SOURCE);
    let out = folder.join("out");
    let mut command = Command::new(compiler);
    command.args(["-Wl,--build-id", "-O1"]).args(options).arg(&source).arg("-o").arg(&out);
    match command.status() {
        Ok(status) if status.success() => Some(out),
        _ => {
            eprintln!("skipped: {compiler} {options:?} does not work here");
            None
        }
    }
}

/// Build id, and first and last address of the function whose name has `part`.
fn function(path: &Path, part: &str) -> (Vec<u8>, u64, u64) {
    let bytes = std::fs::read(path).expect("compiled");
    let object = object::File::parse(&*bytes).expect("an ELF file");
    let id = object.build_id().expect("readable").expect("a build id").to_vec();
    let mut symbols = object.symbols().chain(object.dynamic_symbols());
    let symbol = symbols
        .find(|s| s.kind() == SymbolKind::Text && s.name().is_ok_and(|n| n.contains(part)))
        .expect("a symbol");
    (id, symbol.address(), symbol.address() + symbol.size() - 1)
}

/// The frames of a stack in which `path` has these addresses.
fn resolve(path: &Path, build_id: &[u8], addresses: &[u64]) -> (Vec<Value>, Value) {
    let mut image = Image::new(1);
    let module = image.module(path.to_str().expect("plain"), build_id, 0x1000_0000);
    let frames: Vec<_> = addresses.iter().map(|&a| layout::pack_frame(module, a)).collect();
    let stack = image.stack(&frames);
    image.finding(&FindingImage {
        kind: Kind::DoubleFree,
        consequence: Consequence::None,
        api: Api::Heap,
        verdicts: vec![(Verdict::Error, 1)],
        unresolved: 0,
        stacks: vec![(StackRole::Free, stack)],
    });
    let folder = folder();
    let record = file(folder.path(), "1.dwrec", &image.bytes);
    let output = run(&["report".as_ref(), "--format=json".as_ref(), record.as_os_str()]);
    assert_eq!(status(&output), 0);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let frames = report["findings"][0]["stacks"]["free"].as_array().expect("a list").clone();
    (frames, report["symbol_problems"].clone())
}

#[test]
fn executables_and_shared_objects_with_debug_information() {
    for options in [&["-g", "-fPIE", "-pie"][..], &["-g", "-no-pie"], &["-g", "-shared", "-fPIC"]] {
        let folder = folder();
        let Some(out) = compile(folder.path(), "cc", options) else { return };
        let (id, first, _) = function(&out, "target");
        let (frames, problems) = resolve(&out, &id, &[first]);
        assert_eq!(problems, serde_json::json!([]), "{options:?}");
        let last = frames.last().expect("a frame");
        assert_eq!(last["function"], "target", "{options:?}");
        assert!(last["file"].as_str().expect("a file").ends_with("target.c"));
        assert!((3..=6).contains(&last["line"].as_u64().expect("a line")));
        assert_eq!(last["ip"], format!("{:#x}", first + 0x1000_0000));
    }
}

#[test]
fn inlined_functions_are_frames_of_their_own() {
    let folder = folder();
    let Some(out) = compile(folder.path(), "cc", &["-g"]) else { return };
    let (id, first, last) = function(&out, "target");
    let every: Vec<u64> = (first..=last).collect();
    let (frames, _) = resolve(&out, &id, &every[..every.len().min(layout::STACK_DEPTH)]);
    let inner = frames.iter().position(|f| f["function"] == "inner").expect("inlined code");
    assert_eq!(frames[inner]["inlined"], true);
    assert_eq!(frames[inner]["line"], 2);
    assert_eq!(frames[inner + 1]["function"], "target");
    assert_eq!(frames[inner + 1]["line"], 4);
}

#[test]
fn stripped_files_give_exported_symbols_only() {
    let folder = folder();
    let Some(out) = compile(folder.path(), "cc", &["-s", "-shared", "-fPIC"]) else { return };
    let (id, first, last) = function(&out, "target");
    let (frames, _) = resolve(&out, &id, &[first, last + 0x100_0000]);
    assert_eq!(frames[0]["function"], "target");
    assert_eq!(frames[0].get("file"), None);
    assert_eq!(frames[1].get("function"), None);
    let nearest = frames[1]["nearest_symbol"].as_str().expect("a symbol");
    assert!(nearest.contains("+0x"), "{nearest}");
    let (frames, problems) = resolve(&out, b"another build", &[first]);
    assert_eq!(frames[0].get("function"), None);
    assert!(problems[0].as_str().expect("a line").contains("build id differs"));
}

#[test]
fn names_of_cxx_are_readable() {
    let folder = folder();
    let Some(out) = compile(folder.path(), "c++", &["-x", "c++", "-g0"]) else { return };
    let (id, first, _) = function(&out, "target");
    let (frames, _) = resolve(&out, &id, &[first]);
    assert_eq!(frames[0]["function"], "target()");
}

#[test]
fn debug_information_may_be_compressed_and_of_other_versions() {
    for options in [&["-gdwarf-4"][..], &["-gdwarf-5"], &["-g", "-gz=zlib"]] {
        let folder = folder();
        let Some(out) = compile(folder.path(), "cc", options) else { continue };
        let (id, first, _) = function(&out, "target");
        let (frames, _) = resolve(&out, &id, &[first]);
        assert!(frames[0]["line"].as_u64().is_some(), "{options:?}: {frames:?}");
    }
}
