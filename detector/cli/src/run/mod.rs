//! `deadwalk run`: preload, start, forward signals, wait, report.
//!
//! # Ground rules
//!
//! * CMD comes first: once it can be started it is started, and runs to its
//!   end, whatever fails on our side; a failure is one line on stderr.
//! * CMD stays in our process group, so that the terminal treats both alike;
//!   a Ctrl-C reaches it without us (`signals.rs`).
//! * From before CMD's start to our own end the forwarded signals do not end us:
//!   no second Ctrl-C loses the report or leaves the temporary folder.

mod absent;
mod end;
mod environment;
mod folder;
mod json_file;
pub mod library;
mod signals;

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use nix::libc::ENOEXEC;

use crate::arguments::RunArguments;
use crate::collect::{self, start_ticks};
use crate::exit::{CANNOT_EXECUTE, Failure, NOT_FOUND, OWN_ERROR, SIGNAL_BASE};
use crate::report::{self, Report};
use crate::{output, text};
use end::Identity;
use environment::Environment;
use folder::Folder;
use json_file::JsonFile;
use signals::Signals;

/// Runs CMD and returns the exit status for `deadwalk run`.
///
/// # Errors
///
/// If CMD could not be started.
pub fn run(arguments: &RunArguments) -> Result<u8, Failure> {
    let library = library::find()?;
    let json = JsonFile::create(arguments.json.as_deref());
    let folder = Folder::prepare(arguments.output.as_deref());
    let library = library::preloadable(&library, folder.temporary())?;
    let environment =
        Environment::new(&library, folder.records(), arguments.del, arguments.provoke.as_deref());

    let signals = Signals::catch().map_err(|e| Failure::own(format!("signals: {e}")))?;
    let mut child = start(arguments, &environment)?;
    let identity = Identity { pid: child.id(), start_ticks: start_ticks(child.id()) };
    let status = signals.wait(&mut child).map_err(|e| Failure::own(format!("wait: {e}")))?;

    let report = folder.records().map(|records| read(records, &folder, &identity, status));
    if let Some((report, seen)) = &report {
        tell(arguments, report, *seen, folder.records());
    }
    let written = json.write(report.as_ref().map(|(report, _)| report));
    Ok(exit_status(arguments, report.as_ref().map(|(report, _)| report), status, written))
}

/// Starts CMD as a shell would.
fn start(arguments: &RunArguments, environment: &Environment) -> Result<Child, Failure> {
    let (program, rest) = arguments.command.split_first().expect("clap requires CMD");
    let spawn = |program: &OsStr, first: Option<&Path>| {
        let mut command = Command::new(program);
        command.args(first).args(rest);
        environment.apply(&mut command);
        command.spawn()
    };
    let mut started = spawn(program, None);
    // A script without #! is the shell's, as execvp has it.
    if started.as_ref().is_err_and(|e| e.raw_os_error() == Some(ENOEXEC))
        && let Some(path) = absent::find_program(program)
    {
        started = spawn("/bin/sh".as_ref(), Some(&path));
    }
    started.map_err(|error| {
        let status = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { CANNOT_EXECUTE };
        let text = if program.is_empty() {
            "cannot run '': no such program".to_owned()
        } else {
            format!("cannot run {}: {error}", program.display())
        };
        Failure { status, text }
    })
}

/// The report on this run's records, and whether CMD itself left one.
fn read(
    records: &Path,
    folder: &Folder,
    identity: &Identity,
    status: ExitStatus,
) -> (Report, bool) {
    let files = folder.new_records(records);
    let seen = end::write(&files, identity, status);
    let merged = collect::collect(&files);
    (report::build(&merged), seen)
}

fn tell(arguments: &RunArguments, report: &Report, seen: bool, records: Option<&Path>) {
    if !seen {
        let program = arguments.command.first().expect("clap requires CMD");
        output::line(&absent::explain(program, records, !report.processes.is_empty()));
    }
    output::lines(&report.problems);
    if !arguments.quiet && !report.processes.is_empty() {
        output::to_stderr(&text::render(report, output::wants_colour(&std::io::stderr())));
    }
}

/// Our exit status: the JSON file was asked for and is missing, findings, CMD's.
fn exit_status(
    arguments: &RunArguments,
    report: Option<&Report>,
    status: ExitStatus,
    written: bool,
) -> u8 {
    let found = report.is_some_and(|r| r.has(arguments.fail_on.severity()));
    if !written {
        return OWN_ERROR;
    }
    if let Some(code) = arguments.error_exitcode.filter(|_| found) {
        return code;
    }
    let code = status.code().or_else(|| status.signal().map(|s| SIGNAL_BASE + s));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(OWN_ERROR)
}
