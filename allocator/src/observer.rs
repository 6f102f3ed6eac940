//! How the heap tells: the observer, and what it is told.

use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*};

use crate::{config, signal};

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its address.
    pub base: usize,
    /// Bytes asked for.
    pub size: usize,
    /// Whether the program holds it.
    pub state: BlockState,
    /// Whether its end is reported to [`HeapObserver::freeing`].
    pub watched: bool,
    /// Return address of the allocation call; 0 unknown.
    pub alloc_site: usize,
    /// Return address of the call that freed it; 0 unknown or not freed. Known
    /// while the block is in quarantine.
    pub free_site: usize,
}

/// Whether a block is in the program's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockState {
    /// Handed out and not freed.
    Live,
    /// Freed, and not handed out again.
    Freed,
}

/// Kinds of misuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MisuseKind {
    /// A freed block was written to; found later, when its poison was verified.
    UseAfterFreeWrite,
    /// A freed block was freed again.
    DoubleFree,
    /// Something that is no block's address was freed or reallocated.
    InvalidFree,
    /// Bytes behind a block were written to.
    HeapBufferOverflow,
    /// Bytes in front of a block were written to.
    HeapBufferUnderflow,
    /// Rust's `dealloc` or `realloc` named another layout than `alloc` did.
    LayoutMismatch,
    /// A C++ block was given back by another family than it came from (`expected`
    /// and `found` begin with the families' numbers) or with another size (in
    /// their last eight bytes).
    AllocDeallocMismatch,
    /// A signal handler that had interrupted the heap called it.
    SignalUnsafeCall,
    /// A freed block was read: only where the access traps.
    UseAfterFreeRead,
}

impl MisuseKind {
    /// The kind's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            MisuseKind::UseAfterFreeWrite => "use-after-free-write",
            MisuseKind::DoubleFree => "double-free",
            MisuseKind::InvalidFree => "invalid-free",
            MisuseKind::HeapBufferOverflow => "heap-buffer-overflow",
            MisuseKind::HeapBufferUnderflow => "heap-buffer-underflow",
            MisuseKind::LayoutMismatch => "layout-mismatch",
            MisuseKind::AllocDeallocMismatch => "alloc-dealloc-mismatch",
            MisuseKind::SignalUnsafeCall => "signal-unsafe-call",
            MisuseKind::UseAfterFreeRead => "use-after-free-read",
        }
    }

    /// Whether it is certain harm, and not only a breach of the rules that may
    /// have gone well.
    pub fn is_error(self) -> bool {
        !matches!(self, MisuseKind::AllocDeallocMismatch | MisuseKind::SignalUnsafeCall)
    }
}

/// One misuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misuse {
    /// What it is.
    pub kind: MisuseKind,
    /// The pointer given, or the address of the first damaged byte.
    pub addr: usize,
    /// The block it belongs to; 0 if there is none.
    pub base: usize,
    /// Bytes that block was asked for.
    pub size: usize,
    /// `addr - base`.
    pub offset: isize,
    /// Span from the first to the last damaged byte, 0 if none is damaged; or the bytes
    /// of an access that was performed on an alias.
    pub len: usize,
    /// Return address of the block's allocation; 0 unknown.
    pub alloc_site: usize,
    /// Return address of the block's (first) free; 0 unknown or not freed.
    pub free_site: usize,
    /// Return address of the call that found it; 0 unknown or found by a sweep.
    pub caller: usize,
    /// What the 16 bytes around the first damaged one should be ...
    pub expected: [u8; 16],
    /// ... and what they are.
    pub found: [u8; 16],
    /// Whether it was found some time after it happened.
    pub late: bool,
    /// Whether it is told from a signal handler, where no stack may be captured;
    /// `caller` is the instruction, or who called, plus one.
    pub in_signal: bool,
    /// For how long the block has been free, ns; 0 if that is not known.
    pub age_ns: u64,
}

impl Misuse {
    /// A misuse of `block` (by a call, so far: no damaged bytes) at `addr`.
    pub(crate) fn of(kind: MisuseKind, addr: usize, block: Option<Block>, caller: usize) -> Misuse {
        let (base, size) = block.map_or((0, 0), |block| (block.base, block.size));
        Misuse {
            kind,
            addr,
            base,
            size,
            offset: if base == 0 { 0 } else { addr.wrapping_sub(base) as isize },
            len: 0,
            alloc_site: block.map_or(0, |block| block.alloc_site),
            free_site: block.map_or(0, |block| block.free_site),
            caller,
            expected: [0; 16],
            found: [0; 16],
            late: false,
            in_signal: false,
            age_ns: 0,
        }
    }
}

/// What becomes of a watched block that is being freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freeing {
    /// It is freed.
    Goes,
    /// Nothing yet: the observer frees it later.
    Stays,
    /// It had stayed after an earlier free, whose return address this is: so this is
    /// the second one.
    WasFreed(usize),
}

/// Who is told.
pub trait HeapObserver: Sync {
    /// A watched block is about to be freed or moved by realloc. It is still
    /// live; no lock is held. Runs inside `free`: must not allocate from this
    /// heap (if it does all the same, the heap stays sound).
    fn freeing(&self, block: &Block, free_site: usize);

    /// As [`freeing`](Self::freeing), by an observer that may keep the block.
    fn ends(&self, block: &Block, free_site: usize) -> Freeing {
        self.freeing(block, free_site);
        Freeing::Goes
    }

    /// A misuse was found. No lock is held; runs inside malloc or free.
    fn misuse(&self, misuse: &Misuse);

