//! Tests of the wheel: order, the edges of levels, what a jump costs. Against a
//! reference under random operations: `random`.

mod model;
mod random;

use self::model::Pair;
use super::*;

/// Everything on the expired list.
fn drain(wheel: &mut Wheel, links: &mut Vec<Link>) -> Vec<u32> {
    std::iter::from_fn(|| wheel.pop_expired(links)).collect()
}

#[test]
fn entries_of_one_tick_leave_in_the_order_they_came() {
    let mut pair = Pair::new(0, 200);
    // Queued at many distances from the tick, so at several levels.
    for id in 0..200 {
        assert!(!pair.advance(u64::from(id) * 40));
        pair.add(id, 8000);
    }
    assert!(pair.advance(u64::MAX));
    assert_eq!(pair.wheel.now(), 8000);
    let order = drain(&mut pair.wheel, &mut pair.links);
    assert_eq!(order, (0..200).collect::<Vec<_>>());
}

/// 64^k and its neighbours, for every level.
fn edges() -> impl Iterator<Item = u64> + Clone {
    (0..LEVELS as u32).flat_map(|level| {
        let edge = 1_u64 << (GROUP_BITS * level);
        [edge - 1, edge, edge + 1]
    })
}

#[test]
fn edges_of_levels_are_exact() {
    let near = [1 << 32, (1 << 32) - 65, 1 << 63, (1 << 63) - 4097, 0xdead_beef_0bad_cafe];
    let starts = edges().chain(edges().map(|edge| edge.saturating_sub(2))).chain(near);
    for start in starts {
        let deltas: Vec<u64> =
            edges().filter(|&delta| start.checked_add(delta).is_some()).collect();
        // Alone, seen from one tick before ...
        for &delta in &deltas {
            let mut pair = Pair::new(start, 1);
            pair.add(0, start + delta);
            let due = start + delta.max(1);
            assert!(!pair.advance(due - 1), "{start} {delta}");
            assert!(pair.advance(due), "{start} {delta}");
            assert_eq!((pair.pop(), pair.pop()), (Some(0), None));
        }
        // ... and all together, the farthest first, two of each.
        let mut pair = Pair::new(start, 2 * deltas.len());
        for (index, &delta) in deltas.iter().enumerate().rev() {
            pair.add(2 * index as u32, start + delta);
            pair.add(2 * index as u32 + 1, start + delta);
            pair.check();
        }
        let mut seen = 0;
        while pair.advance(LAST_TICK) {
            pair.check();
            while pair.pop().is_some() {
                seen += 1;
            }
        }
        assert_eq!(seen, 2 * deltas.len());
    }
}

/// Counts what the wheel looks at.
struct Counting {
    links: Vec<Link>,
    looks: u64,
}

impl Links for Counting {
    fn link(&mut self, id: u32) -> &mut Link {
        self.looks += 1;
        self.links.link(id)
    }
}

#[test]
fn a_stall_costs_the_cascades_not_the_ticks() {
    const STALL: u64 = 1 << 40;
    const TIMERS: u32 = 100;
    for start in [0, 12_345, (1 << 32) - 1, (1 << 63) - 12_345] {
        let mut wheel = Wheel::new(start);
        let mut links = Counting { links: vec![Link::new(); TIMERS as usize], looks: 0 };
        assert!(!wheel.advance(&mut links, start + STALL));
        assert_eq!((wheel.now(), wheel.entered, links.looks), (start + STALL, 0, 0));

        let start = wheel.now();
        for id in 0..TIMERS {
            let _ = wheel.add(&mut links, id, start + u64::from(id + 1) * (STALL / 101));
        }
        links.looks = 0;
        for id in 0..TIMERS {
            assert!(wheel.advance(&mut links, start + STALL));
            assert_eq!(wheel.pop_expired(&mut links), Some(id));
        }
        assert!(!wheel.advance(&mut links, start + STALL));
        assert_eq!(wheel.now(), start + STALL);
        // At most every level for every timer; some looks for each move.
        let most = u64::from(TIMERS) * LEVELS as u64;
        assert!((1..=most).contains(&wheel.entered), "{} slots entered", wheel.entered);
        assert!(links.looks <= 4 * most, "{} links looked at", links.looks);
    }
}

#[test]
fn a_tick_is_spliced_whole() {
    let mut wheel = Wheel::new(0);
    let mut links = Counting { links: vec![Link::new(); 1000], looks: 0 };
    for id in 0..1000 {
        let _ = wheel.add(&mut links, id, 63);
    }
    links.looks = 0;
    assert!(wheel.advance(&mut links, 63));
    assert_eq!(links.looks, 0);
}

