//! tokio-util's `DelayQueue`, a hierarchical wheel over a slab, of tokio's runtime.

use crate::work::Timers;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

/// The queue, each timer's key, and the runtime whose clock it asks.
pub struct Delays {
    runtime: Runtime,
    queue: DelayQueue<u32>,
    keys: Vec<Option<Key>>,
    start: Instant,
}

impl Delays {
    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }
}

impl Timers for Delays {
    fn new(count: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (queue, start) = {
            let _inside = runtime.enter();
            (DelayQueue::new(), Instant::now())
        };
        Delays { runtime, queue, keys: vec![None; count], start }
    }

    fn add(&mut self, id: u32, ms: u64) {
        let _inside = self.runtime.enter();
        self.keys[id as usize] = Some(self.queue.insert_at(id, self.at(ms)));
    }

    fn modify(&mut self, id: u32, ms: u64) {
        let at = self.at(ms);
        let _inside = self.runtime.enter();
        if let Some(key) = &self.keys[id as usize] {
            self.queue.reset_at(key, at);
        }
    }

    fn delete(&mut self, id: u32) {
        let _inside = self.runtime.enter();
        if let Some(key) = self.keys[id as usize].take() {
            self.queue.remove(&key);
        }
    }

    fn expire(&mut self, _ms: u64) -> usize {
        let queue = &mut self.queue;
        self.runtime.block_on(async {
            let mut count = 0;
            while poll_fn(|context| match queue.poll_expired(context) {
                Poll::Ready(Some(_)) => Poll::Ready(true),
                Poll::Ready(None) => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            })
            .await
            {
                count += 1;
            }
            count
        })
    }
}
