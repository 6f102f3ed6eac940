//! Threads that race for one guarded block, and processes that fork.

use deadwalk_trap::{Accesses, Alias, Refused, resume};
use std::arch::asm;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;

const PAGE: usize = 4096;
const ACCESSES: u64 = 20_000;

static GUARDED: AtomicUsize = AtomicUsize::new(0);
static ALIAS: AtomicUsize = AtomicUsize::new(0);
static SEEN: AtomicU64 = AtomicU64::new(0);

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
    let done = unsafe {
        let mut log = Accesses::new();
        let done = resume(context.cast(), (*info).si_addr().addr(), &OnePage, &mut log);
        SEEN.fetch_add(log.as_slice().len() as u64, Ordering::Relaxed);
        done
    };
    if done.is_err() {
        std::process::abort();
    }
}

fn page(access: i32) -> usize {
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping.
    let at = unsafe { libc::mmap(ptr::null_mut(), PAGE, access, kind, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    at.expose_provenance()
}

/// One guarded page; its address. By the kernel's own guard where there is one.
fn guard(kernels_own: bool) -> (usize, MutexGuard<'static, ()>) {
    const MADV_GUARD_INSTALL: i32 = 102;
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let rw = libc::PROT_READ | libc::PROT_WRITE;
    let at = page(if kernels_own { rw } else { libc::PROT_NONE });
    let pointer = ptr::with_exposed_provenance_mut(at);
    if kernels_own {
        // SAFETY: advice on our own page.
        let guarded = unsafe { libc::madvise(pointer, PAGE, MADV_GUARD_INSTALL) } == 0;
        if !guarded {
            println!("skipped: this kernel has no MADV_GUARD_INSTALL; mprotect instead");
            // SAFETY: our own page.
            unsafe { libc::mprotect(pointer, PAGE, libc::PROT_NONE) };
        }
    }
    GUARDED.store(at, Ordering::Relaxed);
    ALIAS.store(page(rw), Ordering::Relaxed);
    SEEN.store(0, Ordering::Relaxed);
    // SAFETY: a zeroed action is a valid one; the handler is as SA_SIGINFO wants it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_segv as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()), 0);
    }
    (at, one)
}

fn load(at: usize) -> u64 {
    let value;
    // SAFETY: the handler performs it on the alias.
    unsafe { asm!("mov {0}, [{1}]", out(reg) value, in(reg) at) };
    value
}

#[test]
fn two_threads_lose_no_read() {
    for kernels_own in [false, true] {
        let (at, _one) = guard(kernels_own);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    (0..ACCESSES).for_each(|n| assert_eq!(load(at + (n as usize % 64) * 8), 0))
                });
            }
        });
        assert_eq!(SEEN.load(Ordering::Relaxed), 2 * ACCESSES);
    }
}

