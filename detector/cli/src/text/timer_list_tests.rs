//! What timer_list adds to the text report.

use std::mem::offset_of;

use deadwalk_detector::Kind;
use deadwalk_detector::counters::Counter;
use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::record::layout::{self, FindingEntry, HeadSegment, StackRole, Verdict};

use super::WIDTH;
use super::tests::{assert_has, text};
use crate::test_image::{Image, driver, showit, timer_list_finding};

#[test]
fn sites_say_what_waited_and_what_was_armed_again() {
    assert_has(
        &text(&[driver(1)]),
        &[
            "del_timer_sync at driver+0x1234\n",
            "          6 waited (2.00 us at most)\n",
            "          armed again while the handler ran: 4 by the handler, 5 by another thread; \
             deleted again: 3\n",
        ],
    );
}

#[test]
fn who_frees_its_timer_list_in_its_handler() {
    let text = text(&[driver(1), driver(2)]);
    assert_has(
        &text,
        &["\nwho frees its timer_list in its handler:\n\
           \x20      14  handler: driver+0x1100\n\
           \x20          frees at driver+0x1190\n\
           \x20       4  handler: driver+0x1100\n\
           \x20          frees at driver+0x1180\n"],
    );
}

#[test]
fn a_handler_s_frees_are_added_up_over_severities() {
    let mut running = driver(2);
    running.u32(offset_of!(HeadSegment, policy), DelPolicy::Running as u32 + 1);
    let text = text(&[driver(1), running]);
    assert_has(&text, &["      14  handler: driver+0x1100\n           frees at driver+0x1190\n"]);
}

#[test]
fn how_timer_lists_were_trashed() {
    let mut image = driver(1);
    image.counter(Counter::TrashedFreed, 1_234);
    image.counter(Counter::TrashedClobbered, 2);
    assert_has(
        &text(&[image]),
        &["\nhow timer_lists were trashed:\n\
           \x20   1,234  freed           in freed memory\n\
           \x20       0  uninitialised   never initialised\n\
           \x20       0  copied          copied while armed\n\
           \x20       0  wiped           zeroed while armed\n\
           \x20       2  clobbered       overwritten while armed\n"],
    );
    assert!(!text(&[driver(1)]).contains("trashed"));
}

#[test]
fn the_first_screen_tells_what_was_detached_and_whether_the_books_balance() {
    let mut image = driver(1);
    image.counter(Counter::TimersAutoDetached, 1);
    image.counter(Counter::TimersFieldsChanged, 2);
    image.counter(Counter::TimersInvariantBroken, 1);
    let shown = text(&[image]);
    assert_has(
        &shown,
        &[
            "  1 armed timer_list detached: freed, initialised again or unloaded.\n",
            "  Fields of an armed timer_list changed 2 times, which is legal.\n",
            "  The books of the timer_lists do not balance: ",
        ],
    );
    assert!(shown.find("books").expect("there") < shown.find("Findings:").expect("there"));
    assert!(!text(&[driver(1)]).contains("books"));
}

#[test]
fn a_deadlock_shows_where_the_handler_is_blocked() {
    let mut image = Image::new(1);
    image.u32(offset_of!(HeadSegment, policy), DelPolicy::Sync as u32 + 1);
    let module = image.module("/opt/app/driver", b"\x01", 0);
    let frame = |offset| layout::pack_frame(module, offset);
    let del = image.stack(&[frame(0x10)]);
    let handler = image.stack(&[frame(0x40)]);
    let blocked = image.stack(&[frame(0x20), frame(0x30)]);
    let stacks =
        vec![(StackRole::Del, del), (StackRole::Handler, handler), (StackRole::Access, blocked)];
    timer_list_finding(&mut image, Kind::DelDeadlock, &[(Verdict::Error, 1)], stacks.clone());
    timer_list_finding(&mut image, Kind::TimerCopied, &[(Verdict::Error, 1)], stacks);
    assert_has(
        &text(&[image]),
        &[
            "block at 0x7f0000001000, under del=sync\n",
            "  delete     driver+0x10\n\
             \x20 handler    driver+0x40\n\
             \x20 blocked at driver+0x20\n\
             \x20            driver+0x30\n\
             \x20 advice     the handler cannot end",
            "  delete   driver+0x10\n  handler  driver+0x40\n  access   driver+0x20\n           driver",
        ],
    );
}

#[test]
fn lines_fit_also_with_all_of_it() {
    let mut image = driver(1);
    for &counter in Counter::ALL {
        // Not timer_list's: timers that are passed through are POSIX's.
        if counter != Counter::TimersPassedThrough {
            image.counter(counter, 1_234);
        }
    }
    for &kind in Kind::ALL {
        let at = timer_list_finding(&mut image, kind, &[(Verdict::Error, u32::MAX)], vec![]);
        image.u32(at + offset_of!(FindingEntry, flags), layout::FLAG_DECLARED_ASYNC);
    }
    let text = text(&[image]);
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    assert!(text.contains("more errors: see the JSON report"), "{text}");
}

#[test]
fn without_timer_lists_there_is_nothing_of_them() {
    let text = text(&[showit(1)]);
    for word in ["timer_lists", "again", "books", "under del", "detached"] {
        assert!(!text.contains(word), "{word} is in:\n{text}");
    }
}
