//! The heaps' work on std's heap.

mod work;

#[global_allocator]
static HEAP: std::alloc::System = std::alloc::System;

fn main() {
    work::main();
}
