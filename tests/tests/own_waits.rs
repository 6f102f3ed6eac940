//! Deadlocks of the program's own waits, beside what the POSIX matrix shows of them
//! (pattern P8): every kind of mutex, stacks, and who may yet post.

use deadwalk_tests::Severity::{Error, Warning};
use deadwalk_tests::{Program, Run, Watched};

const KILLED: i32 = 128 + libc::SIGKILL;
/// What no proof is needed for is told after a tenth of the program's patience.
const SOON: &str = "deadlock_ms=100";
/// Only a proof is told.
const PROOF_ONLY: &str = "deadlock_ms=3600000";

fn watched(flags: &[&str], options: &str) -> Watched {
    let program = Program::with_flags("posix/p8_lock", flags);
    Run::of(&program).env("DEADWALK_OPTIONS", options).watched()
}

#[track_caller]
fn assert_proven(flags: &[&str], options: &str) {
    let watched = watched(flags, options);
    assert_eq!(watched.outcome.status, KILLED, "{flags:?}: {:#?}", watched.outcome);
    let deadlock = watched.report.assert_kind("del-deadlock", Error);
    deadlock.assert_stack("del", "main");
    deadlock.assert_stack("access", "handler");
    deadlock.assert_stack("handler", "handler");
}

#[test]
fn whatever_kind_of_mutex_it_is() {
    for kind in [
        "-DKIND=PTHREAD_MUTEX_NORMAL",
        "-DKIND=PTHREAD_MUTEX_RECURSIVE",
        "-DKIND=PTHREAD_MUTEX_ERRORCHECK",
        "-DROBUST",
        "-DINHERIT",
    ] {
        assert_proven(&["-DAPI_SIGNAL", "-DBAD=3", kind], PROOF_ONLY);
        assert_proven(&["-DAPI_THREAD", "-DBAD=2", kind], PROOF_ONLY);
        let legal = watched(&["-DAPI_THREAD", "-DLOOKALIKE=3", kind], SOON);
        assert_eq!(legal.outcome.status, 0, "{kind}: {:#?}", legal.outcome);
        legal.report.assert_clean();
    }
}

/// The live log is what the looking thread is for otherwise.
#[test]
fn without_a_live_log() {
    assert_proven(&["-DAPI_THREAD", "-DBAD=5"], "log=off");
}

/// A thread that waits for what comes from outside, or a signal's handler, may post: that
/// is a guess, and a warning.
#[test]
fn what_somebody_may_yet_end_is_no_error() {
    for who in ["-DMAY_WAKE=1", "-DMAY_WAKE=2"] {
        for api in ["-DAPI_THREAD", "-DAPI_SIGNAL"] {
            let guessed = watched(&[api, "-DBAD=2", who], SOON);
            assert_eq!(guessed.outcome.status, KILLED, "{:#?}", guessed.outcome);
            let deadlock = guessed.report.assert_kind("del-deadlock", Warning);
            deadlock.assert_stack("del", "main");
            deadlock.assert_stack("access", "handler");
        }
    }
    // A join needs nobody to post.
    assert_proven(&["-DAPI_SIGNAL", "-DBAD=3", "-DMAY_WAKE=1"], PROOF_ONLY);
}
