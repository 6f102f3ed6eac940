//! What a program asks of its heap: sensible numbers, well-formed text.

use deadwalk_tests::{Program, Run, find_tool};
use std::process::Command;

/// The numbers add up, with deadwalk and without; what `malloc_trim` releases is
/// released; answers of functions without effect are libc's.
#[test]
fn answers_are_sensible() {
    // One arena, as here.
    let run = Run::of(&Program::new("malloc_info")).env("MALLOC_ARENA_MAX", "1");
    let plain = run.plain().assert_status(0);
    assert!(!plain.stdout.contains(" NO\n"), "{}", plain.stdout);
    let watched = run.env("WATCHED", "1").watched();
    assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
    assert!(!watched.outcome.stdout.contains(" NO\n"), "{}", watched.outcome.stdout);
    let common = |line: &&str| !line.contains("yes");
    let (ours, libcs) = (watched.outcome.stdout.lines(), plain.stdout.lines());
    assert!(ours.filter(common).eq(libcs.filter(common)), "{}", watched.outcome.stdout);
    watched.report.assert_clean();

    let words = |text: &str| -> Vec<String> {
        let words = text.lines().map(|line| line.trim_end_matches(|c: char| c.is_ascii_digit()));
        words.map(|line| line.trim_end().to_string()).collect()
    };
    assert_eq!(words(&watched.outcome.stderr), words(&plain.stderr), "malloc_stats");
}

#[test]
fn malloc_info_is_xml() {
    let Some(python) = find_tool("python3") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("info.xml");
    Run::of(&Program::new("malloc_info")).env("XML", &file).watched();
    let check = r#"
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == "malloc" and root.get("version") == "1", root
assert root.find("heap/sizes") is not None
for part in [root, root.find("heap")]:
    size = {(e.tag, e.get("type")): int(e.get("size")) for e in part if "type" in e.keys()}
    assert size["system", "current"] >= size["total", "rest"] > 0, size
for slot in root.find("heap/sizes"):
    assert int(slot.get("to")) * int(slot.get("count")) == int(slot.get("total")), slot.attrib
"#;
    let output = Command::new(python).args(["-c", check]).arg(&file).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
