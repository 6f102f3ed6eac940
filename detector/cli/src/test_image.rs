//! The record images of the reader's tests, for the tests of the command.

#![allow(dead_code, missing_docs)]

use core::mem::offset_of;

use deadwalk_detector::counters::Counter;
use deadwalk_detector::record::layout::{self, StackRole, Verdict};
use deadwalk_detector::{Api, Consequence, Kind, Op, histogram};

#[path = "../../src/record/reader/image.rs"]
mod image;

pub use image::*;

/// A program with a timer_list: a waiting delete site, and a handler that frees
/// its own timer at two places.
pub fn driver(pid: u32) -> Image {
    let mut image = Image::new(pid);
    image.end(layout::END_EXIT, 0, 1_500_000_000);
    image.counter(Counter::TimersInited, 9);
    image.counter(Counter::DelCalls, 20);
    image.counter(Counter::DelSyncWaits, 6);
    let module = image.module("/opt/app/driver", b"\x01\x02\x03", 0x5555_0000_0000);
    let frame = |offset| layout::pack_frame(module, offset);
    let site = image.site(&SiteImage {
        op: Op::DelTimerSync,
        frame: frame(0x1234),
        handler: frame(0x1100),
        calls: 20,
        while_running: 0,
        consequence: Consequence::None,
        windows_ns: vec![],
    });
    image.put(site + offset_of!(layout::SiteEntry, api), &[Api::TimerList as u8]);
    for (at, value) in [
        (offset_of!(layout::SiteEntry, sync_waits), 6),
        (offset_of!(layout::SiteEntry, sync_wait_max_ns), 2_000),
        (offset_of!(layout::SiteEntry, re_deletes), 3),
        (offset_of!(layout::SiteEntry, readds_by_handler), 4),
        (offset_of!(layout::SiteEntry, readds_by_other), 5),
    ] {
        image.u64(site + at, value);
    }
    let handler = image.stack(&[frame(0x1100)]);
    for (free, count) in [(0x1180, 2), (0x1190, 7)] {
        let free = image.stack(&[frame(free), frame(0x1150)]);
        let stacks = vec![(StackRole::Handler, handler), (StackRole::Free, free)];
        timer_list_finding(&mut image, Kind::FreeOwnHandler, &[(Verdict::Info, count)], stacks);
    }
    image
}

/// Adds a finding on the timer_list at 0x7f0000001010, in a block of 96 bytes
/// that was freed 1.5 us before; where its entry lies.
pub fn timer_list_finding(
    image: &mut Image,
    kind: Kind,
    verdicts: &[(Verdict, u32)],
    stacks: Vec<(StackRole, usize)>,
) -> usize {
    let at = image.finding(&FindingImage {
        kind,
        consequence: Consequence::None,
        api: Api::TimerList,
        verdicts: verdicts.to_vec(),
        unresolved: 0,
        stacks,
    });
    for (field, value) in [
        (offset_of!(layout::FindingEntry, addr), 0x7f00_0000_1010),
        (offset_of!(layout::FindingEntry, base), 0x7f00_0000_1000),
        (offset_of!(layout::FindingEntry, size), 96),
        (offset_of!(layout::FindingEntry, offset), 16),
        (offset_of!(layout::FindingEntry, age_ns), 1_500),
    ] {
        image.u64(at + field, value);
    }
    at
}
