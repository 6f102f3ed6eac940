//! What timer_list adds to the JSON report.

use std::collections::HashSet;
use std::mem::offset_of;

use deadwalk_detector::counters::Counter;
use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::record::layout::{self, FindingEntry, HeadSegment, StackRole, Verdict};
use deadwalk_detector::{Consequence, Kind};
use serde_json::json;

use super::tests::report;
use crate::test_image::{Image, driver, timer_list_finding};

/// The kinds that only timer_list has: those after layout-mismatch.
fn kinds() -> impl Iterator<Item = Kind> {
    let timers = Kind::LayoutMismatch..=Kind::UnloadWhileRunning;
    Kind::ALL
        .iter()
        .copied()
        .filter(move |kind| timers.contains(kind) && *kind != Kind::LayoutMismatch)
}

#[test]
fn counters_of_three_parts_are_nested_and_added_up() {
    let mut images = [Image::new(1), Image::new(2)];
    for image in &mut images {
        image.counter(Counter::TrashedFreed, 1);
        image.counter(Counter::TrashedWiped, 2);
        image.counter(Counter::TimersAutoDetached, 3);
        image.counter(Counter::TimersFieldsChanged, 4);
        image.counter(Counter::DelReDeletes, 5);
        image.counter(Counter::DelReaddsByHandler, 6);
        image.counter(Counter::DelReaddsByOther, 7);
    }
    let report = report(&images);
    let (timers, del) = (&report["totals"]["timers"], &report["totals"]["del"]);
    assert_eq!(
        timers["trashed"],
        json!({ "freed": 2, "uninit": 0, "copied": 0, "wiped": 4, "clobbered": 0 })
    );
    assert_eq!((&timers["auto_detached"], &timers["fields_changed"]), (&json!(6), &json!(8)));
    assert_eq!(timers["invariant_ok"], true);
    assert_eq!(timers.as_object().expect("a group").len(), 14);
    assert_eq!(del["re_deletes"], 10);
    assert_eq!((&del["readds_by_handler"], &del["readds_by_other"]), (&json!(12), &json!(14)));
}

#[test]
fn one_process_whose_books_do_not_balance_is_enough() {
    let mut broken = driver(2);
    broken.counter(Counter::TimersInvariantBroken, 1);
    let report = report(&[driver(1), broken, driver(3)]);
    assert_eq!(report["totals"]["timers"]["invariant_ok"], false);
    assert_eq!(report["totals"]["timers"].get("invariant_broken"), None);
}

#[test]
fn sites_tell_what_was_armed_again() {
    let report = report(&[driver(1), driver(2)]);
    let site = &report["del_sites"][0];
    assert_eq!((&site["api"], &site["op"]), (&json!("timer_list"), &json!("del_timer_sync")));
    assert_eq!((&site["sync_waits"], &site["re_deletes"]), (&json!(12), &json!(6)));
    assert_eq!((&site["readds_by_handler"], &site["readds_by_other"]), (&json!(8), &json!(10)));
}

#[test]
fn the_policy_is_the_one_that_was_in_force() {
    let policy_of = |stored: u32, options: &[u8]| {
        let mut image = driver(1);
        image.u32(offset_of!(HeadSegment, policy), stored);
        image.put(offset_of!(HeadSegment, options), options);
        let report = report(&[image]);
        let process = report["processes"][0]["options"]["del"].clone();
        assert_eq!(process, report["findings"][0]["policy"]);
        process
    };
    assert_eq!(policy_of(0, b"del=sync\0"), "sync");
    assert_eq!(policy_of(DelPolicy::Running as u32 + 1, b"del=sync\0"), "running");
    assert_eq!(policy_of(DelPolicy::Async as u32 + 1, b"del=running\0"), "async");
    assert_eq!(policy_of(0, b"del=running\0"), "running");
    assert_eq!(policy_of(77, b"del=sync\0"), "sync");
}

