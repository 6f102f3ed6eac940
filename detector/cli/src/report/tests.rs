use deadwalk_detector::record::layout::{self, END_NONE, StackRole, Verdict};
use deadwalk_detector::record::reader::Record;
use deadwalk_detector::{Api, Consequence, Kind};
use serde_json::{Value, json};

use super::build;
use crate::collect::Merged;
use crate::test_image::{FindingImage, Image, showit};

pub(super) fn report(images: &[Image]) -> Value {
    let mut merged = Merged::default();
    for image in images {
        merged.add(&Record::parse(&image.bytes).expect("a record"));
    }
    merged.finish();
    serde_json::from_str(&super::json(&build(&merged))).expect("JSON")
}

#[test]
fn the_schema_s_fields_are_all_there() {
    let report = report(&[showit(1)]);
    assert_eq!(report["schema"], "deadwalk.report/1");
    let has = |value: &Value, names: &str| {
        for name in names.split(' ') {
            assert!(value.get(name).is_some(), "{name} is not in {value:#}");
        }
    };
    has(&report, "schema processes totals del_sites findings problems");
    let process = &report["processes"][0];
    has(process, "pid parent_pid exe argv start_unix_ns duration_ns ended code options dropped");
    has(&process["dropped"], "events sites timers children");
    has(&report["totals"]["timers"], "inited armed expired refused_at_expiry handlers_run");
    has(&report["totals"]["timers"], "pending_at_end auto_detached fields_changed trashed");
    has(&report["totals"]["timers"], "provoked healed invariant_ok");
    has(&report["totals"]["timers"]["trashed"], "freed uninit copied wiped clobbered");
    has(&report["totals"]["del"], "calls returned_pending while_running self sync_waits");
    has(&report["totals"]["del"], "re_deletes readds_by_handler readds_by_other");
    has(&report["totals"]["heap"], "allocs frees live_bytes peak_live_bytes poisoned_bytes");
    has(&report["totals"]["heap"], "verified_bytes quarantined_bytes retired_slots");
    has(&report["totals"]["heap"], "repeated_misuses untold_misuses signal_calls guard_pages");
    has(&report, "heap_sites");
    let site = &report["del_sites"][0];
    has(site, "api op site handlers calls returned_pending while_running in_tail self");
    has(site, "sync_waits sync_wait_ns re_deletes readds_by_handler readds_by_other");
    has(site, "rate rate_ci95 window_ns consequences");
    has(&site["window_ns"], "count min p50 p90 p99 max buckets");
    let finding = &report["findings"][0];
    has(finding, "kind severity api policy consequence count tail declared_async subject access");
    has(finding, "first_ns last_ns pid threads message advice detected stacks");
    has(&finding["stacks"], "del handler arm alloc free access");
    has(&finding["stacks"]["del"][0], "ip module offset");
    assert_eq!(finding["stacks"]["arm"], json!([]));
}

#[test]
fn numbers_are_the_record_s() {
    let report = report(&[showit(1)]);
    let site = &report["del_sites"][0];
    assert_eq!((&site["op"], &site["api"]), (&json!("timer_delete"), &json!("posix")));
    assert_eq!(site["rate"], 1.0);
    assert_eq!(site["consequences"]["data-freed"], 100);
    assert_eq!(site["site"]["ip"], "0x555500001234");
    assert_eq!(site["site"]["offset"], "0x1234");
    let window = &site["window_ns"];
    assert_eq!((&window["count"], &window["min"]), (&json!(100), &json!(900_000)));
    let p50 = window["p50"].as_u64().expect("a number");
    assert!((1_000_000..1_300_000).contains(&p50), "{p50}");
    let sum: u64 = window["buckets"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|b| b[2].as_u64().expect("a count"))
        .sum();
    assert_eq!(sum, 100);
}

