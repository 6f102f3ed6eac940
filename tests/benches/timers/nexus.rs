//! `nexus-timer`, a hierarchical wheel over a slab.

use crate::work::Timers;
use nexus_timer::{TimerHandle, Wheel};
use std::time::{Duration, Instant};

/// The wheel, and each timer's handle.
pub struct Nexus {
    wheel: Wheel<u32>,
    handles: Vec<Option<TimerHandle<u32>>>,
    start: Instant,
    expired: Vec<u32>,
}

impl Nexus {
    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }
}

impl Timers for Nexus {
    fn new(count: usize) -> Self {
        let start = Instant::now();
        let handles = (0..count).map(|_| None).collect();
        Nexus { wheel: Wheel::unbounded(count, start), handles, start, expired: vec![] }
    }

    fn add(&mut self, id: u32, ms: u64) {
        let handle = self.wheel.schedule(self.at(ms), id);
        self.handles[id as usize] = Some(handle);
    }

    fn modify(&mut self, id: u32, ms: u64) {
        let at = self.at(ms);
        let handle = &mut self.handles[id as usize];
        *handle = handle.take().map(|handle| self.wheel.reschedule(handle, at));
    }

    fn delete(&mut self, id: u32) {
        if let Some(handle) = self.handles[id as usize].take() {
            self.wheel.cancel(handle);
        }
    }

    fn expire(&mut self, ms: u64) -> usize {
        // It rounds up to its own ticks.
        let count = self.wheel.poll(self.at(ms + 10), &mut self.expired);
        for id in self.expired.drain(..) {
            // The caller's part: a handle must be given back.
            if let Some(handle) = self.handles[id as usize].take() {
                self.wheel.free(handle);
            }
        }
        count
    }
}
