//! The calling thread's words, of loom's threads: they share one thread of the
//! system, and so the words of `tls.rs` too.

use core::cell::Cell;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::cache::Cache;

struct Words {
    thread: usize,
    cache: Cell<*mut Cache>,
    ending: Cell<usize>,
    busy: Cell<usize>,
    nested: Cell<usize>,
}

loom::thread_local! {
    static WORDS: Words = Words {
        // Distinct in the bits of a control block's address that locks keep.
        thread: NEXT.fetch_add(1 << 12, Relaxed),
        cache: Cell::new(null_mut()),
        ending: Cell::new(0),
        busy: Cell::new(0),
        nested: Cell::new(0),
    };
}

static NEXT: AtomicUsize = AtomicUsize::new(1 << 12);

/// The calling thread's identity.
pub fn thread() -> usize {
    WORDS.with(|words| words.thread)
}

macro_rules! word {
    ($get:ident, $set:ident, $type:ty, $field:ident) => {
        pub fn $get() -> $type {
            WORDS.with(|words| words.$field.get())
        }
        pub fn $set(value: $type) {
            WORDS.with(|words| words.$field.set(value));
        }
    };
}

word!(cache, set_cache, *mut Cache, cache);
word!(ending, set_ending_word, usize, ending);
word!(busy, set_busy, usize, busy);
word!(nested, set_nested, usize, nested);

/// Whether the calling thread gave its cache back because it ends.
pub fn is_ending() -> bool {
    ending() != 0
}

/// Notes that the calling thread ends.
pub fn set_ending() {
    set_ending_word(1);
}
