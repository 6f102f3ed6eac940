//! Tests of the wheel.

use super::*;

#[test]
fn entries_of_one_tick_leave_in_the_order_they_came() {
    let mut links = vec![Link::new(); 200];
    let mut wheel = Wheel::new(0);
    // Queued at many distances from the tick, so at several levels.
    for id in 0..200 {
        let _ = wheel.advance(&mut links, u64::from(id) * 40);
        let _ = wheel.add(&mut links, id, 8000);
    }
    assert!(wheel.advance(&mut links, u64::MAX));
    assert_eq!(wheel.now(), 8000);
    let order: Vec<u32> = std::iter::from_fn(|| wheel.pop_expired(&mut links)).collect();
    assert_eq!(order, (0..200).collect::<Vec<_>>());
}
