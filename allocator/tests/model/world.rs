//! The model: what a program holds, and what the heap must say of it.
//!
//! Ground rules. A [`World`] is one thread's. `Space` is shared: a block enters
//! it after it was handed out and leaves it before it is freed, so two ranges in
//! it that overlap are one slot handed out twice. What a world checks of freed
//! blocks holds only while no other thread can take them: of large ones in a
//! world that is alone, of small ones in the thread that freed them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};

use deadwalk_alloc::{
    BlockState, Counter, Misuse, MisuseKind, flush_counters, heap, lookup, read_counter, sweep,
    watch,
};

use crate::block::{Live, Mark, NATURAL_ALIGN, counted};
use crate::common;
use crate::step::Step;

/// Who frees.
pub const FREE_SITE: usize = 0xf4ee;
/// Blocks above this are scarce, to bound the memory: so many at once.
const BIG: usize = 1 << 20;
const BIG_BLOCKS: usize = 3;
/// Most blocks a world holds, and most freed ones it remembers.
const MOST_HELD: usize = 400;
const MOST_GONE: usize = 300;
/// Looking up a freed block searches the quarantines: every so many frees.
const LOOKUP_PERIOD: u32 = 8;

/// The live ranges of all threads: start to end.
#[derive(Default)]
pub struct Space(Mutex<BTreeMap<usize, usize>>);

impl Space {
    fn enter(&self, block: &Live) {
        let (base, end) = (block.base, block.base + block.size.max(1));
        let mut ranges = self.0.lock().unwrap();
        let before = ranges.range(..end).next_back();
        assert!(before.is_none_or(|(_, &other)| other <= base), "{before:x?} is under {block:x?}");
        ranges.insert(base, end);
    }

    fn leave(&self, block: &Live) {
        let end = self.0.lock().unwrap().remove(&block.base);
        assert_eq!(end, Some(block.base + block.size.max(1)), "{block:x?}");
    }
}

/// One thread's blocks, and what of theirs is to be told.
pub struct World {
    space: Arc<Space>,
    pub live: Vec<Live>,
    /// The latest freed blocks, oldest first.
    pub gone: VecDeque<Live>,
    /// Gives blocks to another thread and gets those of a third.
    mail: Option<(Sender<Live>, Receiver<Live>)>,
    /// What must have been told in the end, by object.
    pub expected: BTreeMap<u32, MisuseKind>,
    /// Frees of what never was a block.
    pub foreign: usize,
    told: Vec<Misuse>,
    /// Watched blocks that ended.
    pub ended: usize,
}

impl World {
    /// A thread's world.
    pub fn new(space: Arc<Space>, mail: Option<(Sender<Live>, Receiver<Live>)>) -> Self {
        World {
            space,
            live: Vec::new(),
            gone: VecDeque::new(),
            mail,
            expected: BTreeMap::new(),
            foreign: 0,
            told: Vec::new(),
            ended: 0,
        }
    }

    /// A world in which every freed block stays as it is until this one takes it.
    pub fn alone() -> Self {
        World::new(Arc::default(), None)
    }

    fn is_alone(&self) -> bool {
        self.mail.is_none()
    }

