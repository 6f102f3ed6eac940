//! The option string, and the values in it.

use super::{Options, TABLE};
use crate::provoke::LIMIT_MAX_US;

/// A part of the option string that was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem<'a> {
    /// No option has this key.
    UnknownKey(&'a str),
    /// The key is known, the value is not one of its values.
    BadValue(&'a str, &'a str),
}

impl<'a> Options<'a> {
    /// Applies an option string, later entries over earlier ones. What is not
    /// understood is handed to `problem` and left out.
    pub fn apply(&mut self, text: &'a str, mut problem: impl FnMut(Problem<'a>)) {
        let mut rest = text;
        while !rest.is_empty() {
            let (entry, quoted, after) = next_entry(rest);
            rest = after;
            if entry.is_empty() {
                continue;
            }
            let (key, value) = match quoted {
                Some(value) => (entry, value),
                None => entry.split_once('=').unwrap_or((entry, "")),
            };
            match TABLE.iter().find(|row| row.key == key) {
                None => problem(Problem::UnknownKey(key)),
                Some(row) if (row.set)(self, value).is_none() => {
                    problem(Problem::BadValue(key, value));
                }
                Some(_) => {}
            }
        }
    }
}

/// Splits off one entry: `(key=value, None, rest)` or, if the value is quoted,
/// `(key, Some(value), rest)`.
fn next_entry(text: &str) -> (&str, Option<&str>, &str) {
    let colon = text.find(':').unwrap_or(text.len());
    if let Some(eq) = text[..colon].find('=') {
        let value = &text[eq + 1..];
        for quote in ['\'', '"'] {
            if let Some(inner) = value.strip_prefix(quote)
                && let Some(end) = inner.find(quote)
            {
                let rest = &inner[end + 1..];
                return (&text[..eq], Some(&inner[..end]), rest.strip_prefix(':').unwrap_or(rest));
            }
        }
    }
    (&text[..colon], None, text.get(colon + 1..).unwrap_or(""))
}

pub fn parse_switch(value: &str) -> Option<bool> {
    match value {
        "on" | "1" | "true" => Some(true),
        "off" | "0" | "false" => Some(false),
        _ => None,
    }
}

/// `US[,SEED]`: the longest delay, and the seed if there is one.
pub fn parse_provoke(value: &str) -> Option<(u32, Option<u64>)> {
    let (us, seed) = match value.split_once(',') {
        Some((us, seed)) => (us, Some(seed.parse().ok()?)),
        None => (value, None),
    };
    Some((us.parse().ok().filter(|&us| us <= LIMIT_MAX_US)?, seed))
}

pub fn parse_bytes(value: &str) -> Option<usize> {
    let (digits, unit) = match value.as_bytes().last()? {
        b'k' | b'K' => (&value[..value.len() - 1], 1 << 10),
        b'm' | b'M' => (&value[..value.len() - 1], 1 << 20),
        _ => (value, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::super::DelPolicy;
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> (Options<'_>, Vec<Problem<'_>>) {
        let mut options = Options::default();
        let mut problems = Vec::new();
        options.apply(text, |p| problems.push(p));
        (options, problems)
    }

    #[test]
    fn the_help_s_defaults_are_the_defaults() {
        for row in TABLE.iter().filter(|r| !matches!(r.key, "output" | "guard_sites")) {
            let mut options = Options { quarantine_bytes: 1, ..Options::default() };
            assert_eq!((row.set)(&mut options, row.default), Some(()), "{}", row.key);
            options.quarantine_bytes = Options::default().quarantine_bytes;
            assert_eq!(options, Options::default(), "{}", row.key);
        }
    }

    #[test]
    fn values_quotes_and_order() {
        let (o, p) = parse("del=sync:output='/a b:c':quarantine=64k::argv=0:argv=true:del=async");
        assert_eq!(p, []);
        assert_eq!(o.output, Some("/a b:c"));
        assert_eq!((o.del, o.quarantine_bytes, o.argv), (DelPolicy::Async, 65536, true));
        assert_eq!(parse("output=\"it's:here\"").0.output, Some("it's:here"));
    }

    #[test]
    fn provoke_takes_a_seed_with_it_or_apart() {
        let provoke = |text| {
            let (o, p) = parse(text);
            assert_eq!(p, [], "{text}");
            (o.provoke_us, o.provoke_seed)
        };
        assert_eq!(provoke(""), (0, None));
        assert_eq!(provoke("provoke=2000"), (2000, None));
        assert_eq!(provoke("provoke=2000,7"), (2000, Some(7)));
        assert_eq!(provoke("provoke_seed=9:provoke=5"), (5, Some(9)));
        assert_eq!(provoke("provoke=5,1:provoke_seed=2"), (5, Some(2)));
        assert_eq!(provoke("provoke=5,1:provoke_seed=random"), (5, None));
        for bad in ["1000001", "-1", "5,", ",5", "5,x", "5,1,2", ""] {
            assert_eq!(parse_provoke(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named_and_the_rest_applies() {
        let (o, p) = parse("bogus=1:del=maybe:tail_us=-1:bytes:del=sync");
        assert_eq!(o.del, DelPolicy::Sync);
        assert_eq!(
            p,
            [
                Problem::UnknownKey("bogus"),
                Problem::BadValue("del", "maybe"),
                Problem::BadValue("tail_us", "-1"),
                Problem::BadValue("bytes", "")
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_ends(text in "\\PC*") { let _ = parse(&text); }

        #[test]
        fn any_near_text_ends(text in "[a-z=:'\"0-9]{0,60}") { let _ = parse(&text); }
    }
}
