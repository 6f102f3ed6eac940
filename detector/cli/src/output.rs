//! Writes to stdout and stderr without a panic.

use std::io::{ErrorKind, IsTerminal, Write};

use crate::escape;
use crate::exit::Failure;

/// Lines about problems: ten thousand bad records are no reason for more.
const LINES_MAX: usize = 10;

/// One line on stderr that starts with the program's name. An error is ignored:
/// there is nowhere left to tell it.
pub fn line(text: &str) {
    to_stderr(&format!("deadwalk: {}\n", escape::visible(text)));
}

/// Lines as [`line`] prints them, no more than fit a screen.
pub fn lines(texts: &[String]) {
    texts.iter().take(LINES_MAX).for_each(|text| line(text));
    if texts.len() > LINES_MAX {
        line(&format!("and {} more problems like these", texts.len() - LINES_MAX));
    }
}

/// A text on stderr; errors are ignored.
pub fn to_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A text on stdout. A reader that has gone (`| head`) is no error.
///
/// # Errors
///
/// If it cannot be written, a full disk for example.
pub fn to_stdout(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::own(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Whether a stream takes colours: a terminal, and nobody said no.
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    let no = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    stream.is_terminal() && !no && !dumb
}
