//! `deadwalk kcc`: the C compiler, for sources in the kernel's manner.
//!
//! It adds what such sources need before and behind the caller's own arguments, and
//! hands everything else on as it is: so the caller's flags win, and a Makefile may
//! use it in place of `cc`.

mod flags;
mod folder;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use crate::arguments::KccArguments;
use crate::exit::{CANNOT_EXECUTE, Failure, NOT_FOUND, SIGNAL_BASE};
use crate::output;
use crate::run::library;
use flags::Flags;

/// The compiler, if `$CC` says nothing.
const COMPILER: &str = "cc";
/// Asks for the flags instead of a compilation.
const PRINT_FLAGS: &str = "--print-flags";

/// Compiles, or prints the flags; returns the compiler's exit status.
///
/// # Errors
///
/// If the headers, the library or the compiler are missing, or there is nothing to
/// compile.
pub fn command(arguments: &KccArguments) -> Result<u8, Failure> {
    let (asked, given): (Vec<&OsString>, Vec<&OsString>) =
        arguments.arguments.iter().partition(|argument| *argument == PRINT_FLAGS);
    let given: Vec<OsString> = given.into_iter().cloned().collect();
    if given.is_empty() && asked.is_empty() {
        return Err(Failure::own("kcc: no source file is given (see deadwalk kcc --help)"));
    }
    let library = if flags::links(&given) { Some(library::find()?) } else { None };
    let flags = Flags::new(&folder::find()?, library.as_deref(), &given);
    if !asked.is_empty() {
        return output::to_stdout(&(flags.line() + "\n")).map(|()| 0);
    }
    compile(&flags, &given)
}

fn compile(flags: &Flags, given: &[OsString]) -> Result<u8, Failure> {
    // As make has it, $CC may bring flags of its own: "ccache gcc -m64".
    let compiler = std::env::var("CC").unwrap_or_default();
    let mut words = compiler.split_whitespace();
    let program = words.next().unwrap_or(COMPILER);
    let status = Command::new(program)
        .arg0(program)
        .args(words)
        .args(&flags.before)
        .args(given)
        .args(&flags.behind)
        .status()
        .map_err(|error| cannot_run(program, &error))?;
    let code = status.code().unwrap_or_else(|| SIGNAL_BASE + status.signal().unwrap_or(0));
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

fn cannot_run(program: &str, error: &std::io::Error) -> Failure {
    let missing = error.kind() == ErrorKind::NotFound;
    let hint = if missing { "; install a C compiler, or name one by CC" } else { "" };
    Failure {
        status: if missing { NOT_FOUND } else { CANNOT_EXECUTE },
        text: format!("kcc: cannot run the compiler {program}: {error}{hint}"),
    }
}
