//! Objects that a `dlclose` may unload, remembered beyond their end: for the names
//! of what was in them, and to keep their code.
//!
//! Ground rules. An entry, once in the table, is never freed and its facts never
//! change: others may read it at any time. The same object, closed again, has the
//! same entry. Who closes may read the object itself: its handle keeps it loaded, and
//! what it needs.

use core::ffi::{c_int, c_void};
use core::ops::Range;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
};

use deadwalk_detector::platform::Module;

use crate::elf::Object as Elf;
use crate::{modules, sandbox};

/// `mseal` (Linux 6.10), which the libc crate may not have.
const SYS_MSEAL: libc::c_long = 462;
/// Objects remembered; the oldest is forgotten for a new one.
const OBJECTS: usize = 64;
/// Objects that go with one `dlclose`; more are not protected.
const UNIT_MAX: usize = 16;
/// Executable segments of an object.
const TEXTS: usize = 4;
/// Objects there at the start; those beyond may be looked at in vain.
const STARTERS: usize = 256;
/// Names of needed objects.
const NAMES: usize = 256;
/// Sealed pages stay, and mappings are limited (65,530): a program that makes us
/// seal again and again keeps most of them.
const SEALS_MAX: usize = 4096;

static TABLE: [AtomicPtr<Object>; OBJECTS] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; OBJECTS];
static HAND: AtomicUsize = AtomicUsize::new(0);
static SERIAL: AtomicU64 = AtomicU64::new(0);
static SEALS: AtomicUsize = AtomicUsize::new(0);
static START: [AtomicUsize; STARTERS] = [const { AtomicUsize::new(0) }; STARTERS];

/// An object that may be, or was, unloaded.
pub struct Object {
    start: usize,
    end: usize,
    bias: usize,
    /// Where its code is, whole pages.
    texts: [(usize, usize); TEXTS],
    path: [u8; libc::PATH_MAX as usize / 8],
    path_len: usize,
    build_id: [u8; 32],
    build_id_len: usize,
    /// The loader's description of it, which says whether it is this one.
    map: AtomicUsize,
    /// Which `dlclose` is deciding about it; 0 for none.
    closing: AtomicU64,
    is_sealed: AtomicBool,
}

impl Object {
    /// Where it is mapped.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Is it still loaded?
    pub fn is_loaded(&self) -> bool {
        modules::map_at(self.start) == self.map.load(Relaxed)
    }

    /// What it defines and needs; it is loaded.
    pub fn elf(&self) -> Option<Elf> {
        modules::object_of(self.start)
    }

    fn is_same(&self, other: &Object) -> bool {
        self.range() == other.range() && self.path() == other.path()
    }

    fn path(&self) -> &[u8] {
        &self.path[..self.path_len]
    }

    /// Has the loader fail to unmap it. Async-signal-safe.
    fn seal(&self) {
        if sandbox::is_sandboxed() || self.is_sealed.swap(true, AcqRel) {
            return;
        }
        for &(start, end) in self.texts.iter().filter(|text| text.0 != 0) {
            if SEALS.fetch_add(1, Relaxed) < SEALS_MAX {
                // SAFETY: changes nothing but that the pages stay as they are; an
                // older kernel does not know the call.
                unsafe { libc::syscall(SYS_MSEAL, start, end - start, 0usize) };
            }
        }
    }

    /// Puts it in the table, or finds it there.
    fn publish(self, closing: u64) -> Option<&'static Object> {
        let map = self.map.load(Relaxed);
        let object = match entries().find(|object| object.is_same(&self)) {
            Some(known) => known,
            None => {
                let mut room = Vec::new();
                room.try_reserve_exact(1).ok()?;
                room.push(self);
                let object = &room.leak()[0];
                let hand = HAND.fetch_add(1, Relaxed) % OBJECTS;
                TABLE[hand].store((&raw const *object).cast_mut(), SeqCst);
                object
            }
        };
        object.map.store(map, Relaxed);
        object.closing.store(closing, SeqCst);
        Some(object)
    }
}

fn entries() -> impl Iterator<Item = &'static Object> {
    // SAFETY: null, or an entry, which lives for ever.
    TABLE.iter().filter_map(|entry| unsafe { entry.load(Acquire).as_ref() })
}

/// If `addr` lies in an object that a `dlclose` is deciding about: it and those that
/// would go with it stay.
pub fn hold(addr: usize) {
    let Some(object) = entries().find(|object| object.range().contains(&addr)) else { return };
    let closing = object.closing.load(SeqCst);
    if closing != 0 {
        entries().filter(|other| other.closing.load(SeqCst) == closing).for_each(Object::seal);
    }
}

/// Is `addr` in an object that is remembered and not loaded any more?
pub fn is_gone(addr: usize) -> bool {
    entries().any(|object| object.range().contains(&addr)) && !modules::is_loaded(addr)
}

