//! The heaps' work on mimalloc heap.

mod work;

#[global_allocator]
static HEAP: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    work::main();
}
