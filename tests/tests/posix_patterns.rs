//! The POSIX matrix: every bad program is named, its fixed twin and its look-alikes
//! are left in peace, by every kind of POSIX timer.

use deadwalk_tests::posix::{Api, PATTERNS, Pattern, Twin, Variant};
use deadwalk_tests::{repeats, skip};

fn pattern(name: &str) -> &'static Pattern {
    PATTERNS.iter().find(|pattern| pattern.name == name).expect("one of the sixteen")
}

/// Runs every program of the pattern by every timer; all that is wrong is said at once.
#[track_caller]
fn check(name: &str) {
    let pattern = pattern(name);
    let mut wrong = String::new();
    for api in Api::ALL {
        for variant in pattern.variants.iter().filter(|variant| variant.named(api).is_some()) {
            for _ in 0..repeats(1, 3) {
                let complaints = check_once(api, variant);
                for complaint in &complaints {
                    wrong += &format!(
                        "{} {} {}: {complaint}\n",
                        variant.source,
                        api.name(),
                        variant.define
                    );
                }
                if !complaints.is_empty() {
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn check_once(api: Api, variant: &Variant) -> Vec<String> {
    match variant.complaints(api, &variant.run(api).watched()) {
        Some(complaints) => complaints,
        None => {
            skip(&format!("{} cannot be run here", variant.source));
            vec![]
        }
    }
}

/// Every cell has its programs, or the table says why not.
#[test]
fn no_cell_is_left_out() {
    for pattern in PATTERNS {
        for api in Api::ALL {
            let cells = Twin::ALL.map(|twin| !pattern.cell(api, twin).is_empty());
            let has_reason = pattern.reason(api).is_some();
            assert!(cells == [true; 3] || has_reason, "{} {api:?}: {cells:?}", pattern.name);
        }
    }
}

/// What bad programs must get is a finding, and clean ones nothing.
#[test]
fn bad_programs_are_named_and_clean_ones_not() {
    for variant in PATTERNS.iter().flat_map(|pattern| pattern.variants) {
        for (apis, named) in variant.by {
            assert_eq!(!named.is_empty(), variant.twin == Twin::Bad, "{variant:?} {apis:?}");
        }
    }
}

#[test]
fn p1_delete_then_free() {
    check("P1");
}

#[test]
fn p2_delete_then_release() {
    check("P2");
}

#[test]
fn p3_armed_by_its_handler() {
    check("P3");
}

#[test]
fn p4_armed_by_a_third_party() {
    check("P4");
}

#[test]
fn p5_free_while_pending() {
    check("P5");
}

#[test]
fn p6_freed_by_its_handler() {
    check("P6");
}

#[test]
fn p7_two_owners() {
    check("P7");
}

#[test]
fn p8_wait_under_the_lock() {
    check("P8");
}

#[test]
fn p9_wait_in_the_wrong_context() {
    check("P9");
}

#[test]
fn p12_text_unloaded() {
    check("P12");
}

#[test]
fn p13_pending_test() {
    check("P13");
}

#[test]
fn p15_overlap() {
    check("P15");
}

#[test]
fn p16_stale() {
    check("P16");
}
