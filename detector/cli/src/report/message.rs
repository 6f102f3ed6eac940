//! One line in plain words per finding.

use deadwalk_detector::record::reader;
use deadwalk_detector::{Consequence, Kind, Subject};

use super::model::Frame;
use super::words;

/// What happened, with the handler's name where there is a handler.
pub fn message(finding: &reader::Finding, handler: Option<&Frame>, tail: bool) -> String {
    let text = text(finding, &words::handler(handler), &words::whose(handler));
    if tail { text + " (in its last instructions: legal)" } else { text }
}

fn text(finding: &reader::Finding, handler: &str, whose: &str) -> String {
    let (size, offset) = (finding.size, finding.offset);
    let timer = words::timer(finding);
    let memory = words::memory(finding);
    match finding.kind {
        Kind::DelWhileRunning => {
            let name =
                if finding.declared_async { ", which by its name does not wait," } else { "" };
            let followed = followed(finding.consequence);
            format!("the delete{name} returned while {handler} ran on another thread{followed}")
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
        Kind::DelDeadlock if finding.own_wait => format!(
            "{handler} waits for a lock of the thread that deleted its timer, which waits too"
        ),
        Kind::DelDeadlock => format!("a waiting delete gave up: {handler} did not end"),
        Kind::UseAfterFreeWrite => {
            let held = match finding.subject {
                Subject::Timer => " that held a timer",
                Subject::TimerData => " that was a timer's data",
                Subject::Heap => "",
            };
            format!(
                "freed memory was written to, at offset {offset} of a block of {size} bytes{held}"
            )
        }
        Kind::DoubleFree => format!("a block of {size} bytes was freed a second time"),
        Kind::InvalidFree => {
            format!("{:#x} was freed, which is not the start of a live block", finding.addr)
        }
        Kind::HeapBufferOverflow => {
            // The heap compares the first word behind a block when it hands it out,
            // the rest only later.
            let is_sure = u64::try_from(offset).is_ok_and(|offset| offset <= size | 7);
            let or = "; what lies between is sound, so it may also be a late write to an earlier block in this place";
            let or = if is_sure { "" } else { or };
            format!("memory behind a block of {size} bytes was written to, at offset {offset}{or}")
        }
        Kind::HeapBufferUnderflow => {
            format!("memory in front of a block of {size} bytes was written to, at offset {offset}")
        }
        Kind::LayoutMismatch => {
            format!("a block of {size} bytes was given back with another layout")
        }
        Kind::FreeWhilePending => {
            format!("{memory} was freed while {timer} in it was armed{whose}")
        }
        Kind::FreeWhileRunning => {
            let timer = words::timer_in_block(finding);
            format!("{memory} was freed while {handler} of {timer} in it ran on another thread")
        }
        Kind::FreeOwnHandler => {
            format!("{handler} freed {memory} that holds its own timer, {timer}")
        }
        Kind::ExpireAfterFree => {
            let freed = words::freed_memory(finding);
            format!("{timer} expired in {freed}; {handler} was not called")
        }
        Kind::ApiUseAfterFree => {
            format!("a call on {timer}, which lies in {}", words::freed_memory(finding))
        }
        Kind::RearmAfterDel => {
            format!("{handler} armed {timer} again after a delete had returned while it ran")
        }
        Kind::TimerCopied => {
            format!("{timer} is a copy, made by memcpy or realloc, of one that was armed")
        }
        Kind::TimerWiped => {
            format!("{timer} was zeroed while it was armed; {handler} is not called")
        }
        Kind::TimerClobbered => {
            format!("{timer} was overwritten while it was armed; {handler} is not called")
        }
        Kind::UninitUse => format!("a call on {timer}, which nobody initialised"),
        Kind::StaticUninit => {
            format!("{timer} is all zero: it was used without an initialiser")
        }
        Kind::NullHandler => format!("{timer} was armed without a function; the call was ignored"),
        Kind::DoubleAdd => {
            format!("add_timer on {timer}, which was armed already; the call was ignored")
        }
        Kind::ReinitPending => {
            format!("{timer} was initialised while it was armed{whose}; it was detached")
        }
        Kind::MissingTimerExit => {
            format!("{handler} of {timer} ended without timer_exit while a delete waited for that")
        }
        Kind::RunningFlagAfterFree => {
            format!(
                "the `running` of {timer} was needed when {handler} ended, and its storage was gone"
            )
        }
        Kind::ReinitRunning => {
            let timer = words::timer_in_block(finding);
            format!("{timer} was initialised while {handler} ran on another thread")
        }
        Kind::StorageReused => {
            let timer = words::timer_in_block(finding);
            format!("{timer} was made in memory whose former timer's handler still ran{whose}")
        }
        Kind::ArmAfterShutdown => {
            format!("{timer} was armed after it had been shut down; the call was dropped")
        }
        Kind::ConcurrentArm => {
            format!("two threads armed {timer} at the same time, which was inactive")
        }
        Kind::RearmPast => {
            format!("{handler} armed {timer} for now or earlier; it ran at the next tick")
        }
        Kind::ConfusedReaddDelFree => {
            format!("{handler} armed, deleted and freed {timer} while a delete waited for it")
        }
        Kind::SyncDelFromHandler => {
            format!("{handler} called a delete that waits for itself, on {timer}")
        }
        Kind::UnloadWhilePending => {
            let timer = words::unloaded_timer(finding);
            format!("the code of {handler} was unloaded while {timer} was armed; it was detached")
        }
        Kind::UnloadWhileRunning => {
            let timer = words::unloaded_timer(finding);
            format!("the code of {handler} of {timer} was unloaded while it ran")
        }
        Kind::AllocDeallocMismatch => words::mismatch(finding),
        Kind::SignalUnsafeCall if finding.addr != 0 => {
            let stream = finding.addr;
            format!(
                "a signal handler that had interrupted stdio on the stream {stream:#x} called it"
            )
        }
        Kind::SignalUnsafeCall => {
            "a signal handler that had interrupted malloc or free called it".to_owned()
        }
        Kind::UseAfterFreeRead => {
            format!("freed memory was read, at offset {offset} of a block of {size} bytes")
        }
        Kind::StaleExpiry => {
            format!("the C library delivered an expiry of a deleted timer to {handler}")
        }
        Kind::ItimerClobbered => {
            format!(
                "another user of the process's one clock took it from {handler}, whose expiry never came"
            )
        }
    }
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
            | Kind::AllocDeallocMismatch
            | Kind::SignalUnsafeCall
            | Kind::UseAfterFreeRead
    )
}
