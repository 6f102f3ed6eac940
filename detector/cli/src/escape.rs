//! Makes texts from records, files and programs safe to print.
//!
//! A module path, an argument or a function's name may hold escape sequences
//! that a terminal obeys, or characters that reorder a line.

use std::fmt::Write;

/// The text with every control character and every character that changes the
/// direction of writing as `\x1b` or `\u{202e}`.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !is_unsafe(c) {
            out.push(c);
        } else if (c as u32) < 0x100 {
            let _ = write!(out, "\\x{:02x}", c as u32);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        }
    }
    out
}

/// JSON with the unsafe characters that JSON allows in strings as `\uXXXX`.
/// They occur in strings only, so the document stays the same one.
pub fn json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        if is_unsafe(c) && c != '\n' {
            let _ = write!(out, "\\u{:04x}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}' | '\u{2029}')
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_control_characters() {
        assert_eq!(visible("a\x1b[31mb\n\u{9b}c\u{202e}ü"), "a\\x1b[31mb\\x0a\\x9bc\\u{202e}ü");
    }

    #[test]
    fn json_stays_the_same_document() {
        let text = "a\u{9b}\u{7f}\u{202e}\n";
        let document = escaped(text);
        assert!(!document.chars().any(|c| is_unsafe(c) && c != '\n'));
        assert_eq!(serde_json::from_str::<String>(&document).expect("JSON"), text);
    }

    fn escaped(text: &str) -> String {
        json(&serde_json::to_string(text).expect("JSON"))
    }
}
