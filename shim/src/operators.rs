//! C++'s `operator new` and `operator delete`, all twenty.
//!
//! Interposed so that allocations and frees name the C++ code, not the C++
//! library, and so that the families can be told apart (`new_delete=on`). What
//! the standard says of them stays the standard library's business: without
//! memory a call goes on to its operator, which calls the new-handler, tries
//! malloc again, and throws `std::bad_alloc` or returns null. Operators that
//! the program replaced are left alone (see `overrides`).
//!
//! An operator's way is one word: the fast path is a load and a compare in front
//! of malloc's or free's.
//!
//! Contexts: as malloc and free, before any constructor too. Exceptions pass
//! through ("C-unwind", nothing to drop).

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use deadwalk_alloc::family::{self, Family};
use deadwalk_alloc::heap;

use crate::overrides::{self, Way};

/// One of the operators.
pub struct Operator {
    /// Its name in symbol tables.
    pub name: &'static CStr,
    /// The operators that the standard library's definition calls, in the end.
    pub calls: &'static [usize],
    family: Family,
    /// What was found of its way: one of the constants, or an address to go to.
    way: AtomicUsize,
}

/// Nobody looked yet.
const UNKNOWN: usize = 0;
/// Straight to malloc or free.
const FAST: usize = 1;
/// Ours, and the family is noted.
const NOTED: usize = 2;
/// The caller decides.
const BY_CALLER: usize = 3;

/// A delete without a size; no object has this one.
const NO_SIZE: usize = usize::MAX;

/// Whether families are noted: at first, since options are read later than the
/// first static object may be made, and then if they are checked.
static NOTES: AtomicBool = AtomicBool::new(true);

/// Reads the operators' ways and whether families are checked; in the
/// constructor.
pub fn settle(checks_families: bool) {
    NOTES.store(checks_families, Relaxed);
    overrides::ways(Operator::store);
}

impl Operator {
    const fn new(name: &'static CStr, family: Family, calls: &'static [usize]) -> Operator {
        Operator { name, calls, family, way: AtomicUsize::new(UNKNOWN) }
    }

    /// Whether it allocates.
    pub fn is_new(&self) -> bool {
        self.name.to_bytes().starts_with(b"_Zn")
    }

    #[inline(always)]
    fn is_fast(&self) -> bool {
        self.way.load(Relaxed) == FAST
    }

    fn store(&self, way: Way) {
        let word = match way {
            Way::Ours if NOTES.load(Relaxed) => NOTED,
            Way::Ours => FAST,
            Way::Next(addr) => addr,
            Way::ByCaller => BY_CALLER,
        };
        self.way.store(word, Relaxed);
    }

    /// The way of a call from `site`, which is no longer "ask".
    fn way(&self, site: usize) -> Way {
        if self.way.load(Relaxed) == UNKNOWN {
            overrides::ways(Operator::store);
        }
        match self.way.load(Relaxed) {
            UNKNOWN | FAST | NOTED => Way::Ours,
            BY_CALLER => overrides::of_caller(self, site),
            addr => Way::Next(addr),
        }
    }

    /// The way of a call from `site` that gives `block` back. Where the caller
    /// decides, he may be the wrong one (a destructor that ends in a jump to the
    /// operator): what is no block of ours is somebody else's.
    fn way_back(&self, block: *mut u8, site: usize) -> Way {
        let way = self.way(site);
        let is_ours = || block.is_null() || family::is_block(block);
        if way != Way::Ours || self.way.load(Relaxed) != BY_CALLER || is_ours() {
            return way;
        }
        match overrides::anybodys(self) {
            0 => way,
            addr => Way::Next(addr),
        }
    }
}

/// # Safety
///
/// * `addr` is that of an operator that takes these arguments, or 0.
unsafe fn go_on(addr: usize, first: usize, second: usize, third: usize) -> *mut u8 {
    if addr == 0 {
        return core::ptr::null_mut();
    }
    // SAFETY: the caller's promise; integers and pointers are passed alike, what
    // an operator does not take it does not read, and delete returns nothing.
    unsafe {
        let next: unsafe extern "C-unwind" fn(usize, usize, usize) -> *mut u8 =
            core::mem::transmute(addr);
        next(first, second, third)
    }
}

