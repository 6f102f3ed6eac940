//! Vector, mask and x87 registers: the signal frame's save area is the truth.
//!
//! What these registers hold inside the handler is not the program's (the kernel
//! clears them, our own code uses them). An instruction that needs them has them
//! loaded from the frame right before it and stored back right behind it (`run.rs`).
//! Here is what is read or changed in the area itself. Its form is the standard one
//! of XSAVE (Intel SDM, volume 1, chapter 13), written by the kernel.

use std::arch::x86_64::__cpuid_count;
use std::sync::atomic::{AtomicU64, Ordering};

/// x87, SSE, AVX, mask registers and both parts of AVX-512.
pub const COMPONENTS: u64 = 0xe7;
/// Bytes of an area up to the last of [`COMPONENTS`].
pub const AREA_BYTES: usize = 2688;
/// FXSAVE's part.
pub const LEGACY_BYTES: usize = 512;

/// What the kernel leaves in the part that FXSAVE does not use.
const MAGIC_AT: usize = 464;
const MAGIC: u32 = 0x4650_5853;
const FEATURES_AT: usize = 472;
const SIZE_AT: usize = 480;
/// XSTATE_BV: which components are not in their initial state.
const HEADER_AT: usize = 512;

const STATUS_WORD_AT: usize = 2;
const LAST_CODE_AT: usize = 8;
const LAST_DATA_AT: usize = 16;
const MXCSR_AT: usize = 24;
const XMM_AT: usize = 160;

/// Component of the upper halves of ymm0 to 15.
const YMM_HIGH: u32 = 2;
/// Component of the mask registers.
const OPMASK: u32 = 5;

/// The save area of one signal frame (or a copy of it).
#[derive(Clone, Copy, Debug)]
pub struct Vectors {
    /// 64-byte aligned; null: the frame has none.
    pub area: *mut u8,
    /// Components for XSAVE; 0: the area is FXSAVE's.
    pub components: u64,
}

impl Vectors {
    /// The area at `area`.
    ///
    /// # Safety
    ///
    /// * `area` is null or `uc_mcontext.fpregs` of a running handler.
    pub unsafe fn new(area: *mut u8) -> Vectors {
        let mut vectors = Vectors { area, components: 0 };
        if !area.is_null() && vectors.get::<u32>(MAGIC_AT) == MAGIC {
            vectors.components = vectors.get::<u64>(FEATURES_AT) & COMPONENTS;
        }
        vectors
    }

    fn get<T: Copy>(&self, at: usize) -> T {
        // SAFETY: every offset used here lies inside the area that `new` was given.
        unsafe { self.area.add(at).cast::<T>().read_unaligned() }
    }

    fn set<T: Copy>(&self, at: usize, value: T) {
        // SAFETY: likewise, and the frame is ours to change.
        unsafe { self.area.add(at).cast::<T>().write_unaligned(value) }
    }

    /// Bytes that a copy of the area takes.
    pub fn bytes(&self) -> usize {
        if self.components == 0 {
            return LEGACY_BYTES;
        }
        (self.get::<u32>(SIZE_AT) as usize).min(AREA_BYTES)
    }

    fn has(&self, component: u32) -> bool {
        self.components >> component & 1 != 0 && self.get::<u64>(HEADER_AT) >> component & 1 != 0
    }

    /// A mask register.
    pub fn opmask(&self, n: u8) -> u64 {
        if !self.has(OPMASK) { 0 } else { self.get(offset(OPMASK) + 8 * n as usize) }
    }

    /// The low 32 bytes of vector register 0 to 15.
    pub fn ymm(&self, n: u8) -> [u8; 32] {
        let n = n as usize & 15;
        let mut value = [0; 32];
        if self.components == 0 || self.has(1) {
            value[..16].copy_from_slice(&self.get::<[u8; 16]>(XMM_AT + 16 * n));
        }
        if self.has(YMM_HIGH) {
            value[16..].copy_from_slice(&self.get::<[u8; 16]>(offset(YMM_HIGH) + 16 * n));
        }
        value
    }

    /// Control and status of SSE.
    pub fn mxcsr(&self) -> u32 {
        self.get(MXCSR_AT)
    }

    /// Sets control and status of SSE.
    pub fn set_mxcsr(&self, value: u32) {
        self.set(MXCSR_AT, value);
    }

    /// Bits of MXCSR that may be set.
    pub fn mxcsr_allowed(&self) -> u32 {
        match self.get::<u32>(MXCSR_AT + 4) {
            0 => 0xffbf,
            allowed => allowed,
        }
    }

    /// An unmasked x87 exception waits for the next instruction of that unit.
    pub fn x87_pending(&self) -> bool {
        const SUMMARY: u16 = 0x80;
        (self.components == 0 || self.has(0)) && self.get::<u16>(STATUS_WORD_AT) & SUMMARY != 0
    }

    /// Replaces the addresses that the x87 unit keeps of its last instruction and
    /// operand, if they are those of the stub and of the alias.
    pub fn fix_x87(&self, code: (u64, u64), data: (u64, u64)) {
        for (at, (ours, theirs)) in [(LAST_CODE_AT, code), (LAST_DATA_AT, data)] {
            if self.get::<u64>(at) == ours {
                self.set(at, theirs);
            }
        }
    }
}

/// Where a component lies in the standard form. Asked once: CPUID is slow in a
/// virtual machine.
fn offset(component: u32) -> usize {
    static KNOWN: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
    let known = &KNOWN[component as usize];
    match known.load(Ordering::Relaxed) {
        0 => {
            let at = __cpuid_count(0xd, component).ebx;
            known.store(at.into(), Ordering::Relaxed);
            at as usize
        }
        at => at as usize,
    }
}
