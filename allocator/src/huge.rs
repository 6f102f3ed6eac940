//! Blocks above 64 MiB: each its own mapping, in the window's second part.
//!
//! Ground rules. One lock guards the table: entries by ascending address, in
//! mapped memory that doubles when full. Addresses are given out next-fit, so a
//! freed range stays unmapped for long and a stale access traps.

use crate::counters::{self, Counter};
use crate::family::{self, Family};
use crate::lock::{Guard, Lock};
use crate::observer::{Block, BlockState, Misuse, MisuseKind, deliver, resolve, tell_freeing};
use crate::os::{self, MapError, PAGE};
use crate::poison::{self, POISON_FREE};
use crate::report::{self, Damage};
use crate::slot::{LIVE, REPORTED};
use crate::window::{HUGE_SPAN, huge_base};

/// Bytes checked behind the requested size, and one page at least is mapped.
const CANARY: usize = 16;
/// Freed blocks remembered, to name double frees.
const REMEMBERED: usize = 64;
/// Foreign mappings in the way are jumped over so many times.
const MAX_TRIES: usize = 64;

#[derive(Clone, Copy)]
struct Entry {
    addr: usize,
    mapped: usize,
    size: usize,
    alloc_site: u32,
    free_site: u32,
    watched: bool,
    reported: bool,
    /// Flags of [`crate::family`].
    family: u8,
}

const NO_ENTRY: Entry = Entry {
    addr: 0,
    mapped: 0,
    size: 0,
    alloc_site: 0,
    free_site: 0,
    watched: false,
    reported: false,
    family: 0,
};

/// The blocks; the lock is taken by `fork_prepare`.
pub struct Table {
    entries: *mut Entry,
    len: usize,
    capacity: usize,
    /// Where the search for a free range begins, relative to the part's start.
    cursor: usize,
    freed: [Entry; REMEMBERED],
    freed_count: usize,
}

// SAFETY: an owner of memory, used behind a lock.
unsafe impl Send for Table {}

/// The table of huge blocks.
pub static TABLE: Lock<Table> = Lock::held_over_fork(Table {
    entries: core::ptr::null_mut(),
    len: 0,
    capacity: 0,
    cursor: 0,
    freed: [NO_ENTRY; REMEMBERED],
    freed_count: 0,
});

impl Table {
    fn slice(&mut self) -> &mut [Entry] {
        if self.len == 0 {
            return &mut [];
        }
        // SAFETY: `len <= capacity` entries are initialised.
        unsafe { core::slice::from_raw_parts_mut(self.entries, self.len) }
    }

    /// The block that contains an address.
    fn find(&mut self, addr: usize) -> Option<usize> {
        let after = self.slice().partition_point(|entry| entry.addr <= addr);
        let at = after.checked_sub(1)?;
        let entry = self.slice()[at];
        (addr - entry.addr < entry.mapped).then_some(at)
    }

    fn find_freed(&self, addr: usize) -> Option<usize> {
        self.freed
            .iter()
            .position(|entry| entry.addr != 0 && addr.wrapping_sub(entry.addr) < entry.mapped)
    }

    fn reserve(&mut self) -> Option<()> {
        if self.len < self.capacity {
            return Some(());
        }
        let bytes = (self.capacity * 2 * size_of::<Entry>()).max(PAGE);
        let new = os::map_anywhere(bytes)? as *mut Entry;
        if self.capacity > 0 {
            // SAFETY: the new memory is larger; the old one was mapped likewise.
            unsafe {
                core::ptr::copy_nonoverlapping(self.entries, new, self.len);
                os::unmap(self.entries as usize, (self.capacity * size_of::<Entry>()).max(PAGE));
            }
        }
        self.entries = new;
        self.capacity = bytes / size_of::<Entry>();
        Some(())
    }

    fn insert(&mut self, entry: Entry) {
        debug_assert!(self.len < self.capacity);
        let at = self.slice().partition_point(|other| other.addr < entry.addr);
        // SAFETY: `reserve` made room for one more.
        unsafe {
            let place = self.entries.add(at);
            core::ptr::copy(place, place.add(1), self.len - at);
            place.write(entry);
        }
        self.len += 1;
    }

    fn remove(&mut self, at: usize) -> Entry {
        let entry = self.slice()[at];
        self.slice().copy_within(at + 1.., at);
        self.len -= 1;
        entry
    }

