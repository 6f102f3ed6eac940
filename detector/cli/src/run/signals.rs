//! Passes signals on to CMD while waiting for it.
//!
//! The signals are blocked and read from a descriptor: nothing runs in a signal
//! handler, and none of them ends this process before the report is out. CMD
//! starts with an empty signal mask (std sees to that).
//!
//! A signal that was ignored when we started (`nohup`, a shell's background
//! job) stays as it is, for CMD too.

use std::io;
use std::process::{Child, ExitStatus};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::Pid;

/// What is passed on.
const FORWARDED: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// The blocked signals.
pub struct Signals {
    arrivals: SignalFd,
}

impl Signals {
    /// Blocks the forwarded signals from now on. Call before CMD starts.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub fn block() -> io::Result<Signals> {
        let ignored = ignored();
        let mut set = SigSet::empty();
        for signal in FORWARDED.into_iter().filter(|&s| ignored & bit(s) == 0) {
            set.add(signal);
        }
        if ignored & bit(Signal::SIGCHLD) != 0 {
            // Ignored, the kernel would keep neither the signal nor the status.
            let arrived = std::sync::Arc::default();
            signal_hook::flag::register(libc::SIGCHLD, arrived)?;
        }
        set.add(Signal::SIGCHLD);
        set.thread_block()?;
        let arrivals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals { arrivals })
    }

    /// Waits for CMD's end and passes on what arrives until then.
    ///
    /// # Errors
    ///
    /// If CMD cannot be waited for.
    pub fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            match self.arrivals.read_signal() {
                Ok(Some(arrival)) => pass_on(&arrival, child),
                Ok(None) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn pass_on(arrival: &siginfo, child: &Child) {
    // What a key on the terminal made has reached CMD too: same process group.
    let from_terminal = arrival.ssi_code == libc::SI_KERNEL || arrival.ssi_pid == 0;
    let Ok(signal) = Signal::try_from(arrival.ssi_signo as i32) else { return };
    if signal == Signal::SIGCHLD || from_terminal {
        return;
    }
    // CMD may be ending; it is not reaped, so its pid is still its own.
    let _ = kill(Pid::from_raw(child.id() as i32), signal);
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

/// The signals that this process ignores, as /proc has them.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}
