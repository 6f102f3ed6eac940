//! Exit statuses, as `env` and `timeout` have them.

/// Every error of deadwalk itself, usage included.
pub const OWN_ERROR: u8 = 125;
/// CMD was found but cannot be executed.
pub const CANNOT_EXECUTE: u8 = 126;
/// CMD was not found.
pub const NOT_FOUND: u8 = 127;
/// Added to the number of the signal that killed CMD.
pub const SIGNAL_BASE: i32 = 128;

/// Why deadwalk stops: one line for stderr, and its exit status.
#[derive(Debug)]
pub struct Failure {
    /// Exit status.
    pub status: u8,
    /// One line, without the program's name.
    pub text: String,
}

impl Failure {
    /// An error of deadwalk itself.
    pub fn own(text: impl Into<String>) -> Failure {
        Failure { status: OWN_ERROR, text: text.into() }
    }
}
