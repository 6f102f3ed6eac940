use core::mem::offset_of;

use deadwalk_detector::counters::Counter;
use deadwalk_detector::record::layout::{self, BodySegment, StackRole, Verdict};
use deadwalk_detector::record::reader::Record;
use deadwalk_detector::{Api, Consequence, Kind};
use proptest::prelude::*;

use super::render;
use super::sites::histogram;
use crate::collect::Merged;
use crate::report::model::Window;
use crate::report::{Report, build, json};
use crate::test_image::{FindingImage, Image, showit};

proptest! {
    #[test]
    fn damaged_records_make_a_report(
        stores in prop::collection::vec((24usize..layout::FULL_BYTES, any::<[u8; 8]>()), 0..200),
        near in prop::collection::vec((0usize..1_200, any::<[u8; 8]>()), 0..40)
    ) {
        let mut image = showit(1);
        let tables = [
            offset_of!(BodySegment, modules),
            offset_of!(BodySegment, sites),
            offset_of!(BodySegment, stacks),
            offset_of!(BodySegment, findings),
            offset_of!(BodySegment, ages),
            offset_of!(BodySegment, heap_sites),
        ];
        let near = near.into_iter().enumerate().map(|(i, (at, bytes))| {
            (layout::HEAD_BYTES + tables[i % tables.len()] + at, bytes)
        });
        for (at, bytes) in stores.into_iter().chain(near) {
            let at = at.min(layout::FULL_BYTES - bytes.len());
            image.put(at, &bytes);
        }
        let Ok(record) = Record::parse(&image.bytes) else { return Ok(()) };
        let mut merged = Merged::default();
        merged.add(&record);
        merged.add(&record);
        merged.finish();
        let report = build(&merged);
        let text = render(&report, false);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json(&report)).is_ok());
    }
}

pub(super) fn report(images: &[Image]) -> Report {
    let mut merged = Merged::default();
    for image in images {
        merged.add(&Record::parse(&image.bytes).expect("a record"));
    }
    merged.finish();
    build(&merged)
}

pub(super) fn text(images: &[Image]) -> String {
    render(&report(images), false)
}

#[track_caller]
pub(super) fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn the_first_screen_answers_the_question() {
    let text = text(&[showit(1)]);
    assert_has(
        &text,
        &[
            "== deadwalk: prog --flag x y\n",
            "100 of 100 delete calls (100.0 %, 95 % CI 96.3-100.0) landed while the handler was running.",
            "timer_delete at showit+0x1234",
            "handler: showit+0x1100",
            "data-freed",
            "Findings: 1 error (40 times), 0 warnings, 1 info (3 times).",
            "pid 1        prog                               exit 0 after 1.50 s, 100 of 100 landed",
        ],
    );
    assert!(text.find("100 of 100").expect("there") < text.find("error:").expect("there"));
}

#[test]
fn stacks_stand_in_order_and_infos_on_a_line() {
    let text = text(&[showit(1)]);
    assert_has(
        &text,
        &[
            "error: del-while-running (data-freed), 40 times",
            "the delete returned while the handler ran on another thread; its data was freed",
            "  delete   showit+0x1234\n           libc.so.6+0x2724a\n  handler  showit+0x1100\n  free     showit",
            "  advice   the delete does not wait",
            "info: del-while-running (data-freed), 3 times, in the handler's last instructions\n        showit+0x1234",
        ],
    );
}

#[test]
fn lines_fit_and_have_no_colours_unless_asked() {
    let report = report(&[showit(1)]);
    let plain = render(&report, false);
    assert!(!plain.contains('\x1b'));
    for line in plain.lines() {
        assert!(line.chars().count() <= super::WIDTH, "{line}");
    }
    let coloured = render(&report, true);
    assert!(coloured.contains("\x1b[1;31merror"));
}

#[test]
fn a_quiet_program_and_dropped_things_are_told() {
    let mut image = Image::new(1);
    image.counter(Counter::DroppedChildren, 2);
    image.counter(Counter::DroppedTimers, 1);
    let text = text(&[image]);
    assert_has(
        &text,
        &[
            "No delete of a timer was seen.",
            "not seen:\n  1 timer found no place",
            "2 child processes could not write a record",
            "end not recorded",
        ],
    );
}

