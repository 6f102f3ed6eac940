//! Random operations on a wheel and its reference.

use proptest::prelude::*;

use super::model::Pair;

/// Xorshift: the same operations in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        ((self.next() >> 32) * n) >> 32
    }

    /// Up to `2^bits`, all magnitudes alike.
    fn magnitude(&mut self, bits: u64) -> u64 {
        let bits = self.below(bits + 1);
        self.next() & ((1 << bits) - 1)
    }
}

const ENTRIES: u64 = 2048;

/// Runs the handlers of one tick as bad handlers do: re-adding themselves, also
/// in the past, moving and removing others, those waiting in `expired` included.
fn run_handlers(pair: &mut Pair, random: &mut Random) -> u64 {
    let (now, mut handlers) = (pair.wheel.now(), 0);
    while let Some(id) = pair.pop() {
        handlers += 1;
        let other = random.below(ENTRIES) as u32;
        match random.below(8) {
            0 => pair.add(id, now),
            1 => pair.add(id, now.saturating_sub(random.magnitude(40))),
            2 => pair.add(id, now + 1),
            3 => pair.add(id, now + random.magnitude(40)),
            4 => pair.add(other, now + random.magnitude(10)),
            5 => pair.remove(other),
            _ => {}
        }
        // Asked to go on, the wheel does only if all of the tick have run.
        if random.below(64) == 0 {
            pair.advance(now + random.magnitude(20));
        }
    }
    handlers
}

/// `count` operations from tick `start` on; returns the handlers run.
fn operate(start: u64, count: u32, seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut pair = Pair::new(start, ENTRIES as usize);
    let mut handlers = 0;
    for operation in 0..count {
        let now = pair.wheel.now();
        let id = random.below(ENTRIES) as u32;
        match random.below(16) {
            0..=5 => pair.add(id, now + random.magnitude(42)),
            6 => pair.add(id, now.saturating_sub(random.magnitude(20))),
            7..=8 => {
                pair.remove(id);
                pair.add(id, now + random.magnitude(24));
            }
            9..=11 => pair.remove(id),
            12..=14 => {
                if pair.advance(now + random.magnitude(8)) && random.below(4) != 0 {
                    handlers += run_handlers(&mut pair, &mut random);
                }
            }
            _ => {
                // Catch up: tick for tick, to the end of a step of any size.
                let until = now + random.magnitude(36);
                while pair.advance(until) {
                    handlers += run_handlers(&mut pair, &mut random);
                }
            }
        }
        if operation % 1024 == 0 {
            pair.check();
        }
    }
    pair.check();
    handlers
}

#[test]
fn matches_the_model_over_a_million_operations() {
    // The runs cross 2^32 and 2^63.
    for (seed, start) in
        [(0x9e37_79b9, 0), (0x7f4a_7c15, (1 << 32) - 40_000), (0xbf58_476d, (1 << 63) - 40_000)]
    {
        let handlers = operate(start, 334_000, seed);
        assert!(handlers > 100_000, "{handlers} handlers from {start}: too idle a test");
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Add { id: u32, delta: i64 },
    Remove { id: u32 },
    Advance { delta: u64 },
    Pop,
}

/// Distances around the edges of levels, and a few beside.
fn delta() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..130_u64,
        (1..8_u32, 0..3_u64).prop_map(|(level, beside)| (1 << (6 * level)) + beside - 1),
        (0..1_u64 << 44),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0..8_u32, delta())
            .prop_map(|(id, delta)| Operation::Add { id, delta: delta as i64 }),
        1 => (0..8_u32, 0..100_i64).prop_map(|(id, back)| Operation::Add { id, delta: -back }),
        2 => (0..8_u32).prop_map(|id| Operation::Remove { id }),
        3 => delta().prop_map(|delta| Operation::Advance { delta }),
        3 => Just(Operation::Pop),
    ]
}

fn start() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..200_u64,
        (1..11_u32, 0..4_u64).prop_map(|(level, beside)| (1 << (6 * level)) + beside - 2),
        Just((1 << 32) - 30),
        Just((1 << 63) - 30),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn small_cases_match_the_model(
        start in start(),
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let mut pair = Pair::new(start, 8);
        for operation in operations {
            let now = pair.wheel.now();
            match operation {
                Operation::Add { id, delta } => pair.add(id, now.saturating_add_signed(delta)),
                Operation::Remove { id } => pair.remove(id),
                Operation::Advance { delta } => { pair.advance(now + delta); }
                Operation::Pop => { pair.pop(); }
            }
            pair.check();
        }
    }
}