#[test]
fn a_finding_is_split_by_severity_and_tail() {
    let mut image = Image::new(1);
    image.finding(&FindingImage {
        kind: Kind::DelWhileRunning,
        consequence: Consequence::None,
        api: Api::Posix,
        verdicts: vec![(Verdict::Tail, 1), (Verdict::Info, 2), (Verdict::Warning, 3)],
        unresolved: 4,
        stacks: vec![],
    });
    let report = report(&[image]);
    let rows: Vec<_> = report["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| (f["severity"].as_str().expect("text"), f["tail"] == true, f["count"].as_u64()))
        .collect();
    assert_eq!(
        rows,
        [("warning", false, Some(7)), ("info", false, Some(2)), ("info", true, Some(1))]
    );
    assert_eq!(report["findings"][0]["unresolved"], 4);
}

#[test]
fn sites_and_findings_of_the_same_place_become_one() {
    let mut other = showit(2);
    // Another load address: the place in the file is what counts.
    let bias = std::mem::offset_of!(layout::ModuleEntry, bias);
    let modules = layout::HEAD_BYTES + std::mem::offset_of!(layout::BodySegment, modules);
    other.u64(modules + bias, 0x6666_0000_0000);
    let report = report(&[showit(1), other]);
    assert_eq!(report["del_sites"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["del_sites"][0]["calls"], 200);
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["findings"][0]["count"], 80);
    assert_eq!(report["totals"]["del"]["while_running"], 200);
}

#[test]
fn classes_are_added_up_by_slot_size() {
    let mut images = [Image::new(1), Image::new(2)];
    images[0].class(0, [16, 10, 4, 6]);
    images[1].class(3, [16, 1, 1, 0]);
    images[1].class(5, [0, u64::MAX, 0, 1]);
    images[0].class(6, [0, 5, 0, 1]);
    let report = report(&images);
    assert_eq!(
        report["totals"]["heap"]["classes"],
        json!([
            { "slot_bytes": 0, "allocs": u64::MAX, "frees": 0, "live": 2 },
            { "slot_bytes": 16, "allocs": 11, "frees": 5, "live": 6 },
        ])
    );
}

#[test]
fn live_blocks_of_all_processes_are_added_up_by_site() {
    let mut images = [Image::new(1), Image::new(2)];
    for (number, image) in images.iter_mut().enumerate() {
        let module = image.module("/opt/app/prog", b"\x01", (number as u64) << 32);
        image.heap_site(layout::pack_frame(module, 0x10), 1, 10);
        image.heap_site(layout::pack_frame(module, 0x20), 2, 200);
    }
    images[0].heap_site(0, 4, 50);
    let report = report(&images);
    let sites = report["heap_sites"].as_array().expect("a list");
    let row = |site: &Value| {
        (site["site"]["offset"].clone(), site["blocks"].clone(), site["bytes"].clone())
    };
    let rows: Vec<_> = sites.iter().map(row).collect();
    let expected = [("0x20", 4, 400), ("0x0", 4, 50), ("0x10", 2, 20)];
    assert_eq!(rows, expected.map(|(at, blocks, bytes)| (json!(at), json!(blocks), json!(bytes))));
}

#[test]
fn the_documentation_names_every_kind() {
    let text = include_str!("../../../../docs/findings.md");
    let missing = Kind::ALL.iter().find(|kind| !text.contains(&format!("`{}`", kind.name())));
    assert_eq!(missing, None);
}

#[test]
fn counts_saturate() {
    let mut image = showit(1);
    for counter in deadwalk_detector::counters::Counter::ALL {
        image.counter(*counter, u64::MAX);
    }
    let report = report(&[showit(2), image]);
    assert_eq!(report["totals"]["del"]["calls"], u64::MAX);
}

#[test]
fn a_process_replaced_by_exec_is_told_apart() {
    let mut later = Image::new(5);
    later.u64(std::mem::offset_of!(layout::HeadSegment, start_mono_ns), 5_000);
    later.u64(std::mem::offset_of!(layout::HeadSegment, start_unix_ns), 1_800_000_000_000_000_000);
    later.end(END_NONE, 0, 0);
    let report = report(&[later, Image::new(5)]);
    let (first, second) = (&report["processes"][0], &report["processes"][1]);
    assert_eq!((&first["ended"], &first["replaced_by_exec"]), (&json!("unknown"), &json!(true)));
    assert_eq!(first["duration_ns"], 4_000);
    assert_eq!(second["replaced_by_exec"], false);
}

#[test]
fn a_living_process_is_running() {
    let pid = std::process::id();
    let mut image = Image::new(pid);
    let ticks = crate::collect::start_ticks(pid).expect("this process lives");
    image.u64(std::mem::offset_of!(layout::HeadSegment, process_start_ticks), ticks);
    assert_eq!(report(&[image])["processes"][0]["ended"], "running");
}

#[test]
fn own_code_is_resolved_to_function_file_and_line() {
    let path = std::env::current_exe().expect("a path");
    let id = build_id_of(&path);
    let text = path.to_str().expect("a plain path");
    let mut image = Image::new(1);
    let (module, rebuilt) = (image.module(text, &id, 0), image.module(text, b"another", 0));
    let entry = entry_of(&path, "entry_of");
    let stack =
        image.stack(&[layout::pack_frame(module, entry), layout::pack_frame(rebuilt, entry)]);
    image.finding(&FindingImage {
        kind: Kind::StaleHandle,
        consequence: Consequence::None,
        api: Api::Posix,
        verdicts: vec![(Verdict::Error, 1)],
        unresolved: 0,
        stacks: vec![(StackRole::Handler, stack)],
    });
    let report = report(&[image]);
    let frames = report["findings"][0]["stacks"]["handler"].as_array().expect("a list").clone();
    let function = frames[0]["function"].as_str().expect("a name");
    assert!(function.contains("entry_of"), "{function}");
    assert!(frames[0]["file"].as_str().expect("a file").ends_with("report/tests.rs"));
    assert!(frames[0]["line"].as_u64().is_some());
    assert_eq!(frames.last().expect("a frame").get("function"), None);
    let problem = report["symbol_problems"][0].as_str().expect("a line");
    assert!(problem.contains("build id differs"), "{problem}");
}

/// The build id of an ELF file, empty if it has none.
pub(super) fn build_id_of(path: &std::path::Path) -> Vec<u8> {
    use object::Object;
    let bytes = std::fs::read(path).expect("the test itself");
    let object = object::File::parse(&*bytes).expect("an ELF file");
    object.build_id().expect("readable").unwrap_or(&[]).to_vec()
}

/// The address in the file of the function whose name holds `part`. Not
/// inlined in any profile, so a test may ask for this one.
#[inline(never)]
pub(super) fn entry_of(path: &std::path::Path, part: &str) -> u64 {
    use object::{Object, ObjectSymbol};
    let bytes = std::fs::read(path).expect("the test itself");
    let object = object::File::parse(&*bytes).expect("an ELF file");
    let wanted = |s: &object::Symbol<'_, '_>| s.name().is_ok_and(|name| name.contains(part));
    let mut found: Vec<u64> =
        object.symbols().filter(wanted).filter(|s| s.size() > 0).map(|s| s.address()).collect();
    found.sort_unstable();
    *found.first().expect("a symbol")
}
