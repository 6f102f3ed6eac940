//! Exports that note a call and jump on to libc's function.
//!
//! A naked thunk keeps arguments, stack and return address as they were, so
//! cancellation, RUNPATH look-ups and variadic tails see no difference. The
//! common case costs a load, a compare and an indirect jump: only a thread that
//! is in a timer handler, or whose delete landed on one, takes the slow path.
//!
//! | role | means |
//! |---|---|
//! | Call, Wait, Lock | a handler that does this goes on: it is not in its tail |
//! | Post, Signal, Unlock | a handler hands over to who waits for this object |
//! | Wait, Lock | a deleter waits for what a handler hands over |
//! | Privilege | after this the record may not be extendable any more: extend it now |
//!
//! Contexts: as libc's functions; the slow path uses atomics only, but for
//! Privilege.

use core::arch::naked_asm;
use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use deadwalk_detector::DETECTOR;
use deadwalk_detector::handlers::MUTEX;

use crate::{real, tls};

/// What a call means; see the module's head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Call,
    Wait,
    Lock,
    Post,
    Signal,
    Unlock,
    Privilege,
}

/// The calling thread made a call that deadwalk sees.
pub fn called() {
    if tls::hooks() & tls::IN_HANDLER != 0
        && let Some(run) = tls::run()
    {
        DETECTOR.handler_called(run);
    }
}

fn note(object: usize, role: Role) {
    if tls::hooks() & tls::IN_HANDLER != 0
        && let Some(run) = tls::run()
    {
        match role {
            Role::Call | Role::Wait | Role::Lock => DETECTOR.handler_called(run),
            Role::Post => DETECTOR.handler_posted(run, object),
            Role::Signal => DETECTOR.handler_signalled(run, object),
            Role::Unlock => DETECTOR.handler_posted(run, object | MUTEX),
            Role::Privilege => {}
        }
    }
    if tls::hooks() & tls::LANDED != 0 && matches!(role, Role::Wait | Role::Lock) {
        let object = if role == Role::Lock { object | MUTEX } else { object };
        if !DETECTOR.deleter_waits(object) {
            tls::set_hooks(tls::hooks() & !tls::LANDED);
        }
    }
    if role == Role::Privilege
        && let Some(platform) = DETECTOR.platform()
    {
        DETECTOR.record.body(platform);
    }
}

/// The slow path: notes the call and returns where to jump.
fn enter(object: usize, role: Role, name: &CStr, real: &AtomicUsize) -> usize {
    // SAFETY: errno is thread-local and always valid.
    let errno = unsafe { *libc::__errno_location() };
    let mut addr = real.load(Relaxed);
    if addr == 0 {
        addr = real::next(name);
        if addr == 0 {
            addr = missing as *const () as usize;
        }
        real.store(addr, Relaxed);
    }
    if tls::hooks() != 0 || role == Role::Privilege {
        note(object, role);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    addr
}

/// Stands for a function that this libc does not have.
extern "C" fn missing() -> isize {
    // SAFETY: errno is thread-local and always valid.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    -1
}

macro_rules! jumps {
    ($($role:ident: $($name:ident $c_name:literal),+;)+) => { $($(
        #[doc = concat!("`", stringify!($name), "` of libc, noted.")]
        ///
        /// # Safety
        ///
        /// As libc's function of this name.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() {
            static REAL: AtomicUsize = AtomicUsize::new(0);
            extern "C" fn slow(object: usize) -> usize {
                enter(object, Role::$role, $c_name, &REAL)
            }
            naked_asm!(
                "mov rax, qword ptr [rip + deadwalk_shim_hooks@GOTTPOFF]",
                "cmp qword ptr fs:[rax], 0",
                "jne 2f",
                "mov rax, qword ptr [rip + {real}]",
                "test rax, rax",
                "je 2f",
                "jmp rax",
                "2:",
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "call {slow}",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "jmp rax",
                real = sym REAL,
                slow = sym slow,
            )
        }
    )+)+ };
}

jumps! {
    Call:
        read c"read", write c"write", close c"close", poll c"poll",
        nanosleep c"nanosleep", clock_nanosleep c"clock_nanosleep", usleep c"usleep",
        sleep c"sleep";
    Wait:
        sem_wait c"sem_wait", sem_trywait c"sem_trywait", sem_timedwait c"sem_timedwait",
        sem_clockwait c"sem_clockwait", pthread_cond_wait c"pthread_cond_wait",
        pthread_cond_timedwait c"pthread_cond_timedwait",
        pthread_cond_clockwait c"pthread_cond_clockwait";
    Lock:
        pthread_mutex_lock c"pthread_mutex_lock",
        pthread_mutex_trylock c"pthread_mutex_trylock",
        pthread_mutex_timedlock c"pthread_mutex_timedlock",
        pthread_mutex_clocklock c"pthread_mutex_clocklock";
    Post: sem_post c"sem_post";
    Signal:
        pthread_cond_signal c"pthread_cond_signal",
        pthread_cond_broadcast c"pthread_cond_broadcast";
    Unlock: pthread_mutex_unlock c"pthread_mutex_unlock";
}

macro_rules! privileges {
    ($($name:ident $c_name:literal),+) => { $(
        #[doc = concat!("`", stringify!($name), "` of libc; the record is extended first.")]
        ///
        /// # Safety
        ///
        /// As libc's function of this name.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() {
            static REAL: AtomicUsize = AtomicUsize::new(0);
            extern "C" fn slow(object: usize) -> usize {
                enter(object, Role::Privilege, $c_name, &REAL)
            }
            naked_asm!(
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "call {slow}",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "jmp rax",
                slow = sym slow,
            )
        }
    )+ };
}

privileges! {
    setuid c"setuid", seteuid c"seteuid", setreuid c"setreuid", setresuid c"setresuid",
    chroot c"chroot"
}

/// Without this flag an object binds to its own malloc first, and blocks cross
/// between heaps.
const RTLD_DEEPBIND: i32 = 8;

macro_rules! without_deepbind {
    ($name:ident $c_name:literal $flags:literal) => {
        #[doc = concat!("`", stringify!($name), "` of libc without RTLD_DEEPBIND.")]
        ///
        /// # Safety
        ///
        /// As libc's function of this name.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() {
            static REAL: AtomicUsize = AtomicUsize::new(0);
            extern "C" fn slow(object: usize) -> usize {
                enter(object, Role::Call, $c_name, &REAL)
            }
            naked_asm!(
                concat!("and ", $flags, ", {keep}"),
                "mov rax, qword ptr [rip + {real}]",
                "test rax, rax",
                "je 2f",
                "jmp rax",
                "2:",
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "call {slow}",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "jmp rax",
                keep = const !RTLD_DEEPBIND,
                real = sym REAL,
                slow = sym slow,
            )
        }
    };
}

without_deepbind!(dlopen c"dlopen" "esi");
without_deepbind!(dlmopen c"dlmopen" "edx");
