//! Which loaded object holds an address: `_dl_find_object` where libc has it
//! (glibc 2.35; lock-free, safe inside malloc and in signal handlers). Where it
//! has not, no module is known and the record holds plain addresses.

use core::ffi::{CStr, c_char, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use deadwalk_detector::platform::Module;

use crate::elf::Object;
use crate::real::{self, Real};
use crate::{start, unload};

/// `struct dl_find_object` of <dlfcn.h>, x86-64.
#[repr(C)]
struct DlFindObject {
    flags: u64,
    map_start: *mut c_void,
    map_end: *mut c_void,
    link_map: *mut LinkMap,
    eh_frame: *mut c_void,
    reserved: [u64; 7],
}

/// The public part of `struct link_map`.
#[repr(C)]
struct LinkMap {
    bias: usize,
    name: *const c_char,
    dynamic: *const c_void,
}

static FIND: Real = Real::new(c"_dl_find_object");

/// Looks libc's function up, so that later calls are safe in any context.
pub fn prepare() {
    OWN.hold(prepare as fn() as usize);
    // SAFETY: takes a number.
    PROGRAM.hold(unsafe { libc::getauxval(libc::AT_ENTRY) } as usize);
    LOADER.hold(FIND.addr());
    // Other heaps have libc's malloc under all its names; this only libc has.
    LIBC.hold(real::next(c"gnu_get_libc_version"));
}

static OWN: Range = Range::new();
static PROGRAM: Range = Range::new();
static LIBC: Range = Range::new();
static LOADER: Range = Range::new();

/// Where an object is mapped; empty before [`prepare`].
struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
}

impl Range {
    const fn new() -> Range {
        Range { start: AtomicUsize::new(0), end: AtomicUsize::new(0) }
    }

    /// Becomes the range of the object that holds `addr`.
    fn hold(&self, addr: usize) {
        if let Some(found) = find(addr) {
            self.start.store(found.map_start as usize, Relaxed);
            self.end.store(found.map_end as usize, Relaxed);
        }
    }

    fn contains(&self, addr: usize) -> bool {
        (self.start.load(Relaxed)..self.end.load(Relaxed)).contains(&addr)
    }
}

/// Is this address in our own text?
pub fn is_own(addr: usize) -> bool {
    OWN.contains(addr)
}

/// Is this address in the program itself, not in a library?
pub fn is_program(addr: usize) -> bool {
    PROGRAM.contains(addr)
}

/// Where the C library is mapped.
pub fn libc() -> core::ops::Range<usize> {
    LIBC.start.load(Relaxed)..LIBC.end.load(Relaxed)
}

/// Is this address in the C library or the loader?
pub fn is_libc(addr: usize) -> bool {
    LIBC.contains(addr) || LOADER.contains(addr)
}

fn find(addr: usize) -> Option<DlFindObject> {
    let function = FIND.addr();
    if function == 0 {
        return None;
    }
    // SAFETY: glibc's `_dl_find_object` has this type; the structure is plain
    // data of the documented size, and all-zero is valid for it.
    unsafe {
        let function: unsafe extern "C" fn(*mut c_void, *mut DlFindObject) -> i32 =
            core::mem::transmute(function);
        let mut found: DlFindObject = core::mem::zeroed();
        (function(addr as *mut c_void, &raw mut found) == 0).then_some(found)
    }
}

/// Where the object that holds `addr` is mapped.
pub fn range_of(addr: usize) -> Option<core::ops::Range<usize>> {
    find(addr).map(|found| found.map_start as usize..found.map_end as usize)
}

/// The address of the loader's description of the object that holds `addr`, which is
/// what `dlopen` gives as its handle; 0 if there is none.
pub fn map_at(addr: usize) -> usize {
    find(addr).map_or(0, |found| found.link_map as usize)
}

/// Is there an object at `addr`? Where the loader cannot be asked, yes.
pub fn is_loaded(addr: usize) -> bool {
    FIND.addr() == 0 || find(addr).is_some()
}

/// Do two addresses lie in one object?
pub fn are_together(addr: usize, other: usize) -> bool {
    range_of(addr).is_some_and(|range| range.contains(&other))
}