    /// A pointer that is not of this heap reached free. True if it was handled;
    /// otherwise it is reported as an invalid free and ignored.
    fn foreign_free(&self, addr: usize, site: usize) -> bool {
        let _ = (addr, site);
        false
    }

    /// A pointer that is not of this heap reached realloc. The result if it was
    /// handled; otherwise it is reported as an invalid free and realloc fails.
    fn foreign_realloc(&self, addr: usize, size: usize, site: usize) -> Option<*mut u8> {
        let _ = (addr, size, site);
        None
    }

    /// A pointer that is not of this heap reached `usable_size`.
    fn foreign_usable_size(&self, addr: usize) -> usize {
        let _ = addr;
        0
    }
}

/// A sized box for the observer, so that an atomic pointer can hold it.
struct Holder(core::cell::UnsafeCell<Option<&'static dyn HeapObserver>>);

// SAFETY: written once by whoever wins `HOLDERS_USED`, before it is published.
unsafe impl Sync for Holder {}

/// So many times may the observer be changed (tests do; programs set it once).
const HOLDERS: usize = 64;
static HOLDER: [Holder; HOLDERS] = [const { Holder(core::cell::UnsafeCell::new(None)) }; HOLDERS];
static HOLDERS_USED: AtomicUsize = AtomicUsize::new(0);
static OBSERVER: AtomicPtr<Holder> = AtomicPtr::new(core::ptr::null_mut());
static RESOLVER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Sets who is told from now on. May be called 64 times in a process; further
/// calls change nothing.
pub fn set_observer(observer: &'static dyn HeapObserver) {
    let Some(holder) = HOLDER.get(HOLDERS_USED.fetch_add(1, Relaxed)) else { return };
    // SAFETY: this holder's number was given out once, and it is not public yet.
    unsafe { *holder.0.get() = Some(observer) };
    OBSERVER.store(core::ptr::from_ref(holder).cast_mut(), Release);
}

/// The observer, if one is set.
pub(crate) fn observer() -> Option<&'static dyn HeapObserver> {
    let holder = OBSERVER.load(Acquire);
    // SAFETY: a published holder is static and not written any more.
    if holder.is_null() { None } else { unsafe { *(*holder).0.get() } }
}

/// Sets how full site addresses are recovered: slots keep the low half only,
/// and the resolver knows which module has code at such an address. Without
/// one, sites are reported as their low half.
///
/// It runs inside the heap, perhaps under one of its locks: it must neither
/// allocate from this heap nor wait.
pub fn set_site_resolver(resolver: fn(u32) -> usize) {
    RESOLVER.store(resolver as *mut (), Release);
}

/// The full address of a kept site.
pub(crate) fn resolve(site: u32) -> usize {
    let resolver = RESOLVER.load(Acquire);
    if site == 0 || resolver.is_null() {
        return site as usize;
    }
    // SAFETY: only a `fn(u32) -> usize` is ever stored.
    let resolver = unsafe { core::mem::transmute::<*mut (), fn(u32) -> usize>(resolver) };
    resolver(site)
}

/// Tells the observer of a misuse. No lock may be held.
#[cold]
pub(crate) fn deliver(misuse: &Misuse) {
    let in_signal = misuse.in_signal || signal::is_nested();
    if let Some(observer) = observer() {
        observer.misuse(&Misuse { in_signal, ..*misuse });
    }
    if config::aborts() && misuse.kind.is_error() {
        std::process::abort();
    }
}

/// Tells the observer that a watched block ends; whether it does. No lock may be held.
#[cold]
pub(crate) fn tell_freeing(block: &Block, site: usize) -> bool {
    match observer().map_or(Freeing::Goes, |observer| observer.ends(block, site)) {
        Freeing::Goes => true,
        Freeing::Stays => false,
        Freeing::WasFreed(free_site) => {
            let block = Block { free_site, ..*block };
            deliver(&Misuse::of(MisuseKind::DoubleFree, block.base, Some(block), site));
            false
        }
    }
}

/// Makes every misuse go to a function, without a trait implementation: the one
/// call that plugs this crate and a detector together.
///
/// ```
/// fn sink(
///     kind: &'static str, addr: usize, base: usize, size: usize, offset: isize,
///     alloc_site: usize, free_site: usize, caller: usize,
///     expected: &[u8; 16], found: &[u8; 16], late: bool, in_signal: bool,
/// ) {
///     eprintln!("{kind} at {addr:#x}, {offset} bytes into {size} at {base:#x}");
///     # let _ = (alloc_site, free_site, caller, expected, found, late, in_signal);
/// }
/// deadwalk_alloc::observe_with!(sink);
/// ```
#[macro_export]
macro_rules! observe_with {
    ($sink:path) => {{
        struct SinkObserver;
        impl $crate::HeapObserver for SinkObserver {
            fn freeing(&self, _block: &$crate::Block, _free_site: usize) {}
            fn misuse(&self, misuse: &$crate::Misuse) {
                $sink(
                    misuse.kind.name(),
                    misuse.addr,
                    misuse.base,
                    misuse.size,
                    misuse.offset,
                    misuse.alloc_site,
                    misuse.free_site,
                    misuse.caller,
                    &misuse.expected,
                    &misuse.found,
                    misuse.late,
                    misuse.in_signal,
                );
            }
        }
        static SINK_OBSERVER: SinkObserver = SinkObserver;
        $crate::set_observer(&SINK_OBSERVER);
    }};
}
