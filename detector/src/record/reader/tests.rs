#[path = "image.rs"]
mod image;

use super::*;
use crate::options::DelPolicy;
use crate::record::crash::{CrashAccess, CrashEntry};
use crate::record::layout::{CLAIMED, FULL_BYTES, HEAD_BYTES, SiteEntry};
use crate::{Api, Consequence, Kind, Op, histogram};
use image::{Image, showit};
use proptest::prelude::*;

fn parse(image: &Image) -> Record {
    Record::parse(&image.bytes).expect("a record")
}

#[test]
fn a_record_without_tables_is_complete() {
    let mut image = Image::new(42);
    image.end(layout::END_EXIT, 3, 7);
    let record = parse(&image);
    assert_eq!(record.problems, Vec::<String>::new());
    assert_eq!((record.process.pid, record.process.end), (42, End::Exit(3)));
    assert_eq!(record.process.exe, "/usr/bin/prog");
    assert_eq!(record.process.argv, ["prog", "--flag", "x y"]);
    assert_eq!(record.process.options, "del=async");
}

#[test]
fn sites_findings_and_stacks_come_back() {
    let record = parse(&showit(1));
    assert_eq!(record.problems, Vec::<String>::new());
    assert_eq!(record.counter(Counter::DelWhileRunning), 100);
    let site = &record.sites[0];
    assert_eq!((site.calls, site.while_running, site.op), (100, 100, Op::TimerDelete));
    assert_eq!(site.windows.iter().map(|w| w.1).sum::<u64>(), 100);
    assert_eq!(site.frame, Frame { module: Some(0), offset: 0x1234 });
    let finding = &record.findings[0];
    assert_eq!(finding.verdicts, [3, 0, 0, 40]);
    let del = finding.stacks[layout::StackRole::Del as usize].expect("a stack");
    assert_eq!(record.stacks[del].len(), 2);
    assert_eq!(record.modules[record.stacks[del][1].module.expect("known")].path, "/lib/libc.so.6");
}

#[test]
fn ages_come_back_with_their_finding() {
    let mut image = showit(1);
    image.ages(&[40, 1_000, 1_000]);
    let record = parse(&image);
    let (last, others) = record.findings.split_last().expect("findings");
    assert_eq!((last.ages.min_ns, last.ages.max_ns), (40, 1_000));
    let buckets = [(histogram::bucket(40), 1), (histogram::bucket(1_000), 2)];
    assert_eq!(last.ages.buckets, buckets);
    assert!(others.iter().all(|finding| finding.ages == Ages::default()));
}

#[test]
fn what_timer_list_adds_comes_back() {
    let mut image = showit(1);
    let site = HEAD_BYTES + offset_of!(layout::BodySegment, sites);
    image.u64(site + offset_of!(SiteEntry, re_deletes), 3);
    image.u64(site + offset_of!(SiteEntry, readds_by_handler), 4);
    image.u64(site + offset_of!(SiteEntry, readds_by_other), 5);
    let finding = HEAD_BYTES + offset_of!(layout::BodySegment, findings);
    let flags = finding + offset_of!(layout::FindingEntry, flags);
    assert!(!parse(&image).findings[0].declared_async);
    image.u32(flags, layout::FLAG_DECLARED_ASYNC);
    let record = parse(&image);
    let site = &record.sites[0];
    assert_eq!((site.re_deletes, site.readds_by_handler, site.readds_by_other), (3, 4, 5));
    assert!(record.findings[0].declared_async && !record.findings[0].late);
}

