//! Passes signals on to CMD while waiting for it.
//!
//! 1. Before CMD starts, handlers that only set a flag are installed: no signal
//!    ends this process any more, and exec gives CMD the default actions and
//!    the signal mask that we were started with.
//! 2. While CMD runs, the signals are blocked here and read from a descriptor,
//!    which tells the sender too. They stay blocked until we end: no second
//!    Ctrl-C loses the report or leaves the temporary folder.
//!
//! A signal that was ignored when we started (`nohup`, a shell's background
//! job) stays ignored, for CMD too.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// The signals that are caught, and whether they arrived before CMD was waited for.
pub struct Signals {
    caught: Vec<(Signal, Arc<AtomicBool>)>,
}

impl Signals {
    /// Catches the forwarded signals from now on. Call before CMD starts.
    ///
    /// # Errors
    ///
    /// If a handler cannot be installed.
    pub fn catch() -> io::Result<Signals> {
        let ignored = ignored();
        let mut caught = Vec::new();
        for signal in FORWARDED.into_iter().filter(|&s| ignored & bit(s) == 0) {
            let arrived = Arc::default();
            signal_hook::flag::register(signal as i32, Arc::clone(&arrived))?;
            caught.push((signal, arrived));
        }
        // Ignored, the kernel would keep neither this signal nor CMD's status.
        signal_hook::flag::register(libc::SIGCHLD, Arc::default())?;
        // A limit on file sizes makes --json fail; it must not kill.
        if ignored & bit(Signal::SIGXFSZ) == 0 {
            signal_hook::flag::register(libc::SIGXFSZ, Arc::default())?;
        }
        Ok(Signals { caught })
    }

    /// Waits for CMD's end and passes on what arrives until then.
    ///
    /// # Errors
    ///
    /// If CMD cannot be waited for.
    pub fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let arrivals = match self.block() {
            Ok(arrivals) => arrivals,
            Err(error) => {
                log::warn!("signals are not forwarded: {error}");
                return child.wait();
            }
        };
        for (signal, arrived) in &self.caught {
            if arrived.load(Ordering::SeqCst) {
                send(*signal, child);
            }
        }
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            match arrivals.read_signal() {
                Ok(Some(arrival)) => pass_on(&arrival, child),
                Ok(None) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn block(&self) -> nix::Result<SignalFd> {
        let mut set = SigSet::empty();
        self.caught.iter().for_each(|(signal, _)| set.add(*signal));
        set.add(Signal::SIGCHLD);
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)
    }
}

fn pass_on(arrival: &siginfo, child: &Child) {
    // What a key on the terminal made has reached CMD too: same process group.
    let from_terminal = arrival.ssi_code == libc::SI_KERNEL || arrival.ssi_pid == 0;
    let Ok(signal) = Signal::try_from(arrival.ssi_signo as i32) else { return };
    if signal != Signal::SIGCHLD && !from_terminal {
        send(signal, child);
    }
}

fn send(signal: Signal, child: &Child) {
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