#[test]
fn the_heap_s_numbers_are_told() {
    let mut image = Image::new(1);
    for (class, cells) in
        [[32, 9, 2, 7], [4096, 3, 0, 3], [48, 5, 5, 0], [0, 1, 0, 1]].into_iter().enumerate()
    {
        image.class(class, cells);
    }
    for (counter, value) in [
        (Counter::HeapRepeatedMisuses, 2),
        (Counter::HeapUntoldMisuses, 1),
        (Counter::HeapSignalCalls, 3),
    ] {
        image.counter(counter, value);
    }
    assert_has(
        &text(&[image]),
        &[
            "  live at the end: 11 blocks; by slot: 1 mapped directly, 3 of 4.0 KiB, 7 of 32 B\n",
            "  2 further misuses of objects of which one had been reported\n",
            "not seen:\n  1 misuse of the heap came too many at once to be described\n",
            "  3 heap calls by signal handlers that had interrupted the heap\n",
        ],
    );
    let quiet = text(&[Image::new(1)]);
    assert!(!quiet.contains("live at") && !quiet.contains("misuse"), "{quiet}");
}

#[test]
fn live_blocks_are_listed_by_site() {
    let listing = |pid: u32| {
        let mut image = Image::new(pid);
        let module = image.module("/opt/app/prog", b"\x01", u64::from(pid) << 32);
        for at in 0..25 {
            image.heap_site(layout::pack_frame(module, 0x100 + at), 2, 1000 - at);
        }
        image.heap_site(0, 7, 990);
        image
    };
    let text = text(&[listing(1), listing(2)]);
    assert_has(
        &text,
        &[
            "live at exit: 114 blocks, 51,380 bytes, at 25 sites\n",
            "\n        4      2,000  prog+0x100\n",
            "\n       14      1,980  elsewhere\n        4      1,980  prog+0x10a\n",
            "  and 6 more sites: see the JSON report\n",
        ],
    );
}

#[test]
fn names_from_the_record_cannot_reach_the_terminal() {
    let mut image = Image::new(1);
    let module = image.module("/tmp/\x1b[31mred\u{202e}", b"", 0);
    let stack = image.stack(&[layout::pack_frame(module, 1)]);
    image.finding(&FindingImage {
        kind: Kind::DoubleFree,
        consequence: Consequence::None,
        api: Api::Heap,
        verdicts: vec![(Verdict::Error, 1)],
        unresolved: 0,
        stacks: vec![(StackRole::Access, stack)],
    });
    image.put(std::mem::offset_of!(layout::HeadSegment, argv), b"\x1b]0;title\x07");
    let report = report(&[image]);
    let text = render(&report, false);
    assert!(!text.contains('\x1b') && !text.contains('\u{202e}') && !text.contains('\x07'));
    assert_has(&text, &["\\x1b[31mred\\u{202e}+0x1", "\\x1b]0;title\\x07"]);
    let json = crate::report::json(&report);
    assert!(!json.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'));
}

#[test]
fn many_processes_are_summed_and_listed_briefly() {
    let images: Vec<Image> = (1..=15).map(showit).collect();
    let text = text(&images);
    assert_has(&text, &["1,500 of 1,500 delete calls", "15 records", "and 5 more\n"]);
    assert_eq!(text.matches("timer_delete at").count(), 1);
}

#[test]
fn the_histogram_spans_the_windows() {
    let window = |buckets: Vec<[u64; 3]>| Window {
        count: 1,
        min: 0,
        p50: 0,
        p90: 0,
        p99: 0,
        max: 0,
        buckets,
    };
    assert_eq!(histogram(&window(vec![])), "");
    assert_eq!(histogram(&window(vec![[1024, 1152, 9]])), "1.02 us █ 1.15 us");
    let two = histogram(&window(vec![[1024, 1152, 1], [4096, 4608, 8]]));
    assert_eq!(two, "1.02 us ▁··············█ 4.61 us");
    let far = histogram(&window(vec![[0, 8, 1], [1 << 36, (1 << 36) + (1 << 33), 1]]));
    assert!(far.chars().count() < 40, "{far}");
}
