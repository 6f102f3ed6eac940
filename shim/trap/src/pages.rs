//! Memory for code: one mapping to write it, one to run it.
//!
//! No page is ever writable and executable at one address. Where the kernel gives
//! no executable view of a memfd, or cannot forget mappings at fork, a private page
//! per stub is made executable after it was written.
//!
//! A memfd's pages would be shared with a fork's child, which must not write code
//! for its parent: the two mappings are not inherited, and the page that leads to
//! them reads as zero in the child, which then makes its own.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Bytes of a stub: the longest instruction and a jump through memory.
pub const STUB_BYTES: usize = 32;
/// Stubs there can be: one per instruction and its registers, not per place. (All
/// encodings there are, each once with random registers, make 30,000.)
pub const STUB_COUNT: usize = 65536;
/// The same where each takes a page of its own, and a mapping of the kernel's.
const PAGED_COUNT: usize = 1024;
const PAGE: usize = 4096;

/// State of a stub's place: nothing, being written, or its hash with this bit.
pub const READY: u32 = 1 << 31;
/// Claimed by a thread that writes it now.
pub const BUSY: u32 = 1;

/// The stubs of a process.
#[repr(C)]
pub struct Pages {
    writable: *mut u8,
    runnable: *mut u8,
    /// Places in use; a power of two.
    pub count: usize,
    /// Bytes from place to place.
    stride: usize,
    /// State of each place.
    pub states: [AtomicU32; STUB_COUNT],
}

/// Leads to a page with the address of the [`Pages`]; the page is zero in a child.
static ANCHOR: AtomicPtr<AtomicPtr<Pages>> = AtomicPtr::new(ptr::null_mut());
/// The same for private pages, which a child inherits with all they hold.
static PRIVATE: AtomicPtr<Pages> = AtomicPtr::new(ptr::null_mut());

impl Pages {
    /// The process's pages, made at the first call; `None` if the kernel refuses.
    pub fn get() -> Option<&'static Pages> {
        if let Some(pages) = known(&PRIVATE) {
            return Some(pages);
        }
        let Some(anchor) = anchor() else { return Pages::install(&PRIVATE, Pages::paged()?) };
        if let Some(pages) = known(anchor) {
            return Some(pages);
        }
        match Pages::dual() {
            Some(pages) => Pages::install(anchor, pages),
            None => Pages::install(&PRIVATE, Pages::paged()?),
        }
    }

    /// Forgets all stubs; the next `get` makes new pages.
    ///
    /// # Safety
    ///
    /// * No thread is in a stub, or looks for one.
    pub unsafe fn discard() {
        let anchored =
            anchor().map_or(ptr::null_mut(), |a| a.swap(ptr::null_mut(), Ordering::AcqRel));
        let private = PRIVATE.swap(ptr::null_mut(), Ordering::AcqRel);
        for pages in [anchored, private] {
            // SAFETY: what was published there is mapped, and now only ours.
            if let Some(pages) = unsafe { pages.as_mut() } {
                pages.unmap();
            }
        }
    }

    fn unmap(&mut self) {
        unmap(self.writable, self.count * self.stride);
        if self.runnable != self.writable {
            unmap(self.runnable, self.count * self.stride);
        }
        unmap(ptr::from_mut(self).cast(), size_of::<Pages>());
    }

    /// Where a stub runs.
    pub fn code(&self, n: usize) -> *const u8 {
        self.runnable.wrapping_add(n * self.stride)
    }

    /// Puts a stub into a place that the caller has claimed; false if the kernel
    /// does not let it run.
    pub fn write(&self, n: usize, stub: &[u8; STUB_BYTES]) -> bool {
        let to = self.writable.wrapping_add(n * self.stride);
        let paged = self.writable == self.runnable;
        if paged && !protect(to, libc::PROT_READ | libc::PROT_WRITE) {
            return false;
        }
        // SAFETY: the place is inside our mapping, and nobody else's.
        unsafe { ptr::copy_nonoverlapping(stub.as_ptr(), to, STUB_BYTES) };
        !paged || protect(to, libc::PROT_READ | libc::PROT_EXEC)
    }

    fn dual() -> Option<&'static mut Pages> {
        let bytes = STUB_COUNT * STUB_BYTES;
        let fd = code_file(bytes)?;
        let writable = map(bytes, libc::PROT_READ | libc::PROT_WRITE, fd);
        let runnable = map(bytes, libc::PROT_READ | libc::PROT_EXEC, fd);
        // SAFETY: our own descriptor.
        unsafe { libc::close(fd) };
        let kept = match (writable, runnable) {
            (Some(w), Some(r)) if forget_at_fork(w, bytes) && forget_at_fork(r, bytes) => {
                Pages::new(w, r, STUB_COUNT, STUB_BYTES).filter(|p| {
                    forget_at_fork(ptr::from_ref(*p).cast_mut().cast(), size_of::<Pages>())
                })
            }
            _ => None,
        };
        if kept.is_none() {
            writable.into_iter().chain(runnable).for_each(|m| unmap(m, bytes));
        }
        kept
    }

    fn paged() -> Option<&'static mut Pages> {
        let bytes = PAGED_COUNT * PAGE;
        let place = map(bytes, libc::PROT_NONE, -1)?;
        // Asked now: a process that may not have code must not find out at each fault.
        let allowed = protect(place, libc::PROT_READ | libc::PROT_WRITE)
            && protect(place, libc::PROT_READ | libc::PROT_EXEC);
        let pages = Pages::new(place, place, PAGED_COUNT, PAGE).filter(|_| allowed);
        if pages.is_none() {
            unmap(place, bytes);
        }
        pages
    }

    fn new(w: *mut u8, r: *mut u8, count: usize, stride: usize) -> Option<&'static mut Pages> {
        let memory = map(size_of::<Pages>(), libc::PROT_READ | libc::PROT_WRITE, -1)?;
        // SAFETY: fresh zeroed memory of this size, aligned to a page; zeros are
        // valid for every field.
        let pages = unsafe { &mut *memory.cast::<Pages>() };
        (pages.writable, pages.runnable, pages.count, pages.stride) = (w, r, count, stride);
        Some(pages)
    }

    /// Publishes `pages`, unless another thread was first.
    fn install(at: &AtomicPtr<Pages>, pages: &'static mut Pages) -> Option<&'static Pages> {
        let won = at.compare_exchange(ptr::null_mut(), pages, Ordering::AcqRel, Ordering::Acquire);
        if won.is_err() {
            pages.unmap();
        }
        known(at)
    }
}