#[test]
fn processes_under_different_policies_have_findings_of_their_own() {
    let mut running = driver(2);
    running.u32(offset_of!(HeadSegment, policy), DelPolicy::Running as u32 + 1);
    let report = report(&[driver(1), driver(3), running]);
    let mut rows: Vec<_> = report["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| (f["policy"].as_str().expect("text"), f["count"].as_u64().expect("a count")))
        .collect();
    rows.sort_unstable();
    assert_eq!(rows, [("async", 4), ("async", 14), ("running", 2), ("running", 7)]);
}

#[test]
fn a_delete_that_says_it_does_not_wait_is_marked() {
    let mut image = Image::new(1);
    let verdicts = [(Verdict::Warning, 2)];
    let at = timer_list_finding(&mut image, Kind::DelWhileRunning, &verdicts, vec![]);
    image.u32(at + offset_of!(FindingEntry, flags), layout::FLAG_DECLARED_ASYNC);
    timer_list_finding(&mut image, Kind::DelWhileRunning, &[(Verdict::Warning, 1)], vec![]);
    let report = report(&[image]);
    let [declared, plain] = &report["findings"].as_array().expect("a list")[..] else {
        panic!("two findings: {report:#}")
    };
    assert_eq!((&declared["declared_async"], &declared["count"]), (&json!(true), &json!(2)));
    assert_eq!((&plain["declared_async"], &plain["count"]), (&json!(false), &json!(1)));
    let message = declared["message"].as_str().expect("text");
    assert!(message.contains("which by its name does not wait"), "{message}");
    assert!(!plain["message"].as_str().expect("text").contains("by its name"));
}

#[test]
fn severities_are_the_verdicts_and_open_ones_as_in_the_table() {
    for kind in kinds() {
        let mut image = Image::new(1);
        let verdicts = [(Verdict::Tail, 1), (Verdict::Info, 2), (Verdict::Error, 3)];
        let at = timer_list_finding(&mut image, kind, &verdicts, vec![]);
        image.u32(at + offset_of!(FindingEntry, unresolved), 10);
        let report = report(&[image]);
        let count = |severity: &str, tail: bool| {
            let mut findings = report["findings"].as_array().expect("a list").iter();
            let wanted = findings.find(|f| f["severity"] == severity && f["tail"] == tail);
            wanted.map_or(0, |f| f["count"].as_u64().expect("a count"))
        };
        let open = kind.unresolved_severity(Consequence::None).name();
        let expected = |severity: &str, own| if open == severity { own + 10 } else { own };
        let name = kind.name();
        assert_eq!(count("info", true), 1, "{name}");
        assert_eq!(count("info", false), expected("info", 2), "{name}");
        assert_eq!(count("warning", false), expected("warning", 0), "{name}");
        assert_eq!(count("error", false), expected("error", 3), "{name}");
    }
}

#[test]
fn every_kind_has_a_message_of_its_own_with_the_timer_s_address() {
    let mut image = Image::new(1);
    for kind in kinds() {
        timer_list_finding(&mut image, kind, &[(Verdict::Error, 1)], vec![]);
    }
    let report = report(&[image]);
    let findings = report["findings"].as_array().expect("a list");
    assert_eq!(findings.len(), kinds().count());
    let mut messages = HashSet::new();
    for finding in findings {
        let message = finding["message"].as_str().expect("text");
        assert!(message.contains("the timer_list at 0x7f0000001010"), "{finding:#}");
        assert!(!message.contains('\n') && messages.insert(message), "{message}");
        assert_eq!(finding["access"]["addr"], "0x7f0000001010");
        assert_eq!(finding["access"]["base"], "0x7f0000001000");
        assert_eq!(finding["access"]["offset"], 16);
        assert_eq!(finding["subject"], "");
    }
    for (kind, part) in [
        ("free-while-pending", "a block of 96 bytes was freed while the timer_list at 0x7f"),
        ("expire-after-free", "expired in a block of 96 bytes that had been freed 1.50 us before"),
        ("api-use-after-free", "lies in a block of 96 bytes that had been freed 1.50 us before"),
        ("timer-wiped", "was zeroed while it was armed; the handler is not called"),
    ] {
        let finding = findings.iter().find(|f| f["kind"] == kind).expect("there");
        let message = finding["message"].as_str().expect("text");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn what_is_not_known_is_not_made_up() {
    let mut image = Image::new(1);
    let error = [(Verdict::Error, 1)];
    let at = timer_list_finding(&mut image, Kind::ExpireAfterFree, &error, vec![]);
    for field in [
        offset_of!(FindingEntry, addr),
        offset_of!(FindingEntry, base),
        offset_of!(FindingEntry, age_ns),
    ] {
        image.u64(at + field, 0);
    }
    let report = report(&[image]);
    assert_eq!(
        report["findings"][0]["message"],
        "the timer_list expired in memory that had been freed; the handler was not called"
    );
    assert_eq!(report["findings"][0]["access"], json!({}));
}

#[test]
fn the_block_s_address_is_not_taken_for_the_timer_s() {
    let mut image = Image::new(1);
    let error = [(Verdict::Error, 1)];
    let at = timer_list_finding(&mut image, Kind::FreeWhileRunning, &error, vec![]);
    image.u64(at + offset_of!(FindingEntry, addr), 0x7f00_0000_1000);
    assert_eq!(
        report(&[image])["findings"][0]["message"],
        "a block of 96 bytes was freed while the handler of the timer_list in it ran on another \
         thread"
    );
}

#[test]
fn a_handler_s_name_is_said_where_it_is_known() {
    let path = std::env::current_exe().expect("a path");
    let id = super::tests::build_id_of(&path);
    let mut image = Image::new(1);
    let module = image.module(path.to_str().expect("a plain path"), &id, 0);
    let entry = super::tests::entry_of(&path, "entry_of");
    let handler = image.stack(&[layout::pack_frame(module, entry)]);
    for kind in [Kind::FreeOwnHandler, Kind::FreeWhilePending, Kind::ExpireAfterFree] {
        let stacks = vec![(StackRole::Handler, handler)];
        timer_list_finding(&mut image, kind, &[(Verdict::Error, 1)], stacks);
    }
    let report = report(&[image]);
    for finding in report["findings"].as_array().expect("a list") {
        let message = finding["message"].as_str().expect("text");
        assert!(message.contains("the handler `") && message.contains("entry_of"), "{message}");
    }
}

#[test]
fn a_deadlock_has_both_stacks() {
    let mut image = Image::new(1);
    let module = image.module("/opt/app/driver", b"\x01", 0);
    let del = image.stack(&[layout::pack_frame(module, 0x10)]);
    let blocked =
        image.stack(&[layout::pack_frame(module, 0x20), layout::pack_frame(module, 0x30)]);
    let stacks = vec![(StackRole::Del, del), (StackRole::Access, blocked)];
    timer_list_finding(&mut image, Kind::DelDeadlock, &[(Verdict::Error, 1)], stacks);
    let stacks = &report(&[image])["findings"][0]["stacks"];
    assert_eq!(stacks["del"][0]["offset"], "0x10");
    assert_eq!(stacks["access"].as_array().map(Vec::len), Some(2));
}
