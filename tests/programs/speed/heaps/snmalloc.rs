//! The heaps' work on snmalloc heap.

mod work;

#[global_allocator]
static HEAP: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;

fn main() {
    work::main();
}
