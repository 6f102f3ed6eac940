//! Blocks of which the program touched little.
//!
//! To fill such a block would take the memory that the program never took, and the
//! faults for it. So the kernel is asked which pages there are, until the block was
//! filled once: from then on they all are there.

use crate::os::{self, PAGE};
use crate::place::Slot;

use super::meta::Meta;

/// A block of which no more than one page in so many is in memory is given back:
/// faulting those in again costs less than filling and verifying the others.
const FEW: usize = 4;
/// Pages asked for at a time.
const AT_ONCE: usize = 1024;

/// Whether few of a freed block's pages are in memory.
pub fn is_sparse(slot: Slot, meta: &Meta) -> bool {
    in_memory(slot, meta) * FEW <= meta.dirty()
}

/// How many bytes of a slot's content are in memory.
pub fn in_memory(slot: Slot, meta: &Meta) -> usize {
    let dirty = meta.dirty();
    if meta.is_filled(dirty) {
        return dirty;
    }
    let pages = dirty.div_ceil(PAGE);
    let mut present = 0;
    for from in (0..pages).step_by(AT_ONCE) {
        let mut in_core = [0; AT_ONCE];
        let in_core = &mut in_core[..(pages - from).min(AT_ONCE)];
        if !os::in_core(slot.base() + from * PAGE, in_core) {
            return dirty;
        }
        present += in_core.iter().filter(|&&page| page & 1 != 0).count();
    }
    present * PAGE
}
