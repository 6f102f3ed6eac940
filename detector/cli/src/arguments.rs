//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use deadwalk_detector::Severity;
use deadwalk_detector::options::{DelPolicy, TABLE, parse_provoke};
use deadwalk_detector::provoke::LIMIT_MAX_US;

use crate::exit::Failure;

/// What the command line asks for.
pub enum Parsed {
    /// Doing something.
    Command(Command),
    /// Printing a help text or the version.
    Print(String),
}

/// Finds the races of timers in unmodified programs
#[derive(Parser)]
#[command(name = "deadwalk", version, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run CMD under deadwalk, children included, and print the report to stderr
    Run(RunArguments),
    /// Read record files, or folders of them, and print one merged report
    Report(ReportArguments),
    /// Compile kernel-style C against deadwalk's headers and library, with $CC or cc
    Kcc(KccArguments),
    /// Tell what a kind of finding means (not available yet)
    Explain {
        /// Kind of finding
        kind: String,
    },
}

/// `deadwalk run`
#[derive(Args)]
pub struct RunArguments {
    /// Keep the record files in DIR (default: a temporary folder, removed at the end)
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write the report as JSON to FILE
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Not available yet
    #[arg(long, value_name = "FILE", hide = true, value_parser = not_yet)]
    pub html: Option<String>,
    /// Not available yet
    #[arg(long, value_name = "FILE", hide = true, value_parser = not_yet)]
    pub sarif: Option<String>,
    /// What a delete does while the timer's handler runs on another thread
    #[arg(long, value_name = "POLICY", value_parser = del_policy())]
    pub del: Option<DelPolicy>,
    /// Hold handlers up before they start, and deletes before they return, for a random
    /// time of up to US microseconds, so that rare races happen; SEED repeats the delays
    #[arg(long, value_name = "US[,SEED]", value_parser = provoke)]
    pub provoke: Option<String>,
    /// Exit with N if there were findings (see --fail-on)
    #[arg(long, value_name = "N")]
    pub error_exitcode: Option<u8>,
    /// The least severe finding that counts for --error-exitcode
    #[arg(long, value_enum, default_value_t = FailOn::Error)]
    pub fail_on: FailOn,
    /// Print no text report
    #[arg(short, long)]
    pub quiet: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// `deadwalk report`
#[derive(Args)]
pub struct ReportArguments {
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Record files, or folders of them
    #[arg(required = true, value_name = "RECORD")]
    pub records: Vec<PathBuf>,
}

/// `deadwalk kcc`
#[derive(Args)]
#[command(
    override_usage = "deadwalk kcc [-o OUT] [CC FLAGS] FILES...\n       deadwalk kcc --print-flags [-c]",
    after_help = "--print-flags prints what would be added, for Makefiles; with -c only what compiling needs.\n\
                  Every other argument is the compiler's, and wins over what is added.\n\
                  DEADWALK_INCLUDE    folder of the headers\n\
                  DEADWALK_LIB        path of libdeadwalk.so\n\n\
                  Exit status: the compiler's own; 125 an error of deadwalk itself, 126 the compiler\n\
                  cannot be executed, 127 not found."
)]
pub struct KccArguments {
    /// What the compiler gets: its flags and files
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CC ARGUMENT")]
    pub arguments: Vec<OsString>,
}

/// `--format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For scripts: `deadwalk.report/1`.
    Json,
    /// Not available yet.
    #[value(hide = true)]
    Html,
    /// Not available yet.
    #[value(hide = true)]
    Sarif,
}

/// `--fail-on`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Warnings and errors.
    Warning,
    /// Errors.
    Error,
}

impl FailOn {
    /// The least severity that fails.
    pub const fn severity(self) -> Severity {
        match self {
            FailOn::Warning => Severity::Warning,
            FailOn::Error => Severity::Error,
        }
    }
}

fn not_yet(_: &str) -> Result<String, String> {
    Err("not available yet".into())
}

/// Takes what the option of this name takes.
fn provoke(value: &str) -> Result<String, String> {
    match parse_provoke(value) {
        Some(_) => Ok(value.to_owned()),
        None => Err(format!("not US or US,SEED, with US up to {LIMIT_MAX_US}")),
    }
}

/// Takes the name of any delete policy there is.
fn del_policy() -> impl TypedValueParser<Value = DelPolicy> {
    let values = policies().map(|policy| PossibleValue::new(policy.name()).help(effect(policy)));
    PossibleValuesParser::new(values).try_map(|name| {
        DelPolicy::from_name(&name).ok_or_else(|| format!("no delete policy is called {name}"))
    })
}

fn policies() -> impl Iterator<Item = DelPolicy> {
    (0..).map_while(DelPolicy::from_u32)
}

const fn effect(policy: DelPolicy) -> &'static str {
    match policy {
        DelPolicy::Async => "It returns at once, as in libc and in 2.2 kernels",
        DelPolicy::Sync => "It waits for the handler and suppresses what expires later",
        DelPolicy::Running => {
            "It waits on timer->running in a timer_list, whose handler then may not free it"
        }
    }
}

