//! Any bytes as a sequence of calls: what a fuzzer drives.

use crate::step::{Source, Step};
use crate::world;

/// One step in so many is a misuse, if the bytes are random.
const MISUSE_PERIOD: usize = 16;

/// Takes its numbers from bytes; zeros when there are no more.
struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn below(&mut self, bound: usize) -> usize {
        // As few bytes as the bound needs, so that one changed changes little.
        let len = (bound.ilog2() as usize / 8 + 1).min(self.0.len());
        let (head, rest) = self.0.split_at(len);
        self.0 = rest;
        head.iter().fold(0, |value, &byte| value << 8 | byte as usize) % bound
    }
}

/// Makes the calls that the bytes say, and checks all.
pub fn play(data: &[u8]) {
    let mut bytes = Bytes(data);
    world::play(|world| {
        if bytes.0.is_empty() {
            return None;
        }
        let (held, gone) = (world.live.len(), world.gone.len());
        Some(match bytes.below(MISUSE_PERIOD) {
            0 => Step::misuse(&mut bytes, held, gone),
            _ => Step::clean(&mut bytes, held, |which| world.live[which].size),
        })
    });
}
