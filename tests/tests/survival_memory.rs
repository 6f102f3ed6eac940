//! Memory in quantity, and programs that have their own ideas of the address
//! space.

use deadwalk_tests::{Program, Run, alone, repeats};

/// No more than `vm.max_map_count` mappings, however many blocks.
#[test]
fn sixty_thousand_blocks_of_200_kb() {
    let _alone = alone();
    let blocks = repeats(20_000, 60_000);
    let run = Run::of(&Program::new("survive_many_blocks")).arg(blocks.to_string());
    let watched = run.assert_survives(0);
    let lines: Vec<_> = watched.outcome.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            format!("blocks {blocks}, well {blocks}"),
            "memory for two pages each and no more than four: 1".to_string(),
            "most is given back: 1".to_string(),
        ]
    );
}

/// Fixed mappings of the program's at places of its own, and right behind every
/// piece of the heap.
#[test]
fn programs_that_map_at_fixed_addresses() {
    for _ in 0..repeats(3, 10) {
        let watched = Run::of(&Program::new("survive_map_fixed")).assert_survives(0);
        assert!(watched.outcome.stdout.contains("own places kept: 14\n"), "{:#?}", watched.outcome);
        assert!(watched.outcome.stdout.contains("neighbours kept: 16\n"), "{:#?}", watched.outcome);
    }
}

#[test]
fn programs_that_write_all_that_is_usable() {
    let watched = Run::of(&Program::new("survive_usable_size")).assert_survives(0);
    assert_eq!(watched.outcome.stdout, "of nothing: 0, blocks 2000\n");
}
