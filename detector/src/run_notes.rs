//! What others write down on a run: deletes that landed, harm that was done.
//!
//! Ground rules: a [`Note`] guards its neighbours; see [`crate::note`].

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::Consequence;
use crate::blocks::HeapBlock;
use crate::ladder::Sample;
use crate::note::Note;
use crate::releases::Releases;

/// Objects remembered that a handler posted, or a deleter waited for.
pub const OBJECTS: usize = 4;

/// A sample in cells.
pub struct SampleCell([AtomicU64; 4]);

impl SampleCell {
    /// An empty sample.
    pub const fn new() -> SampleCell {
        SampleCell([const { AtomicU64::new(0) }; 4])
    }

    /// Stores a sample.
    pub fn set(&self, sample: &Sample) {
        let fields =
            [sample.asleep as u64, sample.voluntary_switches, sample.cpu_ns, sample.activity];
        for (cell, field) in self.0.iter().zip(fields) {
            cell.store(field, Relaxed);
        }
    }

    /// The stored sample.
    pub fn get(&self) -> Sample {
        let [asleep, voluntary_switches, cpu_ns, activity] =
            [0, 1, 2, 3].map(|i: usize| self.0[i].load(Relaxed));
        Sample { asleep: asleep != 0, voluntary_switches, cpu_ns, activity }
    }
}

/// Objects by which threads hand over (semaphores, condition variables,
/// mutexes), each with a time; the last few.
pub struct Objects {
    next: AtomicU32,
    cells: [(AtomicU64, AtomicU64); OBJECTS],
}

impl Objects {
    /// None.
    pub const fn new() -> Objects {
        Objects {
            next: AtomicU32::new(0),
            cells: [const { (AtomicU64::new(0), AtomicU64::new(0)) }; OBJECTS],
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        for (object, _) in &self.cells {
            object.store(0, Relaxed);
        }
    }

    /// Adds one, over the oldest.
    pub fn add(&self, object: u64, at_ns: u64) {
        let (cell, at) = &self.cells[self.next.fetch_add(1, Relaxed) as usize % OBJECTS];
        at.store(at_ns, Relaxed);
        cell.store(object, Release);
    }

    /// Those added since `after_ns`.
    pub fn since(&self, after_ns: u64) -> impl Iterator<Item = u64> + '_ {
        self.between(after_ns, u64::MAX)
    }

    /// Those added in this time.
    pub fn between(&self, after_ns: u64, until_ns: u64) -> impl Iterator<Item = u64> + '_ {
        self.cells
            .iter()
            .map(|(object, at)| (object.load(Acquire), at.load(Relaxed)))
            .filter(move |&(object, at)| object != 0 && (after_ns..=until_ns).contains(&at))
            .map(|(object, _)| object)
    }
}

impl Default for Objects {
    fn default() -> Self {
        Objects::new()
    }
}

/// "A delete landed on you."
pub struct LandingNote {
    /// Guards the fields.
    pub note: Note,
    /// Index of the delete site, `u32::MAX` for none.
    pub site: AtomicU32,
    /// When it took effect, ns.
    pub del_ns: AtomicU64,
    /// Who deleted.
    pub del_tid: AtomicU32,
    /// Stack of the delete, index + 1.
    pub del_stack: AtomicU32,
    /// The open finding, `u32::MAX` for none.
    pub finding: AtomicU32,
    /// 1 if this landing is the one by which its delete was counted.
    pub counted: AtomicU32,
    /// The handler's thread at that moment; its `asleep` is meaningless without `sampled`.
    pub sample: SampleCell,
    /// What a second delete by the same thread names; 0 for none.
    pub again: AtomicU64,
    /// What the deleter waited for since.
    pub waited: Objects,
    /// Stack of its last call for that, index + 1; 0 if there was none.
    pub wait_stack: AtomicU32,
    /// 1 if the deleter gave up a wait, which is a finding of its own.
    pub gave_up: AtomicU32,
    /// `FLAG_*` of the finding.
    pub flags: AtomicU32,
    /// What the deleter released since.
    pub releases: Releases,
}

impl LandingNote {
    /// None.
    pub const fn new() -> LandingNote {
        LandingNote {
            note: Note::new(),
            site: AtomicU32::new(0),
            del_ns: AtomicU64::new(0),
            del_tid: AtomicU32::new(0),
            del_stack: AtomicU32::new(0),
            finding: AtomicU32::new(0),
            counted: AtomicU32::new(0),
            sample: SampleCell::new(),
            again: AtomicU64::new(0),
            waited: Objects::new(),
            wait_stack: AtomicU32::new(0),
            gave_up: AtomicU32::new(0),
            flags: AtomicU32::new(0),
            releases: Releases::new(),
        }
    }
}

/// "What you use is gone": freed, initialised anew, unloaded.
pub struct HarmNote {
    /// Guards the fields.
    pub note: Note,
    /// When, ns.
    pub at_ns: AtomicU64,
    /// What it makes of a delete that had landed: a [`Consequence`].
    pub consequence: AtomicU32,
    /// The open finding, `u32::MAX` for none.
    pub finding: AtomicU32,
    /// Stack of who did it, index + 1.
    pub stack: AtomicU32,
    /// Where the handler then used what was freed: index + 1 of a stack, 0 if it did not.
    pub access_stack: AtomicU32,
    /// The handler's thread at that moment.
    pub sample: SampleCell,
    base: AtomicU64,
    size: AtomicU64,
    alloc_site: AtomicU64,
}

impl HarmNote {
    /// None.
    pub const fn new() -> HarmNote {
        HarmNote {
            note: Note::new(),
            at_ns: AtomicU64::new(0),
            consequence: AtomicU32::new(0),
            finding: AtomicU32::new(0),
            stack: AtomicU32::new(0),
            access_stack: AtomicU32::new(0),
            sample: SampleCell::new(),
            base: AtomicU64::new(0),
            size: AtomicU64::new(0),
            alloc_site: AtomicU64::new(0),
        }
    }

    /// Keeps the block concerned.
    pub fn set_block(&self, block: &HeapBlock) {
        self.base.store(block.base as u64, Relaxed);
        self.size.store(block.size as u64, Relaxed);
        self.alloc_site.store(block.alloc_site as u64, Relaxed);
    }

    /// The block concerned; its start is 0 if there is none.
    pub fn block(&self) -> HeapBlock {
        HeapBlock {
            base: self.base.load(Relaxed) as usize,
            size: self.size.load(Relaxed) as usize,
            alloc_site: self.alloc_site.load(Relaxed) as usize,
        }
    }

    /// What it makes of a delete that had landed.
    pub fn consequence(&self) -> Consequence {
        let number = self.consequence.load(Relaxed) as u8;
        Consequence::from_u8(number).unwrap_or(Consequence::None)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn objects_are_the_last_few_since_a_time() {
        let objects = Objects::new();
        for i in 1..=6 {
            objects.add(i, i * 10);
        }
        let mut seen: Vec<_> = objects.since(45).collect();
        seen.sort_unstable();
        assert_eq!(seen, [5, 6]);
        assert_eq!(objects.between(30, 40).min(), Some(3));
        assert_eq!(objects.between(30, 40).max(), Some(4));
    }
}
