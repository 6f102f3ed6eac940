//! The listing of blocks that are live at the end, by allocation site
//! (`leaks=sites`).
//!
//! Contexts: the process's end. Other threads may still run; the heap's walk
//! knows that. What is needed on the way is mapped, and given back.

use deadwalk_alloc::LiveBlock;
use deadwalk_alloc::sandbox::forbids;
use deadwalk_detector::DETECTOR;
use deadwalk_detector::record::heap_sites::HeapSite;

use crate::host::Host;
use crate::say::Line;
use crate::{modules, start};

/// Sites that are told apart: a large C++ program has some ten thousand.
const PLACES: usize = 1 << 16;
/// Places looked at for a site; what finds none there counts as unknown.
const TRIES: usize = 32;
const BYTES: usize = PLACES * size_of::<Place>();

/// What one site has allocated; free while it has no blocks.
#[derive(Clone, Copy)]
#[repr(C)]
struct Place {
    /// Low half of the site; 0 unknown.
    site: u32,
    blocks: u64,
    bytes: u64,
}

/// Writes the listing into the record, if it is wanted.
pub fn list() {
    if !start::lists_leaks() || start::is_bare() {
        return;
    }
    let Some(table) = Table::new() else {
        Line::new().text("no memory to list live blocks in").say();
        return;
    };
    table.fill();
}

/// The sites, a hash table in memory of its own; the first place is that of all
/// unknown ones.
struct Table(&'static mut [Place; PLACES]);

impl Table {
    fn new() -> Option<Table> {
        if forbids(libc::SYS_mmap, 0) || forbids(libc::SYS_munmap, 0) {
            return None;
        }
        let (access, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let memory = unsafe { libc::mmap(core::ptr::null_mut(), BYTES, access, flags, -1, 0) };
        // SAFETY: as long, and aligned to a page; zero is a valid `Place`; the
        // mapping is this table's until it is dropped.
        (memory != libc::MAP_FAILED).then(|| Table(unsafe { &mut *memory.cast() }))
    }

    fn fill(mut self) {
        deadwalk_alloc::each_live(&mut |block| self.add(block));
        // The most bytes first; places without blocks are last.
        self.0.sort_unstable_by_key(|place| core::cmp::Reverse((place.blocks > 0, place.bytes)));
        let used = self.0.iter().take_while(|place| place.blocks > 0);
        let sites = used.map(|place| HeapSite {
            site: modules::resolve_site(place.site),
            blocks: place.blocks,
            bytes: place.bytes,
        });
        DETECTOR.record.heap_sites(&Host, sites);
    }

    fn add(&mut self, block: &LiveBlock) {
        let at = self.place_of(block.alloc_site);
        let place = &mut self.0[at];
        place.site = if at == 0 { 0 } else { block.alloc_site };
        place.blocks += 1;
        place.bytes += block.size as u64;
    }

    fn place_of(&self, site: u32) -> usize {
        if site == 0 {
            return 0;
        }
        let start = (site.wrapping_mul(0x9e37_79b9) >> 16) as usize;
        let tries = (start..start + TRIES).map(|at| at % PLACES).filter(|&at| at != 0);
        let mine = |at: &usize| self.0[*at].blocks == 0 || self.0[*at].site == site;
        tries.into_iter().find(mine).unwrap_or(0)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; nothing points into it any more.
        unsafe { libc::munmap(core::ptr::from_mut(self.0).cast(), BYTES) };
    }
}
