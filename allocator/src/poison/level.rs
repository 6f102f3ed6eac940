//! Which vector instructions the processor has.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What may be used; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// 16 bytes: every x86-64 has it.
    Sse2 = 1,
    /// 32 bytes.
    Avx2 = 2,
    /// 64 bytes.
    Avx512 = 3,
}

/// What every processor has, until `detect` asked.
static LEVEL: AtomicU8 = AtomicU8::new(Level::Sse2 as u8);

/// What may be used here.
#[inline(always)]
pub fn level() -> Level {
    match LEVEL.load(Relaxed) {
        3 => Level::Avx512,
        2 => Level::Avx2,
        _ => Level::Sse2,
    }
}

/// Asks the processor.
#[cold]
pub fn detect() {
    // Processor and kernel must both support it; the macro asks both.
    let level = if std::arch::is_x86_feature_detected!("avx512f") {
        Level::Avx512
    } else if std::arch::is_x86_feature_detected!("avx2") {
        Level::Avx2
    } else {
        Level::Sse2
    };
    LEVEL.store(level as u8, Relaxed);
}