/// The object that holds a live code address, which stays loaded meanwhile.
pub fn object_of(addr: usize) -> Option<Object> {
    let map = find(addr)?.link_map;
    // SAFETY: the loader keeps the link map of an object that holds a live code
    // address; it names that object's dynamic section.
    unsafe {
        let map = map.as_ref()?;
        Object::new(map.bias, map.name, map.dynamic)
    }
}

/// Calls `each` with the object that holds `addr`.
pub fn module_of(addr: usize, each: &mut dyn FnMut(&Module<'_>)) {
    let Some(found) = find(addr) else { return unload::module_of(addr, each) };
    if found.link_map.is_null() {
        return;
    }
    let (start, end) = (found.map_start as usize, found.map_end as usize);
    // SAFETY: the loader keeps the link map of an object that holds a live code
    // address; its name is a C string.
    let (bias, name) = unsafe {
        let map = &*found.link_map;
        (map.bias, if map.name.is_null() { c"" } else { CStr::from_ptr(map.name) })
    };
    let path = match name.to_bytes() {
        b"" => start::exe(),
        path => path,
    };
    let mut id = [0u8; 32];
    let len = build_id(start, end, bias, &mut id);
    each(&Module { bias, start, end, path, build_id: &id[..len] });
}

/// Copies the GNU build id of a mapped object; returns its length.
fn build_id(start: usize, end: usize, bias: usize, out: &mut [u8; 32]) -> usize {
    const PT_NOTE: u32 = 4;
    const NT_GNU_BUILD_ID: u32 = 3;
    let inside =
        |addr: usize, len: usize| addr >= start && addr.checked_add(len).is_some_and(|e| e <= end);
    if !inside(start, 64) {
        return 0;
    }
    // SAFETY: the loader maps an object's first page at `map_start` (checked
    // for the ELF magic), and program headers and notes lie in its mapped
    // segments; every range is checked against the mapping.
    unsafe {
        let header = start as *const u8;
        if core::slice::from_raw_parts(header, 4) != b"\x7fELF" {
            return 0;
        }
        let headers = start + header.add(32).cast::<u64>().read_unaligned() as usize;
        let size = header.add(54).cast::<u16>().read_unaligned() as usize;
        let count = header.add(56).cast::<u16>().read_unaligned() as usize;
        for i in 0..count.min(64) {
            let at = headers + i * size;
            if size < 56 || !inside(at, 56) {
                return 0;
            }
            let program_header = at as *const u8;
            if program_header.cast::<u32>().read_unaligned() != PT_NOTE {
                continue;
            }
            let mut note = bias + program_header.add(16).cast::<u64>().read_unaligned() as usize;
            let bytes = program_header.add(32).cast::<u64>().read_unaligned() as usize;
            if !inside(note, bytes) {
                continue;
            }
            let notes_end = note + bytes;
            while note + 16 <= notes_end {
                let word = |at: usize| (at as *const u32).read_unaligned();
                let (name, desc, kind) =
                    (word(note) as usize, word(note + 4) as usize, word(note + 8));
                let desc_at = note + 12 + name.next_multiple_of(4);
                if desc_at + desc > notes_end {
                    break;
                }
                if kind == NT_GNU_BUILD_ID && name == 4 {
                    let len = desc.min(out.len());
                    let id = core::slice::from_raw_parts(desc_at as *const u8, len);
                    out[..len].copy_from_slice(id);
                    return len;
                }
                note = desc_at + desc.next_multiple_of(4);
            }
        }
        0
    }
}

/// The full address of a site of which the allocator kept the lower half: the
/// one that lies in a loaded object. 0 stays 0.
pub fn resolve_site(low: u32) -> usize {
    if low == 0 {
        return 0;
    }
    let near = |addr: usize| {
        [0, 1, usize::MAX]
            .map(|step| ((addr >> 32).wrapping_add(step) << 32) | low as usize)
            .into_iter()
    };
    // SAFETY: reads a number from the auxiliary vector.
    let program = unsafe { libc::getauxval(libc::AT_PHDR) } as usize;
    near(program)
        .chain(near(OWN.start.load(Relaxed)))
        .find(|&addr| find(addr).is_some())
        .unwrap_or(low as usize)
}