/// Parses the command line.
///
/// # Errors
///
/// One line and status 125 for a usage error.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Parsed, Failure> {
    let help = options_help();
    let mut command = CommandLine::command().after_help(help.clone());
    command = command.mut_subcommand("run", |run| run.after_help(help));
    let parsed = command
        .try_get_matches_from(arguments)
        .and_then(|matches| <CommandLine as clap::FromArgMatches>::from_arg_matches(&matches));
    match parsed {
        Ok(line) => Ok(Parsed::Command(line.command)),
        Err(error) if error.use_stderr() => Err(Failure::own(one_line(&error))),
        Err(error) => Ok(Parsed::Print(error.render().to_string())),
    }
}

/// clap's first paragraph on one line.
fn one_line(error: &clap::Error) -> String {
    use clap::error::ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand};
    if matches!(error.kind(), DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand) {
        return "a command is missing: run, report, kcc or explain (see deadwalk --help)".into();
    }
    let text = error.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let line = words.join(" ");
    format!("{} (see deadwalk --help)", line.strip_prefix("error: ").unwrap_or(&line))
}

/// The part of the help that the option table generates.
fn options_help() -> String {
    let mut text = String::from(
        "DEADWALK_OPTIONS=\"key=value:key='value with : in it'\" sets, below the command line:\n",
    );
    for row in TABLE {
        let head = format!("{}={}", row.key, row.values);
        text += &format!("  {head:<28} {} [{}]\n", row.help, row.default);
    }
    text += "DEADWALK_LIB    path of libdeadwalk.so\n";
    text += "DEADWALK_LOG    filter of the log, as env_logger has it\n";
    text += "\nExit status of run: CMD's own, 128+n if signal n killed it; N with --error-exitcode;\n\
             125 an error of deadwalk itself (also if FILE of --json cannot be written; CMD runs\n\
             all the same), 126 CMD cannot be executed, 127 CMD not found.";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(line: &str) -> String {
        match parse(line.split(' ').map(OsString::from)) {
            Err(failure) => {
                assert_eq!(failure.status, 125);
                assert!(!failure.text.contains('\n'));
                failure.text
            }
            Ok(_) => panic!("accepted: {line}"),
        }
    }

    #[test]
    fn usage_errors_are_one_line_and_status_125() {
        assert!(failure("deadwalk run --bogus x").contains("--bogus"));
        assert!(failure("deadwalk run").contains("<CMD>"));
        assert!(failure("deadwalk").contains("a command is missing"));
        assert!(failure("deadwalk fly").contains("fly"));
        let refused = failure("deadwalk run --del never x");
        assert!(policies().all(|policy| refused.contains(policy.name())), "{refused}");
        assert!(failure("deadwalk run --provoke 50,x x").contains("US,SEED"));
        assert!(failure("deadwalk run --provoke 1000001 x").contains("US,SEED"));
        assert!(failure("deadwalk run --html f x").contains("not available yet"));
        assert!(failure("deadwalk run --error-exitcode 256 x").contains("256"));
        assert!(failure("deadwalk report").contains("RECORD"));
    }

    #[test]
    fn what_follows_the_command_is_the_command_s() {
        let line = "deadwalk run -q --del sync prog --json -q -- x";
        let Ok(Parsed::Command(Command::Run(run))) = parse(line.split(' ').map(OsString::from))
        else {
            panic!("refused");
        };
        assert_eq!(run.command, ["prog", "--json", "-q", "--", "x"]);
        assert!(run.quiet && run.json.is_none() && run.del == Some(DelPolicy::Sync));
    }

    #[test]
    fn every_argument_of_kcc_is_the_compiler_s() {
        for line in ["-o out -O2 -Wall x.c", "--print-flags -c", "-c -- x.c", "x.c -o y --version"]
        {
            let words = line.split(' ').map(OsString::from);
            let given = ["deadwalk", "kcc"].into_iter().map(OsString::from).chain(words.clone());
            let Ok(Parsed::Command(Command::Kcc(kcc))) = parse(given) else {
                panic!("refused: {line}");
            };
            assert_eq!(kcc.arguments, words.collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_policy_is_taken() {
        for policy in [DelPolicy::Async, DelPolicy::Sync, DelPolicy::Running] {
            let line = format!("deadwalk run --del {} x", policy.name());
            let Ok(Parsed::Command(Command::Run(run))) = parse(line.split(' ').map(OsString::from))
            else {
                panic!("refused: {line}");
            };
            assert_eq!(run.del, Some(policy));
        }
    }

    #[test]
    fn the_help_tells_what_every_policy_does() {
        let Ok(Parsed::Print(text)) =
            parse(["deadwalk", "run", "--help"].into_iter().map(OsString::from))
        else {
            panic!("no help");
        };
        for policy in policies() {
            let row = format!("{}: ", policy.name());
            assert!(text.contains(&row) && text.contains(effect(policy)), "{text}");
        }
    }

    #[test]
    fn the_help_lists_every_option() {
        for line in ["deadwalk --help", "deadwalk run --help", "deadwalk run -h"] {
            let Ok(Parsed::Print(text)) = parse(line.split(' ').map(OsString::from)) else {
                panic!("no help");
            };
            assert!(TABLE.iter().all(|row| text.contains(row.key)), "{line}");
        }
    }
}
