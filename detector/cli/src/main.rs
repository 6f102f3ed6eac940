//! The command `deadwalk`: runs a program with the detector preloaded, reads
//! the records that its processes left, and prints the report.
//!
//! | folder | does |
//! |---|---|
//! | `kcc/` | compiles kernel-style C against the headers and the library |
//! | `run/` | preloads, starts, forwards signals, waits |
//! | `collect/` | finds record files, reads them, merges them |
//! | `symbols/` | addresses to functions, files and lines |
//! | `report/` | merged records to the report's model, which is the JSON |
//! | `text/` | the model to the text report |

#![forbid(unsafe_code)]

mod arguments;
mod collect;
mod escape;
mod exit;
mod kcc;
mod output;
mod report;
mod run;
mod symbols;
#[cfg(test)]
mod test_image;
mod text;

use std::process::ExitCode;

use arguments::{Command, Parsed};
use exit::Failure;

fn main() -> ExitCode {
    env_logger::init_from_env(env_logger::Env::new().filter_or("DEADWALK_LOG", "warn"));
    let outcome = match arguments::parse(std::env::args_os()) {
        Ok(Parsed::Command(command)) => execute(command),
        Ok(Parsed::Print(text)) => output::to_stdout(&text).map(|()| 0),
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            output::line(&failure.text);
            ExitCode::from(failure.status)
        }
    }
}

fn execute(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Report(arguments) => report::command(&arguments),
        Command::Kcc(arguments) => kcc::command(&arguments),
        Command::Explain { .. } => Err(Failure::own("explain is not available yet")),
    }
}
