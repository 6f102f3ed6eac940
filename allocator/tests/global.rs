//! An ordinary Rust test binary with the heap as its global allocator.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::*};

use deadwalk_alloc::PoisonAlloc;

#[global_allocator]
static HEAP: PoisonAlloc = PoisonAlloc;

/// What the sink was told: a fixed array, since it runs inside the heap.
static TOLD: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
static KINDS: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
static COUNT: AtomicUsize = AtomicUsize::new(0);
static SERIAL: Mutex<()> = Mutex::new(());

#[allow(clippy::too_many_arguments)]
fn sink(
    kind: &'static str,
    _addr: usize,
    base: usize,
    _size: usize,
    _offset: isize,
    _alloc_site: usize,
    _free_site: usize,
    _caller: usize,
    _expected: &[u8; 16],
    _found: &[u8; 16],
    _late: bool,
    _in_signal: bool,
) {
    let at = COUNT.fetch_add(1, SeqCst) % TOLD.len();
    KINDS[at].store(kind.len(), SeqCst);
    TOLD[at].store(base, SeqCst);
}

fn watched(body: impl FnOnce() -> usize) -> (usize, Vec<(usize, usize)>) {
    let _serial = SERIAL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    deadwalk_alloc::observe_with!(sink);
    let before = COUNT.load(SeqCst);
    let base = body();
    let after = COUNT.load(SeqCst);
    let told = (before..after).map(|at| at % TOLD.len());
    (base, told.map(|at| (KINDS[at].load(SeqCst), TOLD[at].load(SeqCst))).collect())
}

#[test]
fn collections_and_threads_work_and_nothing_is_told() {
    let (_, told) = watched(|| {
        let threads: Vec<_> = (0..4)
            .map(|seed| {
                std::thread::spawn(move || {
                    let mut words: HashMap<String, Vec<usize>> = HashMap::new();
                    for at in 0..20_000_usize {
                        words.entry(format!("{}", at % 997 + seed)).or_default().push(at);
                    }
                    let sorted: BTreeMap<_, _> = words.into_iter().collect();
                    sorted.values().map(Vec::len).sum::<usize>()
                })
            })
            .collect();
        assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 80_000);
        deadwalk_alloc::sweep();
        0
    });
    assert_eq!(told, []);
}

#[test]
fn a_double_free_is_told() {
    let (base, told) = watched(|| {
        let layout = Layout::from_size_align(72, 8).unwrap();
        // SAFETY: the second `dealloc` is the misuse under test.
        unsafe {
            let block = alloc(layout);
            dealloc(block, layout);
            dealloc(block, layout);
            block as usize
        }
    });
    assert_eq!(told, [("double-free".len(), base)]);
}

#[test]
fn a_write_after_free_is_told() {
    let (base, told) = watched(|| {
        let layout = Layout::from_size_align(5000, 64).unwrap();
        // SAFETY: the write is the misuse under test.
        unsafe {
            let block = alloc(layout);
            dealloc(block, layout);
            *block.add(100) = 1;
            deadwalk_alloc::sweep();
            block as usize
        }
    });
    assert_eq!(told, [("use-after-free-write".len(), base)]);
}

#[test]
fn another_layout_is_told() {
    let (base, told) = watched(|| {
        // SAFETY: the layout of `dealloc` is the misuse under test.
        unsafe {
            let block = alloc(Layout::from_size_align(72, 8).unwrap());
            dealloc(block, Layout::from_size_align(64, 8).unwrap());
            block as usize
        }
    });
    assert_eq!(told, [("layout-mismatch".len(), base)]);
}
