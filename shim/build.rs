//! Link flags of `libdeadwalk.so`.

fn main() {
    // Timers, atfork and exit handlers keep pointing into the library: after a
    // dlclose it must stay.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // A program that is linked with the library finds the one that is preloaded
    // by this name, and does not load a second.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libdeadwalk.so");
    println!("cargo::rerun-if-changed=build.rs");
}