#[test]
fn atomic_updates_stay_atomic() {
    let (at, _one) = guard(false);
    thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || {
                for _ in 0..ACCESSES {
                    // SAFETY: the handler performs it on the alias.
                    unsafe {
                        match thread {
                            0 => asm!("lock add qword ptr [{0}], 1", in(reg) at),
                            _ => asm!("lock xadd [{0}], {1}", in(reg) at, inout(reg) 1_u64 => _),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(load(at), 2 * ACCESSES);
}

/// A handler that interrupts a trapped access and traps itself.
#[test]
fn handlers_may_trap_too() {
    static HANDLED: AtomicU64 = AtomicU64::new(0);
    extern "C" fn on_alarm(_: i32) {
        load(GUARDED.load(Ordering::Relaxed) + 128);
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
    let (at, _one) = guard(false);
    // SAFETY: handlers and a timer of our own.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_alarm as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &action, ptr::null_mut());
        let mut segv: libc::sigaction = std::mem::zeroed();
        segv.sa_sigaction = on_segv as *const () as usize;
        segv.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        libc::sigaction(libc::SIGSEGV, &segv, ptr::null_mut());
        let tick = libc::timeval { tv_sec: 0, tv_usec: 200 };
        libc::setitimer(
            libc::ITIMER_REAL,
            &libc::itimerval { it_interval: tick, it_value: tick },
            ptr::null_mut(),
        );
    }
    let mut reads = 0;
    while HANDLED.load(Ordering::Relaxed) < 200 {
        let value: u64;
        // Registers that the handler's own runs use; rsp is one of them.
        // SAFETY: the handler performs it on the alias.
        unsafe { asm!("mov r15, [{0}]", in(reg) at, out("r15") value) };
        assert_eq!(value, 0);
        reads += 1;
    }
    // SAFETY: our own timer.
    unsafe {
        let off = libc::timeval { tv_sec: 0, tv_usec: 0 };
        libc::setitimer(
            libc::ITIMER_REAL,
            &libc::itimerval { it_interval: off, it_value: off },
            ptr::null_mut(),
        );
        libc::signal(libc::SIGALRM, libc::SIG_IGN);
    }
    assert_eq!(SEEN.load(Ordering::Relaxed), reads + HANDLED.load(Ordering::Relaxed));
}

/// Parent and child make code at the same time; neither meets the other's.
#[test]
fn a_child_makes_its_own_code() {
    let (at, _one) = guard(false);
    load(at);
    // SAFETY: the child uses nothing but the trap, and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let mut wrong = 0;
        for _ in 0..100 {
            let value: u64;
            // SAFETY: the handler performs it on the alias.
            unsafe { asm!("mov r14, 7", "add r14, [{0}]", in(reg) at, out("r14") value) };
            wrong += i32::from(value != 7 || load(at) != 0);
        }
        // SAFETY: ends the child.
        unsafe { libc::_exit(wrong) };
    }
    for _ in 0..100 {
        let value: u64;
        // SAFETY: the handler performs it on the alias.
        unsafe { asm!("mov r14, 9", "sub r14, [{0}]", in(reg) at, out("r14") value) };
        assert_eq!(value, 9);
    }
    let mut status = -1;
    // SAFETY: waits for our child.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
}

/// A thread's stack of 16 KiB, of which the signal frame takes a part.
#[test]
fn small_stacks_suffice() {
    let (at, _one) = guard(false);
    extern "C" fn body(at: *mut libc::c_void) -> *mut libc::c_void {
        let at = at.addr();
        let value: u64;
        // SAFETY: the handler performs them on the alias.
        unsafe {
            asm!("movups xmm1, [{0}]", "movq {1}, xmm1", in(reg) at, out(reg) value, out("xmm1") _);
        }
        ptr::without_provenance_mut((value + load(at)) as usize)
    }
    // SAFETY: a thread of our own, joined.
    unsafe {
        let mut attributes = std::mem::zeroed();
        libc::pthread_attr_init(&mut attributes);
        libc::pthread_attr_setstacksize(&mut attributes, 16 * 1024);
        let (mut thread, mut result) = (0, ptr::null_mut());
        assert_eq!(
            libc::pthread_create(
                &mut thread,
                &attributes,
                body,
                ptr::with_exposed_provenance_mut(at)
            ),
            0
        );
        libc::pthread_join(thread, &mut result);
        assert!(result.is_null());
    }
    assert_eq!(SEEN.load(Ordering::Relaxed), 2);
}

/// Bytes of an alternate stack that a fault leaves touched.
fn stack_used(access: impl Fn()) -> usize {
    const BYTES: usize = 128 * 1024;
    const UNTOUCHED: u8 = 0xa5;
    let mut stack = vec![UNTOUCHED; BYTES];
    let now = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: BYTES };
    let off = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: the memory outlives its use as a stack.
    unsafe {
        assert_eq!(libc::sigaltstack(&now, ptr::null_mut()), 0);
        access();
        assert_eq!(libc::sigaltstack(&off, ptr::null_mut()), 0);
    }
    BYTES - stack.iter().position(|b| *b != UNTOUCHED).unwrap_or(BYTES)
}

#[test]
fn the_stack_use_is_small() {
    /// As the head of the crate says.
    const LIMIT: usize = 3072;
    extern "C" fn skip(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        let context: *mut libc::ucontext_t = context.cast();
        // SAFETY: the kernel's context; `movups xmm1, [rdi]` has three bytes.
        unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] += 3 };
    }
    let (at, _one) = guard(false);
    // SAFETY: the handler performs it on the alias, or leaves it out.
    let access = || unsafe { asm!("movups xmm1, [rdi]", in("rdi") at, out("xmm1") _) };
    // Once before: the first one makes the memory for code.
    access();
    let full = stack_used(access);
    // SAFETY: a handler as SA_SIGINFO wants it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = skip as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()), 0);
    }
    let frame = stack_used(access);
    println!("{} bytes beside a signal frame of {frame}", full - frame);
    assert!(full - frame <= LIMIT, "{} bytes", full - frame);
}

/// What the instruction itself raises arrives as the signal it natively is.
#[test]
fn a_native_fault_is_raised() {
    const RIGHT: i32 = 7;
    const FPE_INTDIV: i32 = 1;
    extern "C" fn on_guard(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel calls this with a siginfo and the context of the fault.
        let result = unsafe {
            resume(context.cast(), (*info).si_addr().addr(), &OnePage, &mut Accesses::new())
        };
        if !matches!(result, Err(Refused::Native(fault)) if fault.raise()) {
            std::process::abort();
        }
    }
    extern "C" fn on_fpe(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        let context: *mut libc::ucontext_t = context.cast();
        // SAFETY: the kernel calls this with a siginfo and a context; ends the child.
        unsafe {
            let rip = (*context).uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
            let right = (*info).si_code == FPE_INTDIV && (*info).si_addr().addr() == rip;
            libc::_exit(if right { RIGHT } else { 1 });
        }
    }
    let (at, _one) = guard(false);
    // SAFETY: the child uses nothing but signals, and leaves by _exit.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_flags = libc::SA_SIGINFO;
            action.sa_sigaction = on_guard as *const () as usize;
            // Raised in there, it is to arrive at the instruction.
            libc::sigfillset(&mut action.sa_mask);
            libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut());
            action.sa_sigaction = on_fpe as *const () as usize;
            libc::sigaction(libc::SIGFPE, &action, ptr::null_mut());
            // The page holds zeros.
            asm!("div dword ptr [{0}]", in(reg) at, inout("eax") 1 => _, inout("edx") 0 => _);
            libc::_exit(2);
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == RIGHT, "{status:x}");
    }
}
