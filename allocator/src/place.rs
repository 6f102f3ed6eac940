//! From an address to what lies there.

use crate::class::{ALL_CLASSES, INVERSE, SLOT_SIZE, SMALL_CLASSES, split};
use crate::depot::DEPOTS;
use crate::large;
use crate::observer::{Block, BlockState, resolve};
use crate::slot::{self, LIVE, Meta, NEVER, WATCHED, Word};
use crate::window::{CLASS_SHIFT, DATA_SPAN, HEAP_SPAN, base_if_chosen, class_base};
use crate::{alone, cache};

/// A slot of a class, small or large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its class.
    pub class: usize,
    /// Its index.
    pub index: usize,
}

impl Slot {
    /// Address of its first byte.
    pub fn base(self) -> usize {
        class_base(self.class) + self.index * SLOT_SIZE[self.class]
    }

    /// Where its block starts, or started: at its first byte, or further on if it lies
    /// at the end of its pages.
    pub fn start(self) -> usize {
        self.base() + alone::lead(self, || large::meta(self).size())
    }

    /// Slot size in bytes.
    pub fn bytes(self) -> usize {
        SLOT_SIZE[self.class]
    }

    /// Whether it is of a small class.
    pub fn is_small(self) -> bool {
        self.class < SMALL_CLASSES
    }

    /// Its metadata; small classes only.
    pub fn meta(self) -> &'static Meta {
        debug_assert!(self.is_small() && self.index < DEPOTS[self.class].bump() as usize);
        // SAFETY: a `Slot` exists below its depot's bump only, where metadata is
        // mapped for good.
        unsafe { &*slot::metas(self.class).add(self.index) }
    }

    /// What is known of the block in it, if it ever held one.
    pub fn block(self) -> Option<Block> {
        if !self.is_small() {
            return large::meta(self).block(self.start());
        }
        let word = self.meta().load();
        (word.state() != NEVER || word.was_used()).then(|| self.block_of(word))
    }

    /// The block a metadata word describes.
    pub fn block_of(self, word: Word) -> Block {
        let live = word.state() == LIVE;
        Block {
            base: self.base(),
            size: word.size(),
            state: if live { BlockState::Live } else { BlockState::Freed },
            watched: word.flags() & WATCHED != 0,
            alloc_site: resolve(word.site()),
            free_site: if live { 0 } else { self.free_site().map_or(0, resolve) },
        }
    }

    /// Who freed it, while it is in some thread's quarantine.
    fn free_site(self) -> Option<u32> {
        cache::all().find_map(|cache| cache.free_site(self.class, self.index as u32))
    }
}

/// Where an address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Not in the heap's window.
    Foreign,
    /// In the window, where nothing was ever handed out.
    Nowhere,
    /// In the part of the directly mapped blocks.
    Huge,
    /// In a slot that exists; and whether its block starts there.
    In(Slot, bool),
}

/// Finds out where an address lies.
pub fn locate(addr: usize) -> Place {
    let base = base_if_chosen();
    let offset = addr.wrapping_sub(base);
    if base == 0 || offset >= DATA_SPAN {
        return Place::Foreign;
    }
    if offset >= HEAP_SPAN {
        return Place::Huge;
    }
    let class = offset >> CLASS_SHIFT;
    let start = class_base(class);
    if class >= ALL_CLASSES || addr < start {
        return Place::Nowhere;
    }
    let (index, is_start) = split(addr - start, INVERSE[class]);
    if index >= DEPOTS[class].bump() as usize {
        return Place::Nowhere;
    }
    let slot = Slot { class, index };
    Place::In(slot, if alone::has_lead(slot) { addr == slot.start() } else { is_start })
}