    /// Takes a step and checks what it did.
    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Malloc { size } => self.allocate(size, NATURAL_ALIGN, false, |size, site| {
                // SAFETY: the family's own contract.
                unsafe { heap::malloc(size, site) }
            }),
            Step::Calloc { size } => self.allocate(size, NATURAL_ALIGN, true, |size, site| {
                let (count, each) = if size % 3 == 0 { (3, size / 3) } else { (1, size) };
                // SAFETY: as above.
                unsafe { heap::calloc(count, each, site) }
            }),
            Step::Memalign { shift, size } => {
                self.allocate(size, 1 << shift, false, |size, site| {
                    // SAFETY: as above.
                    unsafe { heap::memalign(1 << shift, size, site) }
                })
            }
            Step::Realloc { which, size } => self.realloc(which, size),
            Step::Free { which } => {
                if let Some(block) = self.pick(which) {
                    self.free(block);
                }
            }
            Step::Watch { which } => self.watch(which),
            Step::Hand { which } => self.hand(which),
            Step::Sweep => {
                sweep();
            }
            Step::Misuse(ref misuse) => self.commit(misuse),
        }
    }

    fn pick(&mut self, which: usize) -> Option<Live> {
        let count = self.live.len();
        (count > 0).then(|| self.live.swap_remove(which % count))
    }

    /// A size that keeps the memory bounded.
    fn bounded(&self, size: usize) -> usize {
        let big = self.live.iter().filter(|block| block.size > BIG).count();
        if size > BIG && big >= BIG_BLOCKS { size % BIG } else { size }
    }

    fn allocate(
        &mut self,
        size: usize,
        align: usize,
        zero: bool,
        call: impl Fn(usize, usize) -> *mut u8,
    ) {
        if self.live.len() >= MOST_HELD {
            return self.step(&Step::Free { which: size });
        }
        let (size, serial) = (self.bounded(size), next_serial());
        let base = call(size, serial as usize) as usize;
        assert!(base != 0 && base.is_multiple_of(align.max(NATURAL_ALIGN)), "{size} {align}");
        let counted = counted(size, align);
        let block = Live { base, size, serial, counted, watched: false, mark: Mark::Clean };
        if zero {
            block.check_zero();
        }
        self.hold(block);
    }

    /// Takes a new block in: nobody else's, known to the heap, and written to.
    fn hold(&mut self, mut block: Live) {
        self.space.enter(&block);
        if block.is_small() && self.is_underflowed(block.base + block.counted) {
            block.mark = Mark::InFront;
        }
        block.write();
        for inside in [0, block.size.saturating_sub(1)] {
            let found = lookup(block.base + inside).expect("a live block is known");
            assert_eq!(
                (found.base, found.size, found.state, found.watched),
                (block.base, block.size, BlockState::Live, block.watched)
            );
            assert_eq!((found.alloc_site, found.free_site), (block.serial as usize, 0));
        }
        // SAFETY: touches no memory of the block.
        assert_eq!(unsafe { heap::usable_size(block.base as *mut u8) }, block.size);
        self.live.push(block);
    }

    fn is_underflowed(&self, base: usize) -> bool {
        self.live.iter().any(|block| block.base == base && block.mark == Mark::Underflowed)
    }

    /// Frees a block of this world.
    pub fn free(&mut self, block: Live) {
        block.check();
        self.space.leave(&block);
        // SAFETY: a live block.
        unsafe { heap::free(block.base as *mut u8, FREE_SITE) };
        self.bury(block);
    }

    /// Checks what is known of a block that was freed just now.
    fn bury(&mut self, mut block: Live) {
        self.ended += core::mem::take(&mut block.watched) as usize;
        let is_ours = self.is_alone() || block.is_small();
        if is_ours && block.serial.is_multiple_of(LOOKUP_PERIOD) {
            let found = lookup(block.base).expect("a freed block is known");
            assert_eq!(
                (found.base, found.size, found.state, found.alloc_site),
                (block.base, block.size, BlockState::Freed, block.serial as usize)
            );
            assert_eq!(found.free_site, FREE_SITE, "{block:x?}");
            // SAFETY: touches no memory of the block.
            assert_eq!(unsafe { heap::usable_size(block.base as *mut u8) }, 0);
        }
        self.gone.push_back(block);
        if self.gone.len() > MOST_GONE {
            self.gone.pop_front();
        }
    }

    fn realloc(&mut self, which: usize, size: usize) {
        let Some(old) = self.pick(which) else {
            return self.allocate(size, NATURAL_ALIGN, false, |size, site| {
                // SAFETY: the family's own contract.
                unsafe { heap::realloc(core::ptr::null_mut(), size, site) }
            });
        };
        // Resized in place, these would lose what tells of the misuse.
        if matches!(old.mark, Mark::InFront | Mark::Underflowed) {
            return self.free(old);
        }
        let size = if size > BIG { self.bounded(size) } else { size };
        old.check();
        self.space.leave(&old);
        let site = if size == 0 { FREE_SITE } else { next_serial() as usize };
        // SAFETY: a live block; its old address is not used again.
        let base = unsafe { heap::realloc(old.base as *mut u8, size, site) } as usize;
        if size == 0 {
            assert_eq!(base, 0);
            return self.bury(old);
        }
        assert!(base != 0 && base.is_multiple_of(NATURAL_ALIGN), "{old:x?} to {size}");
        old.check_at(base, old.size.min(size));
        let serial = site as u32;
        if base == old.base {
            assert_ne!(old.mark, Mark::Overflowed, "found before it is resized: {old:x?}");
            let counted = if old.is_small() { old.counted } else { size };
            return self.hold(Live { size, serial, counted, ..old });
        }
        self.ended += old.watched as usize;
        let (counted, mark) = (counted(size, NATURAL_ALIGN), Mark::Clean);
        self.hold(Live { base, size, serial, counted, watched: false, mark });
    }

    fn watch(&mut self, which: usize) {
        let count = self.live.len();
        if count == 0 {
            return;
        }
        let block = &mut self.live[which % count];
        let found = watch(block.base + block.size / 2).expect("a live block can be watched");
        assert_eq!((found.base, found.size), (block.base, block.size));
        block.watched = true;
    }

    fn hand(&mut self, which: usize) {
        let Some(block) = self.pick(which) else { return };
        let Some((to, from)) = &self.mail else { return self.live.push(block) };
        // Who ended already gets no mail.
        let returned = to.send(block).err();
        let received = from.try_recv().ok();
        self.live.extend(returned.map(|error| error.0).into_iter().chain(received));
    }

    /// Ends the thread's part: no mail of its own any more, all of the others'.
    pub fn close(&mut self) {
        if let Some((to, from)) = self.mail.take() {
            drop(to);
            self.live.extend(from);
        }
    }

    /// Bytes the heap must count as live.
    pub fn counted_bytes(&self) -> usize {
        self.live.iter().map(|block| block.counted).sum()
    }

    /// Frees everything and checks that exactly what was done wrong was told.
    pub fn finish(mut self) -> usize {
        while let Some(block) = self.live.pop() {
            self.free(block);
        }
        sweep();
        self.take_told();
        let of_blocks = self.told.iter().filter(|misuse| misuse.base != 0);
        for misuse in of_blocks {
            let expected = self.expected.remove(&(misuse.alloc_site as u32));
            assert_eq!(expected, Some(misuse.kind), "{misuse:x?}");
        }
        assert_eq!(self.expected, BTreeMap::new(), "not told");
        let foreign = self.told.iter().filter(|misuse| misuse.base == 0);
        assert!(foreign.clone().all(|misuse| misuse.kind == MisuseKind::InvalidFree));
        assert_eq!(foreign.count(), self.foreign);
        self.ended
    }

    /// Takes in what was told so far; the latest.
    pub fn take_told(&mut self) -> Option<&Misuse> {
        self.told.extend(common::told());
        self.told.last()
    }
}

/// The counters' values: allocations minus frees, and live bytes.
pub fn counters() -> (i64, i64) {
    flush_counters();
    let blocks = read_counter(Counter::Allocs) - read_counter(Counter::Frees);
    (blocks as i64, read_counter(Counter::LiveBytes) as i64)
}

/// Takes steps in a world of its own until there are no more, and checks all.
pub fn play(mut next: impl FnMut(&World) -> Option<Step>) {
    let before = counters();
    let mut world = World::alone();
    while let Some(step) = next(&world) {
        world.step(&step);
    }
    let (held, bytes) = (world.live.len() as i64, world.counted_bytes() as i64);
    assert_eq!(counters(), (before.0 + held, before.1 + bytes));
    let ended = world.finish();
    assert_eq!(common::freeing().len(), ended);
    assert_eq!(counters(), before);
}

/// A number no other object has.
fn next_serial() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0x1_0000);
    LAST.fetch_add(1, Relaxed)
}