    /// A free range of `len` bytes at a multiple of `align`, from the cursor on.
    fn gap(&mut self, len: usize, align: usize) -> Option<usize> {
        let (start, end) = (huge_base(), huge_base() + HUGE_SPAN);
        for from in [start + self.cursor, start] {
            let mut at = from.next_multiple_of(align);
            let first = self.slice().partition_point(|entry| entry.addr + entry.mapped <= at);
            for entry in &self.slice()[first..] {
                if at + len <= entry.addr {
                    break;
                }
                at = (entry.addr + entry.mapped).next_multiple_of(align);
            }
            if at.checked_add(len)? <= end {
                return Some(at);
            }
        }
        None
    }
}

fn mapped_len(size: usize) -> Option<usize> {
    size.checked_add(CANARY)?.checked_next_multiple_of(PAGE).filter(|&len| len < HUGE_SPAN)
}

/// Maps a block; it reads as zero. None without memory.
pub fn allocate(size: usize, align: usize, site: usize) -> Option<*mut u8> {
    let len = mapped_len(size)?;
    let mut table = TABLE.lock();
    table.reserve()?;
    for _ in 0..MAX_TRIES {
        let addr = table.gap(len, align.max(PAGE))?;
        table.cursor = addr + len - huge_base();
        match os::map_at(addr, len) {
            Ok(()) => {
                // SAFETY: just mapped.
                unsafe { ((addr + size) as *mut u8).write_bytes(POISON_FREE, CANARY) };
                table.insert(Entry {
                    addr,
                    mapped: len,
                    size,
                    alloc_site: site as u32,
                    ..NO_ENTRY
                });
                counters::add(Counter::Allocs, 1);
                counters::add_live(size as u64);
                return Some(addr as *mut u8);
            }
            Err(MapError::Taken) => {}
            Err(MapError::NoMemory) => return None,
        }
    }
    None
}

fn describe(entry: &Entry, state: BlockState) -> Block {
    Block {
        base: entry.addr,
        size: entry.size,
        state,
        watched: entry.watched,
        alloc_site: resolve(entry.alloc_site),
        free_site: resolve(entry.free_site),
    }
}

/// How many blocks there are, bytes of their mappings, bytes asked for.
pub fn held() -> (usize, usize, usize) {
    let mut table = TABLE.lock();
    let entries = table.slice().iter();
    entries.fold((0, 0, 0), |(blocks, mapped, asked), entry| {
        (blocks + 1, mapped + entry.mapped, asked + entry.size)
    })
}

/// The block an address lies in, or lay in lately.
pub fn lookup(addr: usize) -> Option<Block> {
    let mut table = TABLE.lock();
    if let Some(at) = table.find(addr) {
        return Some(describe(&table.slice()[at], BlockState::Live));
    }
    let at = table.find_freed(addr)?;
    Some(describe(&table.freed[at], BlockState::Freed))
}

/// Marks the block an address lies in.
pub fn watch(addr: usize) -> Option<Block> {
    let mut table = TABLE.lock();
    let at = table.find(addr)?;
    table.slice()[at].watched = true;
    Some(describe(&table.slice()[at], BlockState::Live))
}

/// State and flags of the live block that starts at `addr`, as in
/// [`crate::slot`].
pub fn flags(addr: usize) -> Option<u8> {
    let mut table = TABLE.lock();
    let at = table.find(addr)?;
    let entry = table.slice()[at];
    let reported = if entry.reported { REPORTED } else { 0 };
    (entry.addr == addr).then_some(LIVE | entry.family | reported)
}

/// Clears some flags of the live block that starts at `addr` and sets others:
/// those of its family.
pub fn replace_flags(addr: usize, clear: u8, set: u8) {
    let mut table = TABLE.lock();
    let Some(at) = table.find(addr) else { return };
    let entry = &mut table.slice()[at];
    entry.family = entry.family & !clear | set;
}

