//! All interleavings of a proof with what an owner does, on a model of one slot.
//!
//! Cells stand for bytes. An owner is a script of single accesses; what the heap
//! does is written down as `heap.rs` and `small.rs` do it. Every script is run
//! against a proof that begins at any time and takes the block for damaged, and
//! that sees one cell only: so each cell is read at each possible moment.

use std::cell::Cell;

use super::suspicion::{Proof, Suspicious};
use crate::slot::{FREE, LIVE, QUARANTINED, REPORTED, STATE, SUSPECT, Word};

const CELLS: usize = 4;
const POISON: u8 = 0x6b;
const DATA: u8 = 1;
const BAD: u8 = 2;

#[derive(Clone)]
struct Model {
    word: Cell<u64>,
    cells: Cell<[u8; CELLS]>,
}

impl Suspicious for Model {
    fn word(&self) -> Word {
        Word(self.word.get())
    }
    fn swap_flags(&self, old: u8, new: u8) -> bool {
        let is_old = self.word().flags() == old;
        if is_old {
            self.word.set(self.word.get() & !0xff | new as u64);
        }
        is_old
    }
    fn swap(&self, old: Word, new: Word) -> bool {
        let is_old = self.word() == old;
        if is_old {
            self.word.set(new.0);
        }
        is_old
    }
    fn remove_flag(&self, flag: u8) {
        self.word.set(self.word.get() & !(flag as u64));
    }
}

/// One access by the owner, or by the heap on his thread.
#[derive(Clone, Copy)]
enum Step {
    /// Loads the word: what a later step works with.
    Load,
    /// Stores the word of the block resized, with the flags loaded.
    Resize(usize),
    /// The same without clearing the sweep's mark.
    ResizeKeepingMark(usize),
    /// Stores a state alone, with the REPORTED that was loaded.
    State(u8),
    /// Stores the word of a new block.
    Malloc(usize),
    Write(usize, u8),
}

use Step::*;

fn act(model: &Model, loaded: &mut Word, step: Step) {
    let live = |size: usize, flags: u8| Word::live(size, 7).0 & !0xff | flags as u64;
    match step {
        Load => *loaded = model.word(),
        Resize(size) => model.word.set(live(size, loaded.flags() & !SUSPECT)),
        ResizeKeepingMark(size) => model.word.set(live(size, loaded.flags())),
        State(state) => {
            let flags = loaded.flags() & REPORTED | state;
            model.word.set(model.word.get() & !0xff | flags as u64);
        }
        Malloc(size) => model.word.set(Word::live(size, 7).0),
        Write(at, value) => {
            let mut cells = model.cells.get();
            cells[at] = value;
            model.cells.set(cells);
        }
    }
}

/// What came of all interleavings.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    truly: usize,
    falsely: usize,
    /// Blocks that have the mark still when both are done.
    marked: usize,
}

struct Run<'a> {
    script: &'a [Step],
    /// The cell that the proof looks at.
    cell: usize,
}

impl Run<'_> {
    fn explore(
        &self,
        model: &Model,
        at: usize,
        loaded: Word,
        proof: Option<Proof<u8>>,
        outcome: &mut Outcome,
    ) {
        if let Some(Proof::Done(told)) = proof {
            match told {
                Some(BAD) => outcome.truly += 1,
                Some(_) => outcome.falsely += 1,
                None => {}
            }
            if told.is_some() {
                return;
            }
        } else {
            let model = model.clone();
            let next = match proof {
                None => Proof::Mark(model.word()),
                Some(proof) => proof.step(&model, |word| {
                    let value = model.cells.get()[self.cell];
                    (self.cell >= word.size() && value != POISON).then_some(value)
                }),
            };
            self.explore(&model, at, loaded, Some(next), outcome);
        }
        if let Some(&step) = self.script.get(at) {
            let (model, mut loaded) = (model.clone(), loaded);
            act(&model, &mut loaded, step);
            self.explore(&model, at + 1, loaded, proof, outcome);
        } else if let Some(Proof::Done(_)) = proof {
            outcome.marked += (model.word().flags() & (STATE | SUSPECT) == LIVE | SUSPECT) as usize;
        }
    }
}

/// A block of two cells with data in them.
fn run(script: &[Step]) -> Outcome {
    let mut outcome = Outcome::default();
    for cell in 0..CELLS {
        let model = Model {
            word: Cell::new(Word::live(2, 7).0),
            cells: Cell::new([DATA, DATA, POISON, POISON]),
        };
        Run { script, cell }.explore(&model, 0, Word(0), None, &mut outcome);
    }
    outcome
}

fn free() -> Vec<Step> {
    let filled = (0..CELLS).map(|at| Write(at, POISON));
    [Load, State(QUARANTINED)].into_iter().chain(filled).chain([Load, State(FREE)]).collect()
}

/// Grows in place by a cell, uses it, shrinks again.
fn grow_and_shrink(resize: fn(usize) -> Step) -> Vec<Step> {
    vec![
        Load,
        Write(3, POISON),
        resize(3),
        Write(2, DATA),
        Load,
        Write(2, POISON),
        Write(3, POISON),
        resize(2),
    ]
}

#[test]
fn blocks_that_are_resized_in_place_are_not_accused() {
    let script = grow_and_shrink(Resize);
    assert_eq!(run(&script), Outcome::default());
    assert_eq!(run(&script.repeat(2)), Outcome::default());
}

#[test]
fn the_model_sees_what_a_mark_that_is_kept_would_do() {
    assert_ne!(run(&grow_and_shrink(ResizeKeepingMark)).falsely, 0);
}

#[test]
fn the_next_block_of_a_slot_is_not_accused() {
    for sizes in [[3, 2], [2, 3], [1, 2], [3, 1]] {
        let mut script = free();
        for size in sizes {
            script.push(Malloc(size));
            script.extend((0..size).map(|at| Write(at, DATA)));
            script.extend(free());
        }
        assert_eq!(run(&script), Outcome::default(), "{sizes:?}");
    }
}

#[test]
fn an_overflow_is_told_and_what_comes_later_does_not_hide_whose_it_is() {
    let outcome = run(&[Write(2, BAD)]);
    assert!(outcome.truly > 0 && (outcome.falsely, outcome.marked) == (0, 0), "{outcome:?}");
    let mut script = vec![Write(2, BAD)];
    script.extend(free());
    script.extend([Malloc(3), Write(2, DATA)]);
    let outcome = run(&script);
    assert!(outcome.truly > 0 && (outcome.falsely, outcome.marked) == (0, 0), "{outcome:?}");
}
