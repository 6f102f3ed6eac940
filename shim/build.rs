//! Link flags of `libdeadwalk.so`.

fn main() {
    // Timers, atfork and exit handlers keep pointing into the library: after a
    // dlclose it must stay.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rerun-if-changed=build.rs");
}