/// `new` off the fast path: `second` and `third` are the arguments behind the
/// size as they came, `align` is 0 for the operators without one.
#[cold]
#[inline(never)]
unsafe extern "C-unwind" fn allocate(
    size: usize,
    second: usize,
    third: usize,
    site: usize,
    align: usize,
    operator: &'static Operator,
) -> *mut u8 {
    // SAFETY: the caller's arguments go to functions that take them.
    unsafe {
        if let Way::Next(addr) = operator.way(site) {
            return go_on(addr, size, second, third);
        }
        let mut block = match align {
            0 => heap::malloc(size, site),
            _ if align.is_power_of_two() => heap::memalign(align, size, site),
            _ => core::ptr::null_mut(),
        };
        if block.is_null() {
            block = go_on(overrides::standard(operator), size, second, third);
        }
        if !block.is_null() && NOTES.load(Relaxed) {
            family::mark(block, operator.family);
        }
        block
    }
}

/// `delete` off the fast path, likewise; `size` is [`NO_SIZE`] if none is given.
#[cold]
#[inline(never)]
unsafe extern "C-unwind" fn release(
    block: *mut u8,
    second: usize,
    third: usize,
    site: usize,
    size: usize,
    operator: &'static Operator,
) {
    // SAFETY: as above.
    unsafe {
        match operator.way_back(block, site) {
            Way::Next(addr) => {
                go_on(addr, block as usize, second, third);
            }
            _ if NOTES.load(Relaxed) => {
                let size = (size != NO_SIZE).then_some(size);
                family::free(block, operator.family, size, site)
            }
            _ => heap::free(block, site),
        }
    }
}

macro_rules! operators {
    ($($name:ident $family:ident [$($calls:ident),*] $symbol:ident = $target:ident, $register:literal;)+) => {
        /// The operators by name: positions in [`OPERATORS`].
        #[derive(Clone, Copy)]
        #[repr(usize)]
        enum Name { $($name),+ }

        /// Every operator.
        pub static OPERATORS: [Operator; [$(Name::$name),+].len()] = [
            $(Operator::new(
                match CStr::from_bytes_with_nul(concat!(stringify!($symbol), "\0").as_bytes()) {
                    Ok(symbol) => symbol,
                    Err(_) => panic!("a symbol ends with its only NUL"),
                },
                Family::$family,
                &[$(Name::$calls as usize),*],
            )),+
        ];

        $(export_with_site!($register, $target::<{ Name::$name as usize }>, $symbol);)+
    };
}

// The standard's defaults: what calls what.
operators! {
    Plain New [] _Znwm = new, "rsi";
    Nothrow New [Plain] _ZnwmRKSt9nothrow_t = new_nothrow, "rdx";
    Array NewArray [Plain] _Znam = new, "rsi";
    ArrayNothrow NewArray [Array, Plain] _ZnamRKSt9nothrow_t = new_nothrow, "rdx";
    Aligned New [] _ZnwmSt11align_val_t = new_aligned, "rdx";
    AlignedNothrow New [Aligned] _ZnwmSt11align_val_tRKSt9nothrow_t = new_aligned_nothrow, "rcx";
    AlignedArray NewArray [Aligned] _ZnamSt11align_val_t = new_aligned, "rdx";
    AlignedArrayNothrow NewArray [AlignedArray, Aligned]
        _ZnamSt11align_val_tRKSt9nothrow_t = new_aligned_nothrow, "rcx";
    Delete New [] _ZdlPv = delete, "rsi";
    DeleteNothrow New [Delete] _ZdlPvRKSt9nothrow_t = delete_with, "rdx";
    DeleteSized New [Delete] _ZdlPvm = delete_sized, "rdx";
    DeleteArray NewArray [Delete] _ZdaPv = delete, "rsi";
    DeleteArrayNothrow NewArray [DeleteArray, Delete] _ZdaPvRKSt9nothrow_t = delete_with, "rdx";
    DeleteArraySized NewArray [DeleteArray, Delete] _ZdaPvm = delete_sized, "rdx";
    DeleteAligned New [] _ZdlPvSt11align_val_t = delete_with, "rdx";
    DeleteAlignedNothrow New [DeleteAligned]
        _ZdlPvSt11align_val_tRKSt9nothrow_t = delete_with_two, "rcx";
    DeleteAlignedSized New [DeleteAligned] _ZdlPvmSt11align_val_t = delete_sized_aligned, "rcx";
    DeleteAlignedArray NewArray [DeleteAligned] _ZdaPvSt11align_val_t = delete_with, "rdx";
    DeleteAlignedArrayNothrow NewArray [DeleteAlignedArray, DeleteAligned]
        _ZdaPvSt11align_val_tRKSt9nothrow_t = delete_with_two, "rcx";
    DeleteAlignedArraySized NewArray [DeleteAlignedArray, DeleteAligned]
        _ZdaPvmSt11align_val_t = delete_sized_aligned, "rcx";
}