#[test]
fn classes_and_live_blocks_come_back() {
    let mut image = showit(1);
    image.class(3, [64, 10, 4, 6]);
    image.class(7, [128, 0, 0, 0]);
    // A number that was read in the middle of a step.
    image.class(127, [0, 3, 4, u64::MAX]);
    image.heap_site(layout::pack_frame(0, 0x77), 5, 500);
    image.heap_site(0, 2, 20);
    let half = image.heap_site(layout::pack_frame(0, 0x88), 1, 1);
    image.u32(half, CLAIMED);
    let record = parse(&image);
    let class = |slot_bytes, allocs, frees, live| HeapClass { slot_bytes, allocs, frees, live };
    assert_eq!(record.classes, [class(64, 10, 4, 6), class(0, 3, 4, 0)]);
    let frame = Some(Frame { module: Some(0), offset: 0x77 });
    let site = |frame, blocks, bytes| HeapSite { frame, blocks, bytes };
    assert_eq!(record.heap_sites, [site(frame, 5, 500), site(None, 2, 20)]);
    assert_eq!(record.problems, ["live blocks: 1 left half-written"]);
}

#[test]
fn a_policy_is_one_of_ours_or_not_known() {
    let mut image = Image::new(1);
    let stored: Vec<_> = [0, 1, 2, 3, 4, u32::MAX]
        .into_iter()
        .map(|value| {
            image.u32(offset_of!(layout::HeadSegment, policy), value);
            parse(&image).process.policy
        })
        .collect();
    let [asynchronous, sync, running] = [DelPolicy::Async, DelPolicy::Sync, DelPolicy::Running];
    assert_eq!(stored, [None, Some(asynchronous), Some(sync), Some(running), None, None]);
}

#[test]
fn a_crash_comes_back_with_its_stack() {
    let mut image = showit(1);
    let at = offset_of!(HeadSegment, crash);
    assert_eq!(parse(&image).process.crash, None);
    for (field, value) in [
        (offset_of!(CrashEntry, state), CLAIMED),
        (offset_of!(CrashEntry, signal), 11),
        (offset_of!(CrashEntry, code), -6_i32 as u32),
        (offset_of!(CrashEntry, access), 99),
        (offset_of!(CrashEntry, stack), 1),
    ] {
        image.u32(at + field, value);
    }
    image.u64(at + offset_of!(CrashEntry, addr), 0x6b6b);
    assert_eq!(parse(&image).process.crash, None);
    image.u32(at + offset_of!(CrashEntry, state), layout::READY);
    let crash = parse(&image).process.crash.expect("a crash");
    assert_eq!((crash.signal, crash.code, crash.addr), (11, -6, None));
    assert_eq!((crash.access, crash.poison), (CrashAccess::Unknown, None));
    assert_eq!(crash.stack, Some(0));
    image.u32(at + offset_of!(CrashEntry, has_addr), 1);
    image.u32(at + offset_of!(CrashEntry, stack), 1 << 30);
    let crash = parse(&image).process.crash.expect("a crash");
    assert_eq!((crash.addr, crash.stack), (Some(0x6b6b), None));
}

#[test]
fn what_is_no_record_says_what_it_is() {
    assert_eq!(Record::parse(b""), Err(ReadError::Foreign));
    assert_eq!(Record::parse(b"\x7fELF\x02\x01\x01"), Err(ReadError::Foreign));
    assert_eq!(Record::parse(b"DEADW"), Err(ReadError::TooShort(5)));
    let mut image = showit(1);
    let newer = layout::VERSION + 1;
    image.u32(8, newer);
    assert_eq!(Record::parse(&image.bytes), Err(ReadError::OtherVersion(newer)));
    assert!(ReadError::OtherVersion(newer).to_string().contains("newer"));
    assert_eq!(ReadError::OtherVersion(1).to_string(), "record version 1, this deadwalk reads 7");
    assert_eq!(Record::parse(&image.bytes[..11]), Err(ReadError::TooShort(11)));
}

#[test]
fn half_written_and_damaged_entries_are_skipped_and_counted() {
    let mut image = showit(1);
    let sites = HEAD_BYTES + offset_of!(layout::BodySegment, sites);
    image.u32(sites + size_of::<SiteEntry>(), CLAIMED);
    image.u32(sites + 2 * size_of::<SiteEntry>(), 99);
    let findings = HEAD_BYTES + offset_of!(layout::BodySegment, findings);
    image.put(findings + offset_of!(layout::FindingEntry, kind), &[250]);
    let record = parse(&image);
    assert_eq!((record.sites.len(), record.findings.len()), (1, 0));
    assert_eq!(
        record.problems,
        ["delete sites: 1 left half-written", "delete sites: 1 damaged", "findings: 1 damaged"]
    );
}

