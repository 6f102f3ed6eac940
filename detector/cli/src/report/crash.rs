//! The crash of a process.

use super::frames::Frames;
use super::model::Crash;
use crate::collect::{Ended, ProcessTotal};

/// The crash that ended a process; one that it survived is none.
pub fn crash(total: &ProcessTotal, frames: &mut Frames<'_>) -> Option<Crash> {
    let crash = total.process.crash.as_ref()?;
    if total.ended != Ended::Signal(crash.signal) {
        return None;
    }
    let poison = |value| format!("{value:#x} was read from freed memory");
    Some(Crash {
        signal: crash.signal,
        name: name(crash.signal),
        code: crash.code,
        addr: crash.addr.map(|addr| format!("{addr:#x}")),
        access: crash.access.name(),
        ip: format!("{:#x}", crash.ip),
        thread: crash.tid,
        time_ns: crash.at_ns,
        hint: crash.poison.map(poison),
        stack: total.crash_stack.map(|stack| frames.stack(stack)).unwrap_or_default(),
    })
}

/// The name of a signal that says of a crash; numbers are Linux's on x86-64.
fn name(signal: u32) -> String {
    let name = match signal {
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        11 => "SIGSEGV",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}
