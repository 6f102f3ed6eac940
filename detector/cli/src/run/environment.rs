//! CMD's environment: what is preloaded, and the options.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use deadwalk_detector::options::{DelPolicy, Options};

use crate::output;

const PRELOAD: &str = "LD_PRELOAD";
const OPTIONS: &str = "DEADWALK_OPTIONS";

/// The two variables that differ from our own environment.
pub struct Environment {
    preload: OsString,
    options: String,
}

impl Environment {
    /// `library` in front of what is preloaded already; the options in force
    /// with `output`, `del` and `provoke` over them.
    pub fn new(
        library: &Path,
        output: Option<&Path>,
        del: Option<DelPolicy>,
        provoke: Option<&str>,
    ) -> Environment {
        let preload = preload(library, std::env::var_os(PRELOAD).as_deref());
        let existing = std::env::var_os(OPTIONS).unwrap_or_default();
        let folder = output.and_then(Path::to_str).and_then(|folder| quoted("output", folder));
        let del = del.map(|del| format!("del={}", del.name()));
        let provoke = provoke.map(|provoke| format!("provoke={provoke}"));
        let own: Vec<String> = del.into_iter().chain(provoke).chain(folder).collect();
        let merged = existing.to_str().and_then(|existing| merge(existing, &own));
        let options = merged.unwrap_or_else(|| {
            output::line(&format!("{OPTIONS} is malformed and left out"));
            own.join(":")
        });
        Environment { preload, options }
    }

    /// Sets the variables for `command`.
    pub fn apply(&self, command: &mut Command) {
        command.env(PRELOAD, &self.preload).env(OPTIONS, &self.options);
    }
}

fn preload(library: &Path, existing: Option<&OsStr>) -> OsString {
    let mut out = library.as_os_str().to_owned();
    if let Some(existing) = existing.filter(|e| !e.is_empty()) {
        out.push(":");
        out.push(existing);
    }
    out
}

/// `key='value'`; `None` if the value holds both kinds of quotes.
fn quoted(key: &str, value: &str) -> Option<String> {
    let quote = ['\'', '"'].into_iter().find(|&q| !value.contains(q))?;
    Some(format!("{key}={quote}{value}{quote}"))
}

/// Whether an option can hold the path of a folder.
pub fn can_name(folder: &Path) -> bool {
    folder.to_str().is_some_and(|text| quoted("output", text).is_some())
}

/// The entries of `own` behind `existing`; `None` if something in `existing`, a
/// quote without its end, swallows them.
fn merge(existing: &str, own: &[String]) -> Option<String> {
    let own = own.join(":");
    let merged = match (existing.is_empty(), own.is_empty()) {
        (true, _) => own.clone(),
        (_, true) => existing.to_owned(),
        _ => format!("{existing}:{own}"),
    };
    // Parsed apart, one over the other, they must say what they say together.
    let mut apart = Options::default();
    apart.apply(existing, |_| {});
    apart.apply(&own, |_| {});
    let mut together = Options::default();
    together.apply(&merged, |_| {});
    (apart == together).then_some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<String> {
        vec!["del=sync".into(), quoted("output", "/a b:c'd").expect("quotable")]
    }

    #[test]
    fn the_command_line_goes_over_the_variable() {
        let merged = merge("del=async:tail_us=70:output=/x", &own()).expect("sound");
        let mut options = Options::default();
        options.apply(&merged, |problem| panic!("{problem:?}"));
        assert_eq!((options.del, options.tail_us), (DelPolicy::Sync, 70));
        assert_eq!(options.output, Some("/a b:c'd"));
        assert_eq!(merge("", &own()).expect("sound"), "del=sync:output=\"/a b:c'd\"");
        assert_eq!(merge("log=off", &[]).expect("sound"), "log=off");
        let merged = merge("del=sync:hz=250", &["del=running".into()]).expect("sound");
        let mut options = Options::default();
        options.apply(&merged, |problem| panic!("{problem:?}"));
        assert_eq!((options.del, options.hz), (DelPolicy::Running, 250));
    }

    #[test]
    fn an_open_quote_cannot_swallow_our_options() {
        assert_eq!(merge("log=\"off", &own()), None);
        assert_eq!(quoted("output", "/a'\"b"), None);
    }

    #[test]
    fn what_is_preloaded_stays_behind_ours() {
        assert_eq!(preload("/l.so".as_ref(), None), "/l.so");
        assert_eq!(preload("/l.so".as_ref(), Some("".as_ref())), "/l.so");
        assert_eq!(preload("/l.so".as_ref(), Some("/x.so:/y".as_ref())), "/l.so:/x.so:/y");
    }
}