/// The live block that starts at `addr`; otherwise tells what is wrong.
pub fn check_live(addr: usize, site: usize) -> Option<Block> {
    let mut table = TABLE.lock();
    let (kind, block) = match table.find(addr) {
        Some(at) if table.slice()[at].addr == addr => {
            return Some(describe(&table.slice()[at], BlockState::Live));
        }
        Some(at) => {
            let entry = &mut table.slice()[at];
            let told = core::mem::replace(&mut entry.reported, true);
            (MisuseKind::InvalidFree, (!told).then(|| describe(entry, BlockState::Live)))
        }
        None => match table.find_freed(addr) {
            Some(at) => {
                let entry = &mut table.freed[at];
                let told = core::mem::replace(&mut entry.reported, true);
                let same = entry.addr == addr;
                let kind = if same { MisuseKind::DoubleFree } else { MisuseKind::InvalidFree };
                (kind, (!told).then(|| describe(entry, BlockState::Freed)))
            }
            None => {
                drop(table);
                deliver(&Misuse::of(MisuseKind::InvalidFree, addr, None, site));
                return None;
            }
        },
    };
    drop(table);
    if block.is_some() {
        deliver(&Misuse::of(kind, addr, block, site));
    }
    None
}

fn canary_damage(entry: &Entry) -> Option<Damage> {
    let (from, to) = (entry.size, entry.size + CANARY);
    // SAFETY: mapped while the entry is in the table.
    let found = unsafe { poison::damage(entry.addr as *const u8, from, to, usize::MAX) };
    found.map(|(first, last)| Damage { first, last })
}

/// Frees a block: its memory is unmapped, a stale access traps.
#[cold]
pub fn free(addr: usize, site: usize) {
    let Some(block) = check_live(addr, site) else { return };
    family::leave(addr, Family::Malloc, None, site);
    if block.watched {
        tell_freeing(&Block { free_site: site, ..block }, site);
    }
    let mut table = TABLE.lock();
    let Some(at) = table.find(addr).filter(|&at| table_addr(&mut table, at) == addr) else {
        drop(table);
        check_live(addr, site);
        return;
    };
    let mut entry = table.remove(at);
    entry.free_site = site as u32;
    let overflow = canary_damage(&entry).map(|damage| {
        let kind = MisuseKind::HeapBufferOverflow;
        report::damaged(kind, &block, damage, entry.size, usize::MAX, site)
    });
    // SAFETY: the mapping was this block's alone.
    unsafe { os::unmap(entry.addr, entry.mapped) };
    let place = table.freed_count % REMEMBERED;
    table.freed[place] = Entry { reported: false, ..entry };
    table.freed_count += 1;
    drop(table);
    counters::add(Counter::Frees, 1);
    counters::add_live((entry.size as u64).wrapping_neg());
    if let Some(misuse) = overflow {
        deliver(&misuse);
    }
}

fn table_addr(table: &mut Guard<'_, Table>, at: usize) -> usize {
    table.slice()[at].addr
}

/// Resizes a block, in place or by moving its pages. None if it must be copied.
/// The caller checked that the block is live and unwatched.
pub fn resize(addr: usize, size: usize, site: usize) -> Option<*mut u8> {
    let len = mapped_len(size)?;
    let mut table = TABLE.lock();
    let at = table.find(addr)?;
    let entry = table.slice()[at];
    if canary_damage(&entry).is_some() {
        // Copied: the old block is told of as it is freed.
        return None;
    }
    let next = table.slice().get(at + 1).map_or(usize::MAX, |next| next.addr);
    let fits = addr + len <= next.min(huge_base() + HUGE_SPAN);
    // SAFETY: the entry's mapping is one piece and its owner called us.
    let in_place =
        len == entry.mapped || fits && unsafe { os::remap(addr, entry.mapped, len, None) };
    let to = if in_place {
        addr
    } else {
        let to = table.gap(len, PAGE)?;
        // Mapped first, so that nothing foreign is replaced.
        os::map_at(to, len).ok()?;
        // SAFETY: both ranges are ours.
        if !unsafe { os::remap(addr, entry.mapped, len, Some(to)) } {
            // SAFETY: mapped just above.
            unsafe { os::unmap(to, len) };
            return None;
        }
        table.cursor = to + len - huge_base();
        to
    };
    table.remove(at);
    table.insert(Entry { addr: to, mapped: len, size, alloc_site: site as u32, ..entry });
    // SAFETY: the mapping has room for the canary. What it held before is zero,
    // the program's, or the old canary.
    unsafe { ((to + size) as *mut u8).write_bytes(POISON_FREE, CANARY) };
    counters::add_live((size as u64).wrapping_sub(entry.size as u64));
    Some(to as *mut u8)
}
