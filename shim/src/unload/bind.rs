//! The calls of an object that the loader binds at their first time.
//!
//! It does so by its description of the object, which is gone after `dlclose`: a
//! handler that runs on in code that was kept must find its calls bound.
//!
//! Contexts: in `dlclose`, outside all locks: `dlsym` takes the loader's.

use core::ffi::{c_char, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::objects::Object;
use crate::elf::Pending;
use crate::modules;

unsafe extern "C" {
    fn dlvsym(handle: *mut c_void, name: *const c_char, version: *const c_char) -> *mut c_void;
}

/// Binds what is left of the object's calls, in the scope of the program, then in
/// that of `handle`.
pub fn bind(object: &Object, handle: *mut c_void) {
    let Some(elf) = object.elf() else { return };
    elf.each_pending(&mut |pending: &Pending<'_>| {
        let found = match find(libc::RTLD_DEFAULT, pending) {
            0 => find(handle, pending),
            found => found,
        };
        if found != 0 {
            // SAFETY: the loader's cell for this call, which it would write itself.
            let cell = unsafe { AtomicUsize::from_ptr(pending.cell as *mut usize) };
            cell.store(found, Relaxed);
        }
    });
}

/// What the loader would find. An object without versions that comes first (we are
/// one) serves every version; `dlvsym` passes it over.
fn find(scope: *mut c_void, pending: &Pending<'_>) -> usize {
    let name = pending.name.as_ptr();
    // SAFETY: C strings, and a scope that lives.
    let newest = unsafe { libc::dlsym(scope, name) } as usize;
    let Some(version) = pending.version else { return newest };
    // SAFETY: as above.
    let exact = unsafe { dlvsym(scope, name, version.as_ptr()) } as usize;
    if exact != 0 && modules::are_together(newest, exact) { exact } else { newest }
}
