//! Decodes and moves any bytes. Run with `cargo +nightly fuzz run relocate` in
//! `shim/trap/`.
//!
//! What is run for real is compared with the processor by `tests/native.rs`, which
//! keeps away from what may not be run; here nothing is run, so no byte is excluded.

#![no_main]

use deadwalk_trap::relocated_length;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((len, moved)) = relocated_length(data) {
        assert!(len <= 15 && len <= data.len());
        // Prefixes, SIB and displacement go; nothing is added.
        assert!(moved <= len, "{data:02x?}: {len} bytes became {moved}");
    }
});
