//! What a trapped access costs, signal included, against the signal alone.
//!
//! `cargo bench -p deadwalk-trap`. The limit is 3 us for a plain load.

use deadwalk_trap::{Accesses, Alias, resume};
use std::arch::asm;
use std::hint::black_box;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

const PAGE: usize = 4096;
/// Short, so that one of the many runs is not disturbed.
const ROUNDS: u32 = 100;
const RUNS: u32 = 500;

static GUARDED: AtomicUsize = AtomicUsize::new(0);
static ALIAS: AtomicUsize = AtomicUsize::new(0);
static SKIP: AtomicBool = AtomicBool::new(false);

struct OnePage;

impl Alias for OnePage {
    fn at(&self, address: usize, len: usize, _write: bool) -> Option<NonNull<u8>> {
        let offset = address.checked_sub(GUARDED.load(Ordering::Relaxed))?;
        let inside = offset.checked_add(len)? <= PAGE;
        let alias = ALIAS.load(Ordering::Relaxed) + offset;
        inside.then(|| NonNull::new(ptr::with_exposed_provenance_mut(alias)))?
    }
}

extern "C" fn on_segv(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel calls this with a siginfo and the context of the fault.
    unsafe {
        let context: *mut libc::ucontext_t = context.cast();
        if SKIP.load(Ordering::Relaxed) {
            // The load below has three bytes.
            (*context).uc_mcontext.gregs[libc::REG_RIP as usize] += 3;
            return;
        }
        let fault = (*info).si_addr().addr();
        resume(context, fault, &OnePage, &mut Accesses::new()).expect("performed");
    }
}

fn page(access: i32) -> usize {
    // SAFETY: a new mapping.
    let at = unsafe {
        libc::mmap(ptr::null_mut(), PAGE, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    assert_ne!(at, libc::MAP_FAILED);
    at.expose_provenance()
}

/// Best of all runs, in microseconds per access.
fn time(name: &str, access: impl Fn(usize)) -> f64 {
    let at = GUARDED.load(Ordering::Relaxed);
    let best = (0..RUNS).map(|_| {
        let start = Instant::now();
        (0..ROUNDS).for_each(|n| access(at + (n as usize % 60) * 64));
        start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
    });
    let best = best.fold(f64::MAX, f64::min);
    println!("{name:24} {best:.2} us");
    best
}

fn main() {
    GUARDED.store(page(libc::PROT_NONE), Ordering::Relaxed);
    ALIAS.store(page(libc::PROT_READ | libc::PROT_WRITE), Ordering::Relaxed);
    // SAFETY: a zeroed action is a valid one; the handler is as SA_SIGINFO wants it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_segv as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()), 0);
    }
    let load = |at: usize| {
        let value: u64;
        // SAFETY: the handler performs it on the alias, or leaves it out.
        unsafe { asm!("mov rax, [rdi]", in("rdi") at, out("rax") value) };
        black_box(value);
    };
    SKIP.store(true, Ordering::Relaxed);
    time("the signal alone", load);
    SKIP.store(false, Ordering::Relaxed);
    let plain = time("load", load);
    // SAFETY: see above.
    time("store", |at| unsafe { asm!("mov [rdi], rax", in("rdi") at, in("rax") 7_u64) });
    // SAFETY: see above.
    time("lock xadd", |at| unsafe {
        asm!("lock xadd [rdi], rax", in("rdi") at, inout("rax") 1_u64 => _)
    });
    // SAFETY: see above.
    time("16-byte load", |at| unsafe { asm!("movups xmm0, [rdi]", in("rdi") at, out("xmm0") _) });
    let mut buffer = [0_u8; 512];
    let to = buffer.as_mut_ptr();
    // SAFETY: see above; the buffer has 512 bytes.
    time("rep movsb of 512 bytes", |at| unsafe {
        let from = (at & !(PAGE - 1)) + 64;
        asm!("rep movsb", inout("rsi") from => _, inout("rdi") to => _, inout("rcx") 512_usize => _)
    });
    assert!(plain <= 3.0, "a trapped load takes {plain:.2} us");
}
