//! The heaps' work on deadwalk's heap.

mod work;

#[global_allocator]
static HEAP: deadwalk_alloc::PoisonAlloc = deadwalk_alloc::PoisonAlloc;

fn main() {
    work::main();
}
