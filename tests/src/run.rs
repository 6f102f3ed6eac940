//! Programs, run plain and under the command.

use crate::live::Leader;
use crate::{Program, Report, Target};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// What to run, and how. The same description runs plain and watched, so that
/// the two can be compared.
#[derive(Clone, Debug)]
pub struct Run {
    command: Vec<OsString>,
    options: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    input: Option<PathBuf>,
    folder: Option<PathBuf>,
    limit: Option<Duration>,
}

/// The exit status by which a test program says that this machine cannot express
/// what it is about (`SKIPPED` of `gates.h`).
pub const SKIPPED: i32 = 77;

/// How a program ended and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit status as a shell has it: 128+n for signal n.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A run under `deadwalk run` with its report.
#[derive(Debug)]
pub struct Watched {
    /// How it ended.
    pub outcome: Outcome,
    /// The JSON report.
    pub report: Report,
}

impl Run {
    /// A compiled program without arguments.
    pub fn of(program: &Program) -> Run {
        Run::command([&program.path])
    }

    /// Any command line.
    pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(words: I) -> Run {
        let command = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        Run { command, options: vec![], envs: vec![], input: None, folder: None, limit: None }
    }

    /// Adds an argument of the program.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Run {
        self.command.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments of the program, parted by blanks.
    pub fn args(mut self, args: &str) -> Run {
        self.command.extend(args.split_whitespace().map(OsString::from));
        self
    }

    /// Adds one word to the options of `deadwalk run`.
    pub fn option(mut self, option: impl AsRef<OsStr>) -> Run {
        self.options.push(option.as_ref().to_owned());
        self
    }

    /// Sets a variable, for the plain run too.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.envs.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Takes standard input from a file.
    pub fn input(mut self, file: &Path) -> Run {
        self.input = Some(file.to_path_buf());
        self
    }

    /// Runs in that folder.
    pub fn folder(mut self, folder: &Path) -> Run {
        self.folder = Some(folder.to_path_buf());
        self
    }

    /// Lets it run for so long, if that is more than a program usually has.
    pub fn within(mut self, limit: Duration) -> Run {
        self.limit = Some(limit);
        self
    }

    /// Runs it without deadwalk.
    pub fn plain(&self) -> Outcome {
        self.finish(Command::new(&self.command[0]), &self.command[1..])
    }

    /// Runs it under `deadwalk run` as it is: the text report goes to stderr.
    pub fn under_deadwalk(&self) -> Outcome {
        self.finish(Command::new(Target::get().command()), &self.words(None))
    }

    /// Runs it under `deadwalk run -q --json FILE` and reads the report.
    ///
    /// # Panics
    ///
    /// If there is no readable report.
    #[track_caller]
    pub fn watched(&self) -> Watched {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let json = folder.path().join("report.json");
        let outcome = self.finish(Command::new(Target::get().command()), &self.words(Some(&json)));
        let report = match Report::read(&json) {
            Ok(report) => report,
            Err(error) => panic!("no report of {:?}: {error}\n{outcome:#?}", self.command),
        };
        Watched { outcome, report }
    }

    /// Runs it plain and watched, and asserts that it ended with `status` and
    /// [survived](Watched::assert_survived) being watched.
    #[track_caller]
    pub fn assert_survives(&self, status: i32) -> Watched {
        let plain = self.plain().assert_status(status);
        let watched = self.watched();
        watched.assert_survived(&plain);
        watched
    }

    /// `deadwalk run ...` as a command, for tests that talk to the live program.
    pub fn to_command(&self) -> Command {
        self.prepare(Command::new(Target::get().command()), &self.words(None))
    }

    fn words(&self, json: Option<&Path>) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["run".into()];
        if let Some(json) = json {
            words.extend(["-q".into(), "--json".into(), json.into()]);
        }
        words.extend(self.options.iter().cloned());
        words.push("--".into());
        words.extend(self.command.iter().cloned());
        words
    }

    fn prepare(&self, mut command: Command, args: &[OsString]) -> Command {
        command.args(args).envs(self.envs.iter().cloned()).stdin(Stdio::null());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if let Some(input) = &self.input {
            command.stdin(std::fs::File::open(input).expect("the input is readable"));
        }
        command
    }

    /// Output goes through files: a pipe fills, and grandchildren keep it open.
    fn finish(&self, command: Command, args: &[OsString]) -> Outcome {
        let mut command = self.prepare(command, args);
        let mut stdout = tempfile::tempfile().expect("a temporary file");
        let mut stderr = tempfile::tempfile().expect("a temporary file");
        command.stdout(stdout.try_clone().expect("a descriptor"));
        command.stderr(stderr.try_clone().expect("a descriptor"));
        let child = command.process_group(0).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let status = Leader::new(child).wait_within(self.limit.unwrap_or_default().max(timeout()));
        let (stdout, stderr) = (text(&mut stdout), text(&mut stderr));
        match status {
            Some(status) => Outcome { status: shell_status(status), stdout, stderr },
            None => panic!("{command:?} hangs\nstdout: {stdout}\nstderr: {stderr}"),
        }
    }
}

impl Outcome {
    /// Asserts the exit status and returns the outcome.
    #[track_caller]
    pub fn assert_status(self, status: i32) -> Outcome {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// Asserts one clear line on stderr, which has `text`.
    #[track_caller]
    pub fn assert_one_line(self, text: &str) -> Outcome {
        assert_eq!(self.stderr.lines().count(), 1, "one line on stderr: {self:#?}");
        self.assert_says(text)
    }

    /// Asserts that stderr has `text`, and nothing of a panic.
    #[track_caller]
    pub fn assert_says(self, text: &str) -> Outcome {
        assert!(self.stderr.contains(text), "stderr has {text:?}: {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }
}

impl Watched {
    /// Asserts that nothing but its own counts tells a watched program from a
    /// plain one: same status and output, nothing found, and the heap was ours.
    #[track_caller]
    pub fn assert_survived(&self, plain: &Outcome) {
        self.assert_same(plain);
        self.report.assert_clean();
        assert!(self.report.counter("heap.allocs") > 0, "the heap was ours: {}", self.report);
    }

    /// Asserts that the run was as `plain`: same status, same output.
    #[track_caller]
    pub fn assert_same(&self, plain: &Outcome) {
        assert_eq!(&self.outcome, plain);
    }
}

fn timeout() -> Duration {
    let seconds = std::env::var("DEADWALK_TEST_TIMEOUT_S").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(120))
}

pub(crate) fn shell_status(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|n| 128 + n)).expect("ended one way or the other")
}

fn text(file: &mut std::fs::File) -> String {
    let mut bytes = vec![];
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("our own file");
    String::from_utf8_lossy(&bytes).into_owned()
}
