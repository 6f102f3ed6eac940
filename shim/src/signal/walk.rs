//! The stack of the instruction that a signal interrupted, as far as it can be unwound.
//!
//! Contexts: signal handlers, in an [`attempt`](super::attempt).

use core::ops::ControlFlow;
use core::sync::atomic::{AtomicUsize, Ordering::*};

use deadwalk_detector::record::layout::STACK_DEPTH;

use crate::modules;

/// The addresses, innermost first, without our own frames behind the first.
pub struct Walk {
    /// The interrupted frame's address.
    pub from: usize,
    frames: [usize; STACK_DEPTH],
    /// Stored last: the attempt may end at any instruction.
    depth: AtomicUsize,
    /// Asked for each frame whether it is the last that is wanted.
    is_last: fn(usize, usize) -> bool,
}

impl Walk {
    /// Only the instruction itself.
    pub fn new(ip: usize) -> Walk {
        Walk::until(ip, |_, _| false)
    }

    /// The same, for a walk that ends early: at the first address of which `is_last`, told
    /// it and how many there are, says so.
    pub fn until(ip: usize, is_last: fn(usize, usize) -> bool) -> Walk {
        let mut frames = [0; STACK_DEPTH];
        frames[0] = ip;
        Walk { from: ip, frames, depth: AtomicUsize::new(1), is_last }
    }

    /// What was found so far.
    pub fn frames(&self) -> &[usize] {
        &self.frames[..self.depth.load(Acquire).min(STACK_DEPTH)]
    }

    fn push(&mut self, addr: usize) -> ControlFlow<()> {
        let depth = self.depth.load(Relaxed);
        if modules::is_own(addr) {
            return ControlFlow::Continue(());
        }
        self.frames[depth] = addr;
        self.depth.store(depth + 1, Release);
        if depth + 1 == STACK_DEPTH || (self.is_last)(addr, depth + 1) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// Unwinds.
    pub extern "C-unwind" fn go(&mut self) {
        if self.from != self.frames[0] && self.push(self.from).is_break() {
            return;
        }
        let mut is_below = false;
        // SAFETY: the unsynchronized form shares no state when it only walks.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                let ip = frame.ip() as usize;
                if is_below && ip != 0 && self.push(ip - 1).is_break() {
                    return false;
                }
                is_below |= ip == self.from;
                ip != 0
            });
        }
    }
}
