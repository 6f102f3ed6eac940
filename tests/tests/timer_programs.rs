//! Programs that exist to use timers, signals and processes hard: stress-ng and
//! cyclictest. Same exit status, not one warning or error, and the same latency.
//! Each is skipped aloud where it is not installed; on Debian
//! `apt-get install stress-ng rt-tests`.

use deadwalk_tests::{Run, alone, find_tool, skip};

#[track_caller]
fn stress(words: &str) {
    let Some(stress) = find_tool("stress-ng") else { return };
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = Run::command([stress]).args(words).folder(folder.path());
    run.plain().assert_status(0);
    let watched = run.watched();
    assert_eq!(watched.outcome.status, 0, "{words}: {:#?}", watched.outcome);
    watched.report.assert_clean();
}

macro_rules! stressors {
    ($($test:ident $words:literal)*) => {
        $(#[test] fn $test() { stress($words); })*
    };
}

stressors! {
    stress_ng_timer "--timer 1 --timer-ops 20000"
    stress_ng_timerfd "--timerfd 1 --timerfd-ops 5000"
    stress_ng_itimer "--itimer 1 --itimer-ops 100"
    stress_ng_alarm "--alarm 1 --alarm-ops 500"
    stress_ng_sigfd "--sigfd 1 --sigfd-ops 5000"
    stress_ng_sigq "--sigq 1 --sigq-ops 5000"
    stress_ng_sigsegv "--sigsegv 1 --sigsegv-ops 5000"
    stress_ng_pthread "--pthread 1 --pthread-ops 2000"
    stress_ng_vfork "--vfork 1 --vfork-ops 1000"
    stress_ng_fork "--fork 1 --fork-ops 100"
    stress_ng_clone "--clone 1 --clone-ops 50"
    stress_ng_dynlib "--dynlib 1 --dynlib-ops 100"
}

/// Of the latency's average, us.
const MOST_ADDED_US: f64 = 20.0;

/// So many runs of each at most, of which the least counts: what others do only makes
/// it worse.
const ROUNDS: usize = 10;

/// A third of a second with a realtime thread, which others do not disturb much, and a
/// histogram of latencies below a millisecond: longer ones are the machine's.
const CYCLES: &str = "-q -t 1 -l 300 -i 1000 --policy=fifo -p 80 --default-system -h 1000";

#[track_caller]
fn assert_latency(words: &str) {
    let Some(cyclictest) = find_tool("cyclictest") else { return };
    let run = Run::command([cyclictest]).args(CYCLES).args(words);
    let _alone = alone();
    if run.plain().status != 0 {
        return skip("cyclictest may not use realtime priorities here");
    }
    let [mut plain, mut ours] = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        plain = plain.min(average_us(&run.plain().assert_status(0).stdout));
        let watched = run.watched();
        assert_eq!(watched.outcome.status, 0, "{:#?}", watched.outcome);
        watched.report.assert_clean();
        ours = ours.min(average_us(&watched.outcome.stdout));
        if ours <= plain + MOST_ADDED_US {
            break;
        }
    }
    println!("cyclictest {words}: plain {plain:.1} us, under deadwalk {ours:.1} us");
    assert!(ours <= plain + MOST_ADDED_US, "plain {plain} us, under deadwalk {ours} us");
}

/// The mean of the histogram's lines "000007 000123".
fn average_us(output: &str) -> f64 {
    let lines = output.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| {
        let (us, count) = line.split_once(char::is_whitespace)?;
        Some((us.parse::<f64>().ok()?, count.trim().parse::<f64>().ok()?))
    });
    let (sum, count) = pairs.fold((0.0, 0.0), |(s, n), (us, count)| (s + us * count, n + count));
    assert!(count > 0.0, "a histogram: {output}");
    sum / count
}

#[test]
fn cyclictest_with_sleeps() {
    assert_latency("");
}

#[test]
fn cyclictest_with_posix_timers() {
    assert_latency("--posix_timers");
}
