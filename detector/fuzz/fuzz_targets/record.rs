//! Feeds the record reader any bytes. Run with
//! `cargo +nightly fuzz run record` in `detector/`.
//!
//! Input of the right magic but another length than a full record is also
//! tried spread over the tables, so that small inputs reach them.

#![no_main]

use deadwalk_detector::record::layout::{FULL_BYTES, MAGIC, VERSION};
use deadwalk_detector::record::reader::Record;
use libfuzzer_sys::fuzz_target;

/// Distance between two pieces of a small input in the spread image: smaller
/// than every table entry, so that every table is hit.
const STRIDE: usize = 4096;

fuzz_target!(|data: &[u8]| {
    check(data);
    check(&spread(data));
});

fn check(bytes: &[u8]) {
    let Ok(record) = Record::parse(bytes) else { return };
    for frame in record.stacks.iter().flatten() {
        assert!(frame.module.is_none_or(|m| m < record.modules.len()));
    }
    for stack in record.findings.iter().flat_map(|f| f.stacks).flatten() {
        assert!(stack < record.stacks.len());
    }
}

/// A full record's size, with a valid start and pieces of `data` all over.
fn spread(data: &[u8]) -> Vec<u8> {
    let mut image = vec![0; FULL_BYTES];
    let pieces = data.chunks(192).cycle().take(if data.is_empty() { 0 } else { usize::MAX });
    for (at, piece) in (0..FULL_BYTES - STRIDE).step_by(STRIDE / 8).zip(pieces) {
        image[at..at + piece.len()].copy_from_slice(piece);
    }
    image[..8].copy_from_slice(&MAGIC);
    image[8..12].copy_from_slice(&VERSION.to_le_bytes());
    image[20..24].copy_from_slice(&1u32.to_le_bytes());
    image
}
