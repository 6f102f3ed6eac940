//! What one run took.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

/// How long a run may take. The workloads need some seconds.
pub const LIMIT: Duration = Duration::from_secs(60);

/// CPU time, user and system, and peak memory, children included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Seconds.
    pub cpu_s: f64,
    /// Resident set.
    pub peak_kib: f64,
}

impl Cost {
    /// Runs the command to its end; `None` if it fails or does not end in time.
    pub fn of(command: &mut Command) -> Option<Cost> {
        Cost::of_child(start(command), LIMIT)
    }

    /// Waits for a child that is to end by itself with success.
    pub fn of_child(mut child: Child, limit: Duration) -> Option<Cost> {
        let ended = ends_within(&child, limit);
        if !ended {
            let _ = child.kill();
        }
        let mut status = 0;
        // SAFETY: rusage is plain data, for which all zeroes is a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both pointers are valid for writes, and the child is ours, not
        // waited for by anybody else.
        let pid = unsafe { libc::wait4(child.id() as libc::pid_t, &mut status, 0, &mut usage) };
        assert!(pid > 0, "the child is ours");
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        (ended && status == 0).then(|| Cost {
            cpu_s: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            peak_kib: usage.ru_maxrss as f64,
        })
    }

    /// The medians of each.
    pub fn median(runs: &[Cost]) -> Cost {
        Cost {
            cpu_s: median(runs.iter().map(|cost| cost.cpu_s).collect()),
            peak_kib: median(runs.iter().map(|cost| cost.peak_kib).collect()),
        }
    }
}

/// Starts it by a true fork. The usual `vfork` runs in our memory until `exec`,
/// and the kernel then counts our own size as the child's peak.
pub fn start(command: &mut Command) -> Child {
    // SAFETY: the closure does nothing.
    unsafe { command.pre_exec(|| Ok(())) };
    command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

fn ends_within(child: &Child, limit: Duration) -> bool {
    // SAFETY: no pointers; the child is not waited for yet, so its id is its own.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) } as libc::c_int;
    assert!(fd >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid structure.
    let ready = unsafe { libc::poll(&mut poll, 1, limit.as_millis() as libc::c_int) };
    // SAFETY: our descriptor, not used again.
    unsafe { libc::close(fd) };
    ready == 1
}

/// The middle one, or the mean of the middle two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The geometric mean; `None` of nothing.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64).exp())
}