#[unsafe(link_section = "deadwalk_heap")]
unsafe extern "C-unwind" fn new<const OP: usize>(size: usize, site: usize) -> *mut u8 {
    // SAFETY: no precondition; what a call was given goes on unchanged.
    unsafe {
        if OPERATORS[OP].is_fast() {
            let block = heap::at_once(size, site);
            if !block.is_null() {
                return block;
            }
        }
        allocate(size, 0, 0, site, 0, &OPERATORS[OP])
    }
}

#[unsafe(link_section = "deadwalk_heap")]
unsafe extern "C-unwind" fn new_nothrow<const OP: usize>(
    size: usize,
    nothrow: usize,
    site: usize,
) -> *mut u8 {
    // SAFETY: as above.
    unsafe {
        if OPERATORS[OP].is_fast() {
            let block = heap::at_once(size, site);
            if !block.is_null() {
                return block;
            }
        }
        allocate(size, nothrow, 0, site, 0, &OPERATORS[OP])
    }
}

unsafe extern "C-unwind" fn new_aligned<const OP: usize>(
    size: usize,
    align: usize,
    site: usize,
) -> *mut u8 {
    // SAFETY: as above.
    unsafe { allocate(size, align, 0, site, align, &OPERATORS[OP]) }
}

unsafe extern "C-unwind" fn new_aligned_nothrow<const OP: usize>(
    size: usize,
    align: usize,
    nothrow: usize,
    site: usize,
) -> *mut u8 {
    // SAFETY: as above.
    unsafe { allocate(size, align, nothrow, site, align, &OPERATORS[OP]) }
}

unsafe extern "C-unwind" fn delete<const OP: usize>(block: *mut u8, site: usize) {
    // SAFETY: the caller gives the block up; what a call was given goes on
    // unchanged.
    unsafe {
        if OPERATORS[OP].is_fast() {
            return heap::free(block, site);
        }
        release(block, 0, 0, site, NO_SIZE, &OPERATORS[OP])
    }
}

/// With an alignment, or nothrow.
unsafe extern "C-unwind" fn delete_with<const OP: usize>(block: *mut u8, with: usize, site: usize) {
    // SAFETY: as above.
    unsafe {
        if OPERATORS[OP].is_fast() {
            return heap::free(block, site);
        }
        release(block, with, 0, site, NO_SIZE, &OPERATORS[OP])
    }
}

/// With both.
unsafe extern "C-unwind" fn delete_with_two<const OP: usize>(
    block: *mut u8,
    align: usize,
    nothrow: usize,
    site: usize,
) {
    // SAFETY: as above.
    unsafe {
        if OPERATORS[OP].is_fast() {
            return heap::free(block, site);
        }
        release(block, align, nothrow, site, NO_SIZE, &OPERATORS[OP])
    }
}

unsafe extern "C-unwind" fn delete_sized<const OP: usize>(
    block: *mut u8,
    size: usize,
    site: usize,
) {
    // SAFETY: as above.
    unsafe {
        if OPERATORS[OP].is_fast() {
            return heap::free(block, site);
        }
        release(block, size, 0, site, size, &OPERATORS[OP])
    }
}

unsafe extern "C-unwind" fn delete_sized_aligned<const OP: usize>(
    block: *mut u8,
    size: usize,
    align: usize,
    site: usize,
) {
    // SAFETY: as above.
    unsafe {
        if OPERATORS[OP].is_fast() {
            return heap::free(block, site);
        }
        release(block, size, align, site, size, &OPERATORS[OP])
    }
}
