//! Accesses to freed blocks, by the place that makes them.

use deadwalk_detector::record::layout::{self, StackRole, Verdict};
use deadwalk_detector::{Api, Consequence, Kind};

use super::tests::{report, text};
use crate::test_image::{FindingImage, Image};

/// Adds accesses of a kind at an offset of the program, so many after the free.
fn accesses(image: &mut Image, kind: Kind, at: u64, ages_ns: &[u64]) {
    let access = image.stack(&[layout::pack_frame(0, at)]);
    image.finding(&FindingImage {
        kind,
        consequence: Consequence::None,
        api: Api::Heap,
        verdicts: vec![(Verdict::Error, ages_ns.len() as u32)],
        unresolved: 0,
        stacks: vec![(StackRole::Access, access)],
    });
    image.ages(ages_ns);
}

/// Two places; the first reads and writes.
fn program(pid: u32) -> Image {
    let mut image = Image::new(pid);
    image.module("/opt/app/program", b"\x01", 0x5555_0000_0000);
    accesses(&mut image, Kind::UseAfterFreeRead, 0x1000, &[1_000_000, 3_000_000, 3_000_000]);
    accesses(&mut image, Kind::UseAfterFreeWrite, 0x1000, &[9_000_000_000]);
    accesses(&mut image, Kind::UseAfterFreeRead, 0x2000, &[5_000]);
    image
}

#[test]
fn a_place_s_reads_and_writes_are_one_in_all_processes() {
    let report = report(&[program(1), program(2)]);
    assert_eq!(report.findings.len(), 3);
    for finding in &report.findings {
        let accesses = finding.accesses.as_ref().expect("accesses");
        let ages = &accesses.age_ns;
        let of_first = finding.access["ip"].as_str().is_some_and(|ip| ip.ends_with("1000"));
        let wanted = if of_first { (6, 2, 8) } else { (2, 0, 2) };
        assert_eq!((accesses.reads, accesses.writes, ages.count), wanted);
        assert_eq!((accesses.first_ns, accesses.last_ns), (5_000_000, 9_000_000));
        let wanted = if of_first { (1_000_000, 9_000_000_000) } else { (5_000, 5_000) };
        assert_eq!((ages.min, ages.max), wanted);
    }
}

#[test]
fn they_are_told_in_one_line() {
    let text = text(&[program(1)]);
    let line = "\n  3 reads, 1 write, 1.00 ms to 9.00 s after the free, median ";
    assert_eq!(text.matches(line).count(), 2, "{text}");
    assert!(text.contains("\n  1 read, 5.00 us after the free\n"), "{text}");
}
