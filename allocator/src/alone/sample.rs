//! One in so many allocations lies alone, whoever makes it: by chance, as what nobody
//! watches is misused by chance.
//!
//! Ground rules. `malloc`'s fast path knows nothing of it. Who finds its cache empty
//! counts what the cache gave since, and if the turn of one has come, that block is it.
//! So the sampled block is always one of those that need a new batch; the turns are
//! drawn by lot, and each moves the batches on by one.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// One in so many; 0 is none.
static ONE_IN: AtomicU32 = AtomicU32::new(0);

/// Sets how many.
pub fn configure(one_in: u32) {
    ONE_IN.store(one_in, Relaxed);
}

/// What one thread's cache knows of its turns.
#[derive(Default)]
pub struct Sampler {
    /// Allocations since the last turn, and at how many the next one comes.
    since: u64,
    next: u64,
    random: u64,
}

impl Sampler {
    /// Whether a block's turn has come, after so many `allocations` since this was
    /// asked last.
    #[inline]
    pub fn is_due(&mut self, allocations: impl FnOnce() -> u64) -> bool {
        let one_in = ONE_IN.load(Relaxed);
        one_in != 0 && self.is_due_of(one_in.into(), allocations())
    }

    #[cold]
    fn is_due_of(&mut self, one_in: u64, allocations: u64) -> bool {
        if self.next == 0 {
            self.random = core::ptr::from_ref(self) as u64 | 1;
            self.next = self.draw(one_in);
        }
        self.since += allocations;
        if self.since < self.next {
            return false;
        }
        self.since -= self.next;
        self.next = self.draw(one_in);
        true
    }

    /// 1 to `2 * mean - 1`.
    fn draw(&mut self, mean: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        // The low bits of an address say little.
        1 + (self.random >> 20) % (2 * mean - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_once_in_so_many() {
        for one_in in [1, 2, 10, 1000] {
            let mut sampler = Sampler::default();
            let mut due = 0;
            for _ in 0..100_000 {
                // A batch, and those whose turn it is do not come from it.
                let mut given = 32;
                while sampler.is_due_of(one_in, core::mem::take(&mut given)) {
                    due += 1;
                }
            }
            let expected = 3_200_000 / one_in;
            assert!((expected * 9 / 10..=expected * 11 / 10).contains(&due), "{one_in}: {due}");
        }
    }
}