/// Calls `each` with the object that was at `addr`, if one is remembered.
pub fn module_of(addr: usize, each: &mut dyn FnMut(&Module<'_>)) {
    if let Some(object) = entries().find(|object| object.range().contains(&addr)) {
        each(&Module {
            bias: object.bias,
            start: object.start,
            end: object.end,
            path: object.path(),
            build_id: &object.build_id[..object.build_id_len],
        });
    }
}

/// Remembers what is loaded now, in the constructor: it is not unloaded.
pub fn prepare() {
    let mut at = 0;
    each_loaded(&mut |info| {
        if let (Some(range), Some(place)) = (modules::range_of(headers_of(info)), START.get(at)) {
            place.store(range.start, Relaxed);
            at += 1;
        }
    });
}

/// Was the object that is mapped from `start` on there at the start?
pub fn is_from_the_start(start: usize) -> bool {
    START.iter().any(|known| known.load(Relaxed) == start)
}

/// The objects that may go with one `dlclose`.
pub struct Unit {
    objects: [Option<&'static Object>; UNIT_MAX],
    closing: u64,
}

impl Unit {
    /// Those of the handle that is about to be closed; `None` if nothing can go.
    pub fn closed_by(handle: usize) -> Option<Unit> {
        let closing = SERIAL.fetch_add(1, Relaxed) + 1;
        let mut unit = Unit { objects: [None; UNIT_MAX], closing };
        let mut names = Names::none();
        let mut count = 0;
        loop {
            let before = count;
            each_loaded(&mut |info| {
                let Some(range) = modules::range_of(headers_of(info)) else { return };
                let map = modules::map_at(range.start);
                if count == UNIT_MAX || is_from_the_start(range.start) || unit.contains(range.start)
                {
                    return;
                }
                let Some(elf) = modules::object_of(range.start) else { return };
                if map != handle && !names.have(elf.name()) {
                    return;
                }
                elf.needs(|name| {
                    names.add(name);
                    false
                });
                if let Some(object) = describe(info, range, map).publish(closing) {
                    unit.objects[count] = Some(object);
                    count += 1;
                }
            });
            if count == before {
                break;
            }
        }
        (count > 0).then_some(unit)
    }

    /// Does one of them begin at `start`?
    pub fn contains(&self, start: usize) -> bool {
        self.objects.iter().flatten().any(|object| object.start == start)
    }

    /// Calls `each` with each.
    pub fn each(&self, each: impl FnMut(&'static Object)) {
        self.objects.iter().flatten().copied().for_each(each);
    }

    /// Keeps their code.
    pub fn seal(&self) {
        self.each(Object::seal);
    }

    /// It is decided.
    pub fn end(&self) {
        self.each(|object| {
            let _ = object.closing.compare_exchange(self.closing, 0, SeqCst, Relaxed);
        });
    }
}

/// Names of needed objects, as hashes.
struct Names {
    hashes: [u64; NAMES],
    count: usize,
}

impl Names {
    const fn none() -> Names {
        Names { hashes: [0; NAMES], count: 0 }
    }

    fn add(&mut self, name: &[u8]) {
        if !self.have(name)
            && let Some(place) = self.hashes.get_mut(self.count)
        {
            *place = hash(name);
            self.count += 1;
        }
    }

    fn have(&self, name: &[u8]) -> bool {
        self.hashes[..self.count].contains(&hash(name))
    }
}

/// FNV-1a of a name's last part.
fn hash(name: &[u8]) -> u64 {
    let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    last.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The facts of a loaded object.
fn describe(info: &libc::dl_phdr_info, range: Range<usize>, map: usize) -> Object {
    const PAGE: usize = 4096;
    let mut object = Object {
        start: range.start,
        end: range.end,
        bias: info.dlpi_addr as usize,
        texts: [(0, 0); TEXTS],
        path: [0; libc::PATH_MAX as usize / 8],
        path_len: 0,
        build_id: [0; 32],
        build_id_len: 0,
        map: AtomicUsize::new(map),
        closing: AtomicU64::new(0),
        is_sealed: AtomicBool::new(false),
    };
    // SAFETY: the loader's headers of a loaded object.
    let headers =
        unsafe { core::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let is_text = |h: &&libc::Elf64_Phdr| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_X != 0;
    for (text, header) in object.texts.iter_mut().zip(headers.iter().filter(is_text)) {
        let at = object.bias.wrapping_add(header.p_vaddr as usize);
        *text = (at & !(PAGE - 1), (at + header.p_memsz as usize).next_multiple_of(PAGE));
    }
    modules::module_of(range.start, &mut |module| {
        object.path_len = module.path.len().min(object.path.len());
        object.path[..object.path_len].copy_from_slice(&module.path[..object.path_len]);
        object.build_id_len = module.build_id.len().min(object.build_id.len());
        object.build_id[..object.build_id_len]
            .copy_from_slice(&module.build_id[..object.build_id_len]);
    });
    object
}

/// An address in the object: its program headers are mapped.
fn headers_of(info: &libc::dl_phdr_info) -> usize {
    info.dlpi_phdr as usize
}

fn each_loaded(each: &mut dyn FnMut(&libc::dl_phdr_info)) {
    unsafe extern "C" fn visit(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        each: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader's description, and the closure given below.
        unsafe { (*each.cast::<&mut dyn FnMut(&libc::dl_phdr_info)>())(&*info) };
        0
    }
    let mut each = each;
    // SAFETY: the callback gets back what it is given here, before this returns.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut each).cast()) };
}