#[test]
fn sleeping_until_next_expiry_misses_nothing() {
    let mut pair = Pair::new((1 << 32) - 77, 300);
    for id in 0..300 {
        pair.add(id, pair.wheel.now() + u64::from(id).pow(4));
    }
    let (mut wakes, mut seen) = (0, 0);
    while let Some(next) = pair.wheel.next_expiry() {
        wakes += 1;
        // `Pair` says that each tick is met.
        if pair.advance(next) {
            assert_eq!(pair.wheel.now(), next);
            while pair.pop().is_some() {
                seen += 1;
            }
        } else {
            assert_eq!(pair.wheel.now(), next);
        }
    }
    assert_eq!(seen, 300);
    assert!(wakes <= 300 * LEVELS, "{wakes} wakes");
}

#[test]
fn what_a_handler_adds_waits_for_the_next_tick() {
    let mut links = vec![Link::new(); 3];
    let mut wheel = Wheel::new(50);
    assert_eq!(wheel.add(&mut links, 0, 50), Queued::NextTick);
    assert_eq!(wheel.add(&mut links, 1, 51), Queued::AsAsked);
    for tick in 51..51 + 1000 {
        assert!(wheel.advance(&mut links, u64::MAX));
        assert_eq!(wheel.now(), tick);
        assert_eq!(wheel.pop_expired(&mut links), Some(0));
        assert_eq!(wheel.add(&mut links, 0, tick - 51), Queued::NextTick);
        assert_eq!(wheel.pop_expired(&mut links), Some(1));
        assert_eq!(wheel.add(&mut links, 1, tick), Queued::NextTick);
        assert_eq!(wheel.pop_expired(&mut links), None);
    }
}

#[test]
fn expired_entries_are_pending_and_can_be_removed_and_moved() {
    let mut pair = Pair::new(0, 6);
    for id in 0..6 {
        pair.add(id, 4096);
    }
    assert!(pair.advance(5000));
    for removed in [0, 3, 5] {
        assert!(pair.links[removed as usize].is_queued());
        pair.remove(removed);
        pair.remove(removed);
        pair.check();
    }
    pair.add(1, 0);
    pair.check();
    // Asked to go on, the wheel stays.
    assert!(pair.advance(5000));
    assert_eq!(pair.wheel.now(), 4096);
    assert_eq!((pair.pop(), pair.pop(), pair.pop()), (Some(2), Some(4), None));
    assert!(pair.advance(5000));
    assert_eq!((pair.wheel.now(), pair.pop()), (4097, Some(1)));
    assert!(pair.wheel.is_empty());

    // The last one removed, the wheel goes on.
    pair.add(0, 4098);
    assert!(pair.advance(5000));
    pair.remove(0);
    assert!(!pair.advance(5000));
    assert_eq!(pair.wheel.now(), 5000);
    // And never back.
    assert!(!pair.advance(10));
    assert_eq!(pair.wheel.now(), 5000);
}

#[test]
fn time_ends_one_tick_early() {
    let mut links = vec![Link::new(); 2];
    let mut wheel = Wheel::new(u64::MAX);
    assert_eq!(wheel.now(), LAST_TICK);
    assert_eq!(wheel.add(&mut links, 0, 0), Queued::NextTick);
    assert_eq!(wheel.add(&mut links, 1, u64::MAX), Queued::AsAsked);
    assert!(!wheel.advance(&mut links, u64::MAX));
    assert_eq!((wheel.now(), wheel.next_expiry()), (LAST_TICK, Some(u64::MAX)));
    wheel.check(&links);
    assert!(wheel.remove(&mut links, 0) && wheel.remove(&mut links, 1));
    assert!(wheel.is_empty());
}

#[test]
fn clear_takes_everything_off() {
    let mut links = vec![Link::new(); 100];
    let mut wheel = Wheel::new(7);
    for id in 0..100 {
        let _ = wheel.add(&mut links, id, 10 + (u64::from(id) / 2) * u64::from(id).pow(6));
    }
    assert!(wheel.advance(&mut links, 10));
    wheel.clear(&mut links);
    wheel.check(&links);
    assert_eq!((wheel.len(), wheel.now(), wheel.next_expiry()), (0, 10, None));
    assert!(links.iter().all(|link| *link == Link::new()));
    assert!(!wheel.advance(&mut links, u64::MAX));
}
