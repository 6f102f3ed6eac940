//! Makes any sequence of calls of the malloc family, misuse included, against
//! the model of the tests. Run with
//! `cargo +nightly fuzz run --sanitizer none calls -- -fork=1 -ignore_ooms=1`
//! in `allocator/`: slots that were misused are out of use for good, so that a
//! process uses ever more memory. The heap keeps its state from input to input;
//! a failure that does not come back alone needs those before it (`-fork=0` and
//! the corpus in order).

#![no_main]
#![allow(dead_code)] // Threads are the tests' own.

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/model/block.rs"]
mod block;
#[path = "../../tests/model/bytes.rs"]
mod bytes;
#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/model/misuse.rs"]
mod misuse;
#[path = "../../tests/model/step.rs"]
mod step;
#[path = "../../tests/model/world.rs"]
mod world;

fuzz_target!(|data: &[u8]| {
    let _serial = common::begin();
    bytes::play(data);
});