fn known(at: &AtomicPtr<Pages>) -> Option<&'static Pages> {
    // SAFETY: what is published there stays mapped.
    unsafe { at.load(Ordering::Acquire).as_ref() }
}

/// The page that is zero in a child; `None` if the kernel has no such pages.
fn anchor() -> Option<&'static AtomicPtr<Pages>> {
    let known = ANCHOR.load(Ordering::Acquire);
    if !known.is_null() {
        // SAFETY: what is published there stays mapped.
        return unsafe { known.as_ref() };
    }
    let page = map(PAGE, libc::PROT_READ | libc::PROT_WRITE, -1)?;
    // SAFETY: advice on our own fresh page.
    if unsafe { libc::madvise(page.cast(), PAGE, libc::MADV_WIPEONFORK) } != 0 {
        unmap(page, PAGE);
        return None;
    }
    match ANCHOR.compare_exchange(ptr::null_mut(), page.cast(), Ordering::AcqRel, Ordering::Acquire)
    {
        // SAFETY: a page of ours that stays mapped; zeros are a valid pointer.
        Ok(_) => unsafe { page.cast::<AtomicPtr<Pages>>().as_ref() },
        Err(first) => {
            unmap(page, PAGE);
            // SAFETY: likewise, another thread's.
            unsafe { first.as_ref() }
        }
    }
}

/// A file in memory that may be mapped executable.
fn code_file(bytes: usize) -> Option<libc::c_int> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // A file beyond this limit is a SIGXFSZ.
    // SAFETY: a structure to be filled.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } == 0;
    if !known || limit.rlim_cur < bytes as libc::rlim_t {
        return None;
    }
    /// MFD_EXEC, Linux 6.3; older kernels know nothing else.
    const EXECUTABLE: libc::c_uint = 0x10;
    let name = c"deadwalk-stubs".as_ptr();
    // SAFETY: calls that take a name and numbers.
    let fd = unsafe {
        match libc::memfd_create(name, libc::MFD_CLOEXEC | EXECUTABLE) {
            -1 => libc::memfd_create(name, libc::MFD_CLOEXEC),
            fd => fd,
        }
    };
    if fd < 0 {
        return None;
    }
    // SAFETY: our own descriptor.
    if unsafe { libc::ftruncate(fd, bytes as libc::off_t) } != 0 {
        // SAFETY: likewise.
        unsafe { libc::close(fd) };
        return None;
    }
    Some(fd)
}

fn map(bytes: usize, access: libc::c_int, fd: libc::c_int) -> Option<*mut u8> {
    let kind = if fd < 0 { libc::MAP_PRIVATE | libc::MAP_ANONYMOUS } else { libc::MAP_SHARED };
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let at = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, fd, 0) };
    (at != libc::MAP_FAILED).then_some(at.cast())
}

fn unmap(at: *mut u8, bytes: usize) {
    // SAFETY: only called for mappings of our own that nobody uses.
    unsafe { libc::munmap(at.cast(), bytes) };
}

fn protect(at: *mut u8, access: libc::c_int) -> bool {
    // SAFETY: one page of our own mapping.
    unsafe { libc::mprotect(at.cast(), PAGE, access) == 0 }
}

fn forget_at_fork(at: *mut u8, bytes: usize) -> bool {
    // SAFETY: advice on a mapping of our own.
    unsafe { libc::madvise(at.cast(), bytes, libc::MADV_DONTFORK) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insn::Insn;
    use crate::relocate::relocate;
    use crate::run::Frame;

    /// Both kinds of memory run what was written there.
    #[test]
    fn stubs_run_in_either_kind_of_pages() {
        // mov rax, [rbx + 8]
        let insn = Insn::decode(&[0x48, 0x8b, 0x43, 0x08]).expect("known");
        let moved = relocate(&insn).expect("has an operand");
        for pages in [Pages::dual(), Pages::paged()] {
            let pages = pages.expect("memory for code");
            let value = 0x1234_5678_9abc_def0_u64;
            for n in [0, 1, pages.count - 1] {
                assert!(pages.write(n, &moved.stub));
                let mut gprs = [0; 16];
                gprs[moved.address_register as usize] = (&raw const value).addr() as u64;
                let mut frame = Frame::new(gprs, 2);
                // SAFETY: the stub loads eight bytes from `value`.
                unsafe { frame.run(pages.code(n) as u64, moved.frame_register, None) };
                assert_eq!(frame.gprs[0], value);
            }
            pages.unmap();
        }
    }
}
