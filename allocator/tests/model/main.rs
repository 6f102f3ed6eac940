//! The heap against a model: contents, places, counters, and what is told.
//!
//! A failure prints its seed; `DEADWALK_MODEL_SEED=N` takes the same steps
//! again, `DEADWALK_MODEL_STEPS=N` takes more or less of them. How threads meet
//! is not replayed.

mod block;
mod bytes;
mod child;
#[path = "../common/mod.rs"]
mod common;
mod misuse;
mod step;
mod world;

use std::sync::Arc;
use std::sync::mpsc;

use proptest::prelude::*;

use step::{Misuse, Random, Source, Step};
use world::{Space, World, counters};

const THREADS: usize = 4;
/// Threads end and others take their caches over.
const ROUNDS: usize = 4;
/// Steps of all threads together, and of the misuser.
const STEPS: usize = 1_000_000;
const MISUSER_STEPS: usize = 200_000;
/// One step in so many is a misuse.
const MISUSE_PERIOD: usize = 40;

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

fn steps(default: usize) -> usize {
    setting("DEADWALK_MODEL_STEPS").map_or(default, |steps| steps as usize)
}

/// Says on a panic how to see it again.
struct Replay(u64);

impl Replay {
    fn new() -> Replay {
        let clock = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
        Replay(setting("DEADWALK_MODEL_SEED").unwrap_or(clock.as_nanos() as u64 % 1_000_000_007))
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with DEADWALK_MODEL_SEED={}", self.0);
        }
    }
}

fn clean_step(random: &mut Random, world: &World) -> Step {
    let size_of = |which: usize| world.live[which].size;
    Step::clean(random, world.live.len(), size_of)
}

#[test]
fn four_threads_that_hand_blocks_to_each_other() {
    let _serial = common::begin();
    let replay = Replay::new();
    let before = counters();
    let mut ended = 0;
    for round in 0..ROUNDS {
        let space = Arc::new(Space::default());
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
        let mails = receivers.into_iter().zip(senders.into_iter().cycle().skip(1));
        // Moved into their threads: one that fails hangs up, and nobody waits.
        let threads: Vec<_> = mails
            .enumerate()
            .map(|(number, (from, to))| {
                let mut world = World::new(space.clone(), Some((to, from)));
                let mut random = Random::new(replay.0 ^ (round * THREADS + number) as u64);
                std::thread::spawn(move || {
                    for _ in 0..steps(STEPS) / THREADS / ROUNDS {
                        let step = clean_step(&mut random, &world);
                        world.step(&step);
                    }
                    world.close();
                    world
                })
            })
            .collect();
        let worlds: Vec<World> =
            threads.into_iter().map(|thread| thread.join().expect("no check failed")).collect();
        let held: usize = worlds.iter().map(|world| world.live.len()).sum();
        let bytes: usize = worlds.iter().map(World::counted_bytes).sum();
        assert_eq!(counters(), (before.0 + held as i64, before.1 + bytes as i64));
        ended += worlds.into_iter().map(World::finish).sum::<usize>();
    }
    assert_eq!(counters(), before);
    assert_eq!(common::freeing().len(), ended);
    assert_eq!(common::told(), []);
}

#[test]
fn each_misuse_is_told_once_and_by_its_name() {
    let _serial = common::begin();
    let replay = Replay::new();
    let result = child::in_child(|| misuse_often(Random::new(replay.0)));
    assert!(result.is_ok(), "{result:?}");
}

fn misuse_often(mut random: Random) {
    let mut world = World::alone();
    for _ in 0..steps(MISUSER_STEPS) {
        let step = match random.below(MISUSE_PERIOD) {
            0 => Step::misuse(&mut random, world.live.len(), world.gone.len()),
            _ => clean_step(&mut random, &world),
        };
        world.step(&step);
    }
    let kinds = |wanted| world.expected.values().filter(|&&kind| kind == wanted).count();
    use deadwalk_alloc::MisuseKind::*;
    let all = [UseAfterFreeWrite, DoubleFree, InvalidFree, HeapBufferOverflow, HeapBufferUnderflow];
    let committed = all.map(kinds);
    assert!(committed.iter().all(|&count| count >= steps(MISUSER_STEPS) / 1500), "{committed:?}");
    world.finish();
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0_usize..300,
        2 => 0_usize..40_000,
        1 => (4_u32..20, 0_usize..3).prop_map(|(shift, near)| (1 << shift) + near - 1),
    ]
}

fn misuses() -> impl Strategy<Value = Misuse> {
    let (which, offset) = (0_usize..16, 0_usize..1 << 20);
    let (len, value) = (1_usize..20, any::<u8>());
    prop_oneof![
        (which.clone(), offset.clone(), len.clone(), value).prop_map(
            |(which, offset, len, value)| Misuse::WriteAfterFree { which, offset, len, value }
        ),
        which.clone().prop_map(|which| Misuse::DoubleFree { which }),
        (which.clone(), sizes())
            .prop_map(|(which, size)| Misuse::ReallocFreed { which, size: size.max(1) }),
        (which.clone(), offset.clone())
            .prop_map(|(which, offset)| Misuse::InteriorFree { which, offset }),
        (which.clone(), offset.clone())
            .prop_map(|(which, offset)| Misuse::InteriorRealloc { which, offset }),
        (which.clone(), len.clone(), value).prop_map(|(which, len, value)| Misuse::Overflow {
            which,
            len,
            value
        }),
        (which, len, value).prop_map(|(which, len, value)| Misuse::Underflow { which, len, value }),
        offset.prop_map(|offset| Misuse::ForeignFree { offset }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => sizes().prop_map(|size| Step::Malloc { size }),
        2 => sizes().prop_map(|size| Step::Calloc { size }),
        1 => (0_u32..14, sizes()).prop_map(|(shift, size)| Step::Memalign { shift, size }),
        4 => (0_usize..16, sizes()).prop_map(|(which, size)| Step::Realloc { which, size }),
        5 => (0_usize..16).prop_map(|which| Step::Free { which }),
        1 => (0_usize..16).prop_map(|which| Step::Watch { which }),
        1 => Just(Step::Sweep),
        3 => misuses().prop_map(Step::Misuse),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]
    /// Short, and shrunk to what matters.
    #[test]
    fn any_short_sequence(sequence in prop::collection::vec(any_step(), 1..120)) {
        let _serial = common::begin();
        let result = child::in_child(|| {
            let mut steps = sequence.iter().cloned();
            world::play(|_| steps.next());
        });
        prop_assert!(result.is_ok(), "{result:?}");
    }

    /// What the fuzz target does.
    #[test]
    fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..4000)) {
        let _serial = common::begin();
        let result = child::in_child(|| bytes::play(&data));
        prop_assert!(result.is_ok(), "{result:?}");
    }
}
