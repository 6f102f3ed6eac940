//! One line in plain words per finding.

use deadwalk_detector::record::reader;
use deadwalk_detector::{Consequence, Kind};

use super::model::Frame;

/// What happened, with the handler's name where there is a handler.
pub fn message(finding: &reader::Finding, handler: Option<&Frame>, tail: bool) -> String {
    let handler = match handler.and_then(|f| f.function.as_deref()) {
        Some(name) => format!("the handler `{name}`"),
        None => "the handler".to_owned(),
    };
    let size = finding.size;
    let offset = finding.offset;
    let text = match finding.kind {
        Kind::DelWhileRunning => {
            let followed = followed(finding.consequence);
            format!("the delete returned while {handler} ran on another thread{followed}")
        }
        Kind::DataFreeWhileRunning => {
            format!("the data of {handler} was freed by another thread while it ran")
        }
        Kind::DataFreeWhilePending => {
            format!("a block was freed that is the data of an armed timer ({handler})")
        }
        Kind::EnterWithFreedData => format!("{handler} started after its data had been freed"),
        Kind::ExpiryAfterDel => format!("{handler} started after the delete had returned"),
        Kind::StaleHandle => "a call on a timer that had been deleted before".to_owned(),
        Kind::OverlappingHandler => {
            format!("{handler} of one timer ran twice at the same time")
        }
        Kind::DelDeadlock => format!("a waiting delete gave up: {handler} did not end"),
        Kind::UseAfterFreeWrite => {
            format!("freed memory was written to, at offset {offset} of a block of {size} bytes")
        }
        Kind::DoubleFree => format!("a block of {size} bytes was freed a second time"),
        Kind::InvalidFree => {
            format!("{:#x} was freed, which is not the start of a live block", finding.addr)
        }
        Kind::HeapBufferOverflow => {
            format!("memory behind a block of {size} bytes was written to, at offset {offset}")
        }
        Kind::HeapBufferUnderflow => {
            format!("memory in front of a block of {size} bytes was written to, at offset {offset}")
        }
        Kind::LayoutMismatch => {
            format!("a block of {size} bytes was given back with another layout")
        }
    };
    if tail { text + " (in its last instructions: legal)" } else { text }
}

fn followed(consequence: Consequence) -> &'static str {
    match consequence {
        Consequence::None => "",
        Consequence::DataFreed => "; its data was freed before it ended",
        Consequence::StorageFreed => "; the timer's memory was freed before it ended",
        Consequence::TextUnloaded => "; its code was unloaded before it ended",
        Consequence::ResourceClosed => "; a descriptor was closed that it then used",
        Consequence::Rearmed => "; it armed the deleted timer again",
        Consequence::Touched => "; what was freed under it was then used",
    }
}

/// Whether a kind is about memory rather than about a timer.
pub fn is_memory(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::UseAfterFreeWrite
            | Kind::DoubleFree
            | Kind::InvalidFree
            | Kind::HeapBufferOverflow
            | Kind::HeapBufferUnderflow
            | Kind::LayoutMismatch
    )
}
