//! Colours.

use deadwalk_detector::Severity;

/// Wraps texts in colours, or leaves them as they are.
#[derive(Clone, Copy)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// With colours or without.
    pub const fn new(colour: bool) -> Style {
        Style { colour }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What is to be seen first.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What can be skipped.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// A text in its severity's colour.
    pub fn severity(self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Error => self.wrap("1;31", text),
            Severity::Warning => self.wrap("1;33", text),
            Severity::Info => self.wrap("1;36", text),
        }
    }
}
