//! Programs that a test talks to while they run.

use crate::run::shell_status;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// No live program is needed for longer; after that it is ended, so a read from
/// it ends too.
const LIMIT: Duration = Duration::from_secs(60);

/// A started program with its standard output piped; it leads a process group,
/// which ends with this value.
#[derive(Debug)]
pub struct Live {
    leader: Arc<Mutex<Leader>>,
    pid: libc::pid_t,
    stdout: Option<BufReader<ChildStdout>>,
    _watchdog: Sender<()>,
}

impl Live {
    /// Starts `command`.
    #[track_caller]
    pub fn start(mut command: Command) -> Live {
        let mut child = command
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let pid = child.id() as libc::pid_t;
        let stdout = child.stdout.take().map(BufReader::new);
        let leader = Arc::new(Mutex::new(Leader::new(child)));
        let (watchdog, ended) = channel();
        let watched = Arc::clone(&leader);
        std::thread::spawn(move || {
            if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                locked(&watched).end_group();
            }
        });
        Live { leader, pid, stdout, _watchdog: watchdog }
    }

    /// The next line of its output, without the line end; "" at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("stdout is open");
        stdout.read_line(&mut line).expect("the output is text");
        line.trim_end_matches('\n').to_string()
    }

    /// Closes our end of its standard output.
    pub fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Sends it a signal; not to its group.
    #[track_caller]
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill has no memory contract; only `wait` and `drop` wait for
        // the child, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.pid, signal) }, 0);
    }

    /// Waits for its end and returns its exit status as a shell has it.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    #[track_caller]
    pub fn wait(self) -> i32 {
        let status = locked(&self.leader).wait_within(LIMIT);
        shell_status(status.expect("the program ends in time"))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        locked(&self.leader).end_group();
    }
}

fn locked(leader: &Mutex<Leader>) -> MutexGuard<'_, Leader> {
    leader.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child that leads a process group.
#[derive(Debug)]
pub(crate) struct Leader {
    child: Child,
    /// Once it was waited for, its group's number may be given out again.
    is_reaped: bool,
}

impl Leader {
    /// Takes a child that was started as the leader of a group.
    pub(crate) fn new(child: Child) -> Leader {
        Leader { child, is_reaped: false }
    }

    /// Waits for its end; after `limit` ends the group and returns `None`.
    pub(crate) fn wait_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                self.is_reaped = true;
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.end_group();
        None
    }

    /// Ends the group, the children of a leader that has ended by itself too.
    fn end_group(&mut self) {
        if !self.is_reaped {
            let group = -(self.child.id() as libc::pid_t);
            // SAFETY: kill has no memory contract; the leader was not waited
            // for, so the group's number is still its own.
            unsafe { libc::kill(group, libc::SIGKILL) };
            let _ = self.child.wait();
            self.is_reaped = true;
        }
    }
}
