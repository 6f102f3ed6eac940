//! Sound code under the poisoning heap: nothing is found.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::mpsc;
use std::thread;

#[global_allocator]
static HEAP: deadwalk_alloc::PoisonAlloc = deadwalk_alloc::PoisonAlloc;

/// Containers that grow, shrink, move and cross threads.
fn work() -> usize {
    let (sender, receiver) = mpsc::channel();
    let workers: Vec<_> = (0..4u64)
        .map(|seed| {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut map = HashMap::new();
                let mut queue = VecDeque::new();
                for i in 0..20_000u64 {
                    let key = (i * 7919 + seed) % 4099;
                    map.insert(key, format!("{key:>width$}", width = (i % 300) as usize));
                    queue.push_back(vec![key; (i % 50) as usize]);
                    if i % 3 == 0 {
                        queue.pop_front();
                    }
                }
                sender.send((map, queue)).expect("the receiver waits");
            })
        })
        .collect();
    drop(sender);
    let mut sorted = BTreeMap::new();
    for (map, queue) in receiver {
        sorted.extend(map);
        sorted.extend(queue.into_iter().map(|v| (v.len() as u64, String::new())));
    }
    for worker in workers {
        worker.join().expect("no worker panics");
    }
    sorted.len()
}

fn heap_counter(path: &str) -> u64 {
    deadwalk_detector::counter(path).expect("a counter of the report")
}

#[test]
fn sound_code_has_no_findings() {
    deadwalk_alloc::observe_with!(deadwalk_detector::heap_misuse);
    deadwalk_alloc::set_counters(deadwalk_detector::in_process::heap_counters());
    let found = deadwalk_detector::subscribe();
    let allocs_before = heap_counter("heap.allocs");
    assert!(work() > 4000);
    assert_eq!(found.try_iter().count(), 0);
    assert!(heap_counter("heap.allocs") > allocs_before, "the heap was ours");
    assert_eq!(heap_counter("heap.retired_slots"), 0);
}
