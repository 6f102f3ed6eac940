//! Where a frame is, on one line.

use crate::escape::visible;
use crate::report::model::Frame;

/// Characters that a source path takes before it is cut in front.
const PATH_CHARS_MAX: usize = 48;

/// `function`, or as much of it as is known.
pub fn function(frame: &Frame) -> String {
    match &frame.function {
        Some(name) => visible(name),
        None => module_and_offset(frame),
    }
}

/// `file:line`, or `module+offset`.
pub fn position(frame: &Frame) -> String {
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{}:{line}", short_path(file)),
        (Some(file), None) => short_path(file),
        (None, _) => module_and_offset(frame),
    }
}

/// `file:line in function`, for a call.
pub fn call(frame: &Frame) -> String {
    match &frame.function {
        Some(name) => format!("{} in {}", position(frame), visible(name)),
        None => position(frame),
    }
}

/// `function at file:line`, for a function.
pub fn entry(frame: &Frame) -> String {
    match &frame.function {
        Some(name) => format!("{} at {}", visible(name), position(frame)),
        None => position(frame),
    }
}

fn module_and_offset(frame: &Frame) -> String {
    if frame.module.is_empty() {
        return visible(&frame.ip);
    }
    let module = frame.module.rsplit('/').next().unwrap_or(&frame.module);
    let place = format!("{}+{}", visible(module), visible(&frame.offset));
    match &frame.nearest_symbol {
        Some(symbol) => format!("{place} (near {})", visible(symbol)),
        None => place,
    }
}

/// The path below the current folder, or its end if it is long.
fn short_path(path: &str) -> String {
    let below = std::env::current_dir()
        .ok()
        .and_then(|dir| path.strip_prefix(dir.to_str()?)?.strip_prefix('/').map(str::to_owned));
    let path = visible(below.as_deref().unwrap_or(path));
    if path.chars().count() <= PATH_CHARS_MAX {
        return path;
    }
    let parts: Vec<&str> = path.rsplit('/').take(3).collect();
    let tail: Vec<&str> = parts.into_iter().rev().collect();
    format!(".../{}", tail.join("/"))
}