#[test]
fn indexes_out_of_range_lead_nowhere() {
    let mut image = showit(1);
    let finding = HEAD_BYTES + offset_of!(layout::BodySegment, findings);
    image.u32(finding + offset_of!(layout::FindingEntry, stacks), 2048);
    image.u32(finding + offset_of!(layout::FindingEntry, stacks) + 4, u32::MAX);
    let site = HEAD_BYTES + offset_of!(layout::BodySegment, sites);
    image.u64(site + offset_of!(SiteEntry, frame), u64::MAX);
    let record = parse(&image);
    assert_eq!(record.findings[0].stacks[..2], [None, None]);
    assert_eq!(record.sites[0].frame, Frame { module: None, offset: 0xffff_ffff_ffff });
}

#[test]
fn a_cut_record_gives_what_lies_before_the_cut() {
    let image = showit(1);
    let in_findings = HEAD_BYTES + offset_of!(layout::BodySegment, findings) + 10;
    let record = Record::parse(&image.bytes[..in_findings]).expect("a record");
    assert_eq!((record.sites.len(), record.findings.len()), (1, 0));
    assert_eq!(
        record.problems,
        [
            "cut off: 512 of 512 entries for findings missing",
            "cut off: 1024 of 1024 entries for live blocks missing"
        ]
    );
    let in_texts = Record::parse(&image.bytes[..FIXED_BYTES + 5]).expect("a record");
    assert_eq!(in_texts.process.exe, "/usr/");
    assert!(!in_texts.problems.is_empty());
}

#[test]
fn the_end_s_position_is_the_layout_s() {
    let mut image = Image::new(1);
    image.u32(END_STATE_AT, layout::END_SIGNAL);
    image.u32(END_CODE_AT, 9);
    image.u64(END_NS_AT, 12);
    let process = parse(&image).process;
    assert_eq!((process.end, process.end_ns), (End::Signal(9), 12));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
        let _ = Record::parse(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_good_start_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..30_000), at in 24usize..FULL_BYTES
    ) {
        let mut image = showit(1);
        let end = (at + bytes.len()).min(FULL_BYTES);
        image.put(at, &bytes[..end - at]);
        let _ = Record::parse(&image.bytes);
    }

    #[test]
    fn a_cut_never_panics_and_is_told(cut in 0..FULL_BYTES) {
        let image = showit(1);
        if let Ok(record) = Record::parse(&image.bytes[..cut]) {
            let complete = cut >= HEAD_BYTES + size_of::<layout::BodySegment>();
            prop_assert_eq!(record.problems.is_empty(), complete);
        }
    }

    #[test]
    fn flipped_bits_never_panic(
        flips in prop::collection::vec((0..FULL_BYTES, 0u8..8), 1..64),
        near in prop::collection::vec((0usize..400, 0u8..8), 0..8)
    ) {
        let mut image = showit(1);
        let tables = [
            offset_of!(layout::BodySegment, modules), offset_of!(layout::BodySegment, sites),
            offset_of!(layout::BodySegment, stacks), offset_of!(layout::BodySegment, findings),
            offset_of!(layout::BodySegment, heap_sites),
        ];
        for (at, bit) in flips {
            image.bytes[at] ^= 1 << bit;
        }
        for (i, (at, bit)) in near.into_iter().enumerate() {
            image.bytes[HEAD_BYTES + tables[i % 5] + at] ^= 1 << bit;
        }
        if let Ok(record) = Record::parse(&image.bytes) {
            let listed = record.heap_sites.iter().filter_map(|site| site.frame.as_ref());
            for frame in record.stacks.iter().flatten().chain(listed) {
                prop_assert!(frame.module.is_none_or(|m| m < record.modules.len()));
            }
            for stack in record.findings.iter().flat_map(|f| f.stacks).flatten() {
                prop_assert!(stack < record.stacks.len());
            }
        }
    }
}
