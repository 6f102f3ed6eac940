//! Words for a finding's timer, its memory and its handler.

use deadwalk_detector::Api;
use deadwalk_detector::record::reader;

use super::model::Frame;
use crate::text::units::duration;

/// "the handler `name`", or as much of it as is known.
pub fn handler(entry: Option<&Frame>) -> String {
    match entry.and_then(|f| f.function.as_deref()) {
        Some(name) => format!("the handler `{name}`"),
        None => "the handler".to_owned(),
    }
}

/// " (the handler `name`)", or nothing if its name is not known.
pub fn whose(entry: Option<&Frame>) -> String {
    match entry.and_then(|f| f.function.as_deref()) {
        Some(_) => format!(" ({})", handler(entry)),
        None => String::new(),
    }
}

/// "the timer_list at 0x...".
pub fn timer(finding: &reader::Finding) -> String {
    match finding.addr {
        0 => "the timer_list".to_owned(),
        addr => format!("the timer_list at {addr:#x}"),
    }
}

/// The same, for a finding whose address may be that of the whole block.
pub fn timer_in_block(finding: &reader::Finding) -> String {
    if finding.addr == finding.base { "the timer_list".to_owned() } else { timer(finding) }
}

/// The timer whose handler's code was unloaded: a timer_list, or one of POSIX.
pub fn unloaded_timer(finding: &reader::Finding) -> String {
    match finding.api {
        Api::TimerList => timer_in_block(finding),
        _ => "a timer".to_owned(),
    }
}

/// "a block of 96 bytes", or "memory" if no heap block is known.
pub fn memory(finding: &reader::Finding) -> String {
    match (finding.base, finding.size) {
        (0, _) => "memory".to_owned(),
        (_, 1) => "a block of 1 byte".to_owned(),
        (_, size) => format!("a block of {size} bytes"),
    }
}

/// "a block of 96 bytes that had been freed 1.2 us before".
pub fn freed_memory(finding: &reader::Finding) -> String {
    let memory = memory(finding);
    match finding.age_ns {
        0 => format!("{memory} that had been freed"),
        age => format!("{memory} that had been freed {} before", duration(age)),
    }
}

/// How a C++ block was given back other than it came. The families stand in the
/// first of the recorded bytes, the sizes in the last eight.
pub fn mismatch(finding: &reader::Finding) -> String {
    let size = finding.size;
    let Some((from, to)) = finding.bytes else {
        return format!("a block of {size} bytes was given back to another family");
    };
    let given = u64::from_le_bytes(core::array::from_fn(|i| to[8 + i]));
    match (family(from[0]), family(to[0])) {
        (from, to) if from == to => {
            format!("a block of {size} bytes was given back by {} of {given}", to.1)
        }
        (from, to) => format!("a block of {size} bytes came from {} and went to {}", from.0, to.1),
    }
}

fn family(number: u8) -> (&'static str, &'static str) {
    match number {
        0 => ("malloc", "free"),
        1 => ("new", "delete"),
        2 => ("new[]", "delete[]"),
        _ => ("an unknown family", "an unknown family"),
    }
}
