//! Exports that note a call and jump on to libc's function.
//!
//! A naked thunk keeps arguments, stack and return address as they were, so
//! cancellation, RUNPATH look-ups and variadic tails see no difference. The
//! common case costs a load, a compare and an indirect jump: only a thread that
//! is in a timer handler, or whose delete landed on one, takes the slow path; a
//! thread that releases something does while there is any landing, and one that
//! hands memory to the kernel if that lies where freed blocks are held.
//!
//! | role | means |
//! |---|---|
//! | Call, Wait, SemWait, Lock | a handler that does this goes on: it is not in its tail |
//! | Post, Signal, Unlock | a handler hands over to who waits for this object |
//! | Wait, SemWait, Lock | a deleter waits for what a handler hands over |
//! | Privilege | after this the record may not be extendable any more: extend it now |
//! | Sandbox | the same, and no system call is safe any more that could be missed |
//! | Load | dlopen, without RTLD_DEEPBIND |
//! | Asynchronous | the thread may be cancelled at any instruction from now on |
//! | Read, Use, Close, Destroy, SemDestroy, CondDestroy, Unmap, Init | descriptors and other things that may go: `resources` |
//! | Leave | a jump, perhaps out of a signal handler of a timer, or that interrupted the heap |
//! | Pass | nothing: it is only given memory |
//! | Switch | another stack, perhaps instead of a timer's signal handler |
//!
//! Contexts: as libc's functions; the slow path uses atomics only, but for
//! Privilege, and for the first look-up of a call made before our constructor.

use core::arch::naked_asm;
use core::ffi::CStr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use deadwalk_detector::DETECTOR;
use deadwalk_detector::handlers::MUTEX;

use crate::sandbox::{self, Arguments};
use crate::stale_calls::Shape;
use crate::{collector, descriptors, real, resources, signal, stale_calls, thunk, tls, watch};

/// What a call means; see the module's head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Call,
    Wait,
    SemWait,
    Lock,
    Post,
    Signal,
    Unlock,
    Privilege,
    Sandbox,
    Load,
    Asynchronous,
    Leave,
    Switch,
    Read,
    Use,
    Close,
    Destroy,
    SemDestroy,
    CondDestroy,
    Unmap,
    Init,
    Pass,
}

/// The calling thread made a call that deadwalk sees.
pub fn called() {
    if tls::hooks() & tls::IN_HANDLER != 0
        && let Some(run) = tls::run()
    {
        DETECTOR.handler_called(run);
    }
}

/// The calling thread is about to take our own lock at `object`.
#[inline]
pub fn locking(object: usize) {
    if tls::hooks() != 0 {
        note(object, Role::Lock);
    }
}

/// The calling thread is about to let go of our own lock at `object`.
#[inline]
pub fn unlocking(object: usize) {
    if tls::hooks() != 0 {
        note(object, Role::Unlock);
    }
}

#[cold]
fn note(object: usize, role: Role) {
    if tls::hooks() & tls::IN_HANDLER != 0
        && let Some(run) = tls::run()
    {
        match role {
            Role::Call
            | Role::Wait
            | Role::SemWait
            | Role::Lock
            | Role::Load
            | Role::Read
            | Role::Use
            | Role::Close
            | Role::Destroy
            | Role::SemDestroy
            | Role::CondDestroy
            | Role::Unmap => DETECTOR.handler_called(run),
            Role::Post => DETECTOR.handler_posted(run, object),
            Role::Signal => DETECTOR.handler_signalled(run, object),
            Role::Unlock => DETECTOR.handler_posted(run, object | MUTEX),
            Role::Privilege
            | Role::Sandbox
            | Role::Asynchronous
            | Role::Leave
            | Role::Switch
            | Role::Init
            | Role::Pass => {}
        }
    }
    if tls::hooks() & tls::LANDED != 0 && matches!(role, Role::Wait | Role::SemWait | Role::Lock) {
        let object = if role == Role::Lock { object | MUTEX } else { object };
        if !DETECTOR.deleter_waits(object) {
            tls::set_hooks(tls::hooks() & !tls::LANDED);
        }
    }
}

/// Tells of a pthread mutex that a handler's thread locks, and of a deleter's wait.
fn watch(object: usize, role: Role, site: usize) {
    let hooks = tls::hooks();
    match role {
        Role::Lock if hooks & tls::IN_HANDLER != 0 => watch::handler_locks(object, site),
        Role::Unlock if hooks & tls::IN_HANDLER != 0 => watch::handler_unlocks(object),
        Role::Wait | Role::SemWait | Role::Lock if hooks & tls::LANDED != 0 => {
            collector::start_if_wished();
        }
        _ => {}
    }
}

/// Extends the record while that is still possible.
fn prepare_record() {
    if let Some(platform) = DETECTOR.platform() {
        DETECTOR.record.body(platform);
    }
}

/// libc's function behind one of our exports.
pub struct Target {
    name: &'static CStr,
    /// What it is given.
    shape: Shape,
    /// 0 as long as nobody looked it up.
    pub addr: AtomicUsize,
}

impl Target {
    /// The function called `name`, which ends with NUL.
    pub const fn new(name: &'static str) -> Target {
        match CStr::from_bytes_with_nul(name.as_bytes()) {
            Ok(name) => Target { name, shape: Shape::of(name), addr: AtomicUsize::new(0) },
            Err(_) => panic!("a name ends with its only NUL"),
        }
    }

    /// Its address, looked up if nobody did; of one that libc does not have, a
    /// function that fails.
    pub fn find(&self) -> usize {
        match self.addr.load(Relaxed) {
            0 => {
                let addr = match real::next(self.name) {
                    0 => missing as *const () as usize,
                    addr => addr,
                };
                self.addr.store(addr, Relaxed);
                addr
            }
            addr => addr,
        }
    }
}

/// The slow path: notes the call and returns where to jump.
fn enter(arguments: Arguments, role: Role, target: &Target, site: usize) -> usize {
    let object = arguments.0[0];
    // SAFETY: errno is thread-local and always valid.
    let errno = unsafe { *libc::__errno_location() };
    let addr = target.find();
    match role {
        Role::Leave => signal::leaving(object),
        Role::Switch => signal::switching(),
        Role::Privilege => prepare_record(),
        Role::Asynchronous => thunk::becomes_asynchronous(),
        // SAFETY: the program's own arguments of prctl or syscall.
        Role::Sandbox if unsafe { sandbox::entering(arguments) } => prepare_record(),
        _ => {}
    }
    if tls::hooks() != 0 || resources::may_be_landed() {
        note(object, role);
        resources::note(&arguments, role, site);
        watch(object, role, site);
    }
    if role == Role::Init {
        resources::made(object);
    }
    let addr = descriptors::instead(&arguments, role).unwrap_or(addr);
    let is_stale = stale_calls::is_stale(target.shape, &arguments);
    let addr = if is_stale { stale_calls::instead(target.name.to_bytes(), addr) } else { addr };
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

/// What a thunk does first; `2f` is its slow path.
macro_rules! first {
    ($one:ident, $($more:ident),+) => {
        concat!(first!($one), "\n", first!($($more),+))
    };
    // A thread that is in a handler, or whose delete landed on one.
    (watched) => {
        "mov r11, qword ptr [rip + deadwalk_shim_hooks@GOTTPOFF]
         cmp qword ptr fs:[r11], 0
         jne 2f"
    };
    // While there may be a landing on a handler that runs.
    (landed) => {
        "cmp dword ptr [rip + deadwalk_shim_landed], 0
         jne 2f"
    };
    // The number of a timer or of signals: its cell in the table of `descriptors.rs`.
    (number) => {
        "cmp edi, 65535
         ja 3f
         mov eax, edi
         lea r11, [rip + deadwalk_shim_descriptors]
         cmp qword ptr [r11 + 8 * rax], 0
         jne 2f
         3:"
    };
    // A buffer which may have been freed.
    (buffer) => {
        "cmp rsi, qword ptr [rip + __deadwalk_alloc_held]
         jb 4f
         cmp rsi, qword ptr [rip + __deadwalk_alloc_held + 8]
         jae 4f
         call deadwalk_shim_stale_buffer
         jne 2f
         4:"
    };
    // One with addresses in the fifth and sixth argument, once any block is held.
    (addressed) => {
        "cmp qword ptr [rip + __deadwalk_alloc_held + 8], 0
         je 4f
         call deadwalk_shim_stale_addressed
         jne 2f
         4:"
    };
    // Several buffers.
    (vector) => {
        "cmp qword ptr [rip + __deadwalk_alloc_held + 8], 0
         je 4f
         call deadwalk_shim_stale_vector
         jne 2f
         4:"
    };
    // The same in a message.
    (message) => {
        "cmp qword ptr [rip + __deadwalk_alloc_held + 8], 0
         je 4f
         call deadwalk_shim_stale_message
         jne 2f
         4:"
    };
    // Structures or names in the first five arguments.
    (structures) => {
        "cmp qword ptr [rip + __deadwalk_alloc_held + 8], 0
         je 4f
         cmp rdi, qword ptr [rip + __deadwalk_alloc_held]
         jb 3f
         cmp rdi, qword ptr [rip + __deadwalk_alloc_held + 8]
         jb 2f
         3:
         cmp rsi, qword ptr [rip + __deadwalk_alloc_held]
         jb 3f
         cmp rsi, qword ptr [rip + __deadwalk_alloc_held + 8]
         jb 2f
         3:
         cmp rdx, qword ptr [rip + __deadwalk_alloc_held]
         jb 3f
         cmp rdx, qword ptr [rip + __deadwalk_alloc_held + 8]
         jb 2f
         3:
         cmp rcx, qword ptr [rip + __deadwalk_alloc_held]
         jb 3f
         cmp rcx, qword ptr [rip + __deadwalk_alloc_held + 8]
         jb 2f
         3:
         cmp r8, qword ptr [rip + __deadwalk_alloc_held]
         jb 4f
         cmp r8, qword ptr [rip + __deadwalk_alloc_held + 8]
         jb 2f
         4:"
    };
    // A thread that a signal interrupted in the heap or in libc.
    (nested) => {
        "mov r11, qword ptr [rip + __deadwalk_alloc_thread@GOTTPOFF]
         cmp qword ptr fs:[r11 + 24], 0
         jne 2f
         mov r11, qword ptr [rip + deadwalk_shim_interrupted@GOTTPOFF]
         cmp qword ptr fs:[r11], 0
         jne 2f"
    };
    (always) => {
        "jmp 2f"
    };
    (prctl_seccomp) => {
        "cmp edi, 22
         je 2f"
    };
    (syscall_seccomp) => {
        "cmp rdi, 317
         je 2f"
    };
    // PTHREAD_CANCEL_ASYNCHRONOUS.
    (cancel_asynchronous) => {
        "cmp edi, 1
         je 2f"
    };
    // Without RTLD_DEEPBIND (8) in the flags: an object loaded with it binds to
    // its own malloc first, and blocks cross between heaps.
    (second_argument) => {
        "and esi, -9"
    };
    (third_argument) => {
        "and edx, -9"
    };
}

macro_rules! jumps {
    ($($role:ident $first:tt: $($name:ident),+;)+) => {
        /// Looks all of libc's functions up, in the constructor: later that
        /// might be in a signal handler, where `dlsym` must not be called.
        pub fn prepare() {
            $($( $name::TARGET.find(); )+)+
        }
        $($(
            mod $name {
                pub(super) static TARGET: super::Target =
                    super::Target::new(concat!(stringify!($name), "\0"));
            }

            #[doc = concat!("`", stringify!($name), "` of libc, noted.")]
            ///
            /// # Safety
            ///
            /// As libc's function of this name.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name() {
                extern "C" fn slow(
                    a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, site: usize,
                ) -> usize {
                    let arguments = Arguments([a, b, c, d, e, f]);
                    enter(arguments, Role::$role, &$name::TARGET, site)
                }
                naked_asm!(
                    // What the unwinder is told, for the stacks of waits.
                    ".cfi_startproc",
                    first! $first,
                    "mov r11, qword ptr [rip + {target} + {addr}]",
                    "test r11, r11",
                    "je 2f",
                    "jmp r11",
                    "2:",
                    "push rdi",
                    ".cfi_adjust_cfa_offset 8",
                    "push rsi",
                    ".cfi_adjust_cfa_offset 8",
                    "push rdx",
                    ".cfi_adjust_cfa_offset 8",
                    "push rcx",
                    ".cfi_adjust_cfa_offset 8",
                    "push r8",
                    ".cfi_adjust_cfa_offset 8",
                    "push r9",
                    ".cfi_adjust_cfa_offset 8",
                    "push rax",
                    ".cfi_adjust_cfa_offset 8",
                    // The return address, behind the seven; twice for the alignment.
                    "push qword ptr [rsp + 56]",
                    ".cfi_adjust_cfa_offset 8",
                    "push qword ptr [rsp]",
                    ".cfi_adjust_cfa_offset 8",
                    "call {slow}",
                    "mov r11, rax",
                    "add rsp, 16",
                    ".cfi_adjust_cfa_offset -16",
                    "pop rax",
                    ".cfi_adjust_cfa_offset -8",
                    "pop r9",
                    ".cfi_adjust_cfa_offset -8",
                    "pop r8",
                    ".cfi_adjust_cfa_offset -8",
                    "pop rcx",
                    ".cfi_adjust_cfa_offset -8",
                    "pop rdx",
                    ".cfi_adjust_cfa_offset -8",
                    "pop rsi",
                    ".cfi_adjust_cfa_offset -8",
                    "pop rdi",
                    ".cfi_adjust_cfa_offset -8",
                    "jmp r11",
                    ".cfi_endproc",
                    target = sym $name::TARGET,
                    addr = const core::mem::offset_of!(Target, addr),
                    slow = sym slow,
                )
            }
        )+)+
    };
}

jumps! {
    Call (watched): usleep, sleep;
    Call (watched, structures): poll, nanosleep, clock_nanosleep;
    Read (watched, number, buffer): read;
    Use (watched, buffer):
        write, pread, pwrite, pread64, pwrite64, send, recv;
    Use (watched, addressed): sendto, recvfrom;
    Use (watched, vector): readv, writev, preadv, pwritev, preadv64, pwritev64;
    Use (watched, message): sendmsg, recvmsg;
    Use (watched): lseek, lseek64, fsync, fdatasync, ftruncate, ftruncate64;
    Use (watched, structures): ioctl, accept, accept4, epoll_wait;
    Pass (structures):
        __poll_chk, ppoll, __ppoll_chk, select, epoll_pwait, epoll_ctl,
        open, open64, openat, openat64, __open_2, __open64_2, __openat_2, __openat64_2,
        fopen, fopen64, opendir, access, unlink, mkdir, rmdir, chmod, rename,
        readlink, __readlink_chk, stat, stat64, lstat, lstat64, fstat, fstat64,
        connect, bind, getsockname, getpeername, setsockopt, getsockopt,
        pipe, pipe2, socketpair, waitpid, getitimer, getrusage;
    Pass (buffer): __read_chk, __pread_chk, __pread64_chk, __recv_chk;
    Pass (addressed): __recvfrom_chk;
    Close (watched, landed, number): close;
    Destroy (watched, landed): pthread_mutex_destroy;
    SemDestroy (watched, landed): sem_destroy;
    CondDestroy (watched, landed): pthread_cond_destroy;
    Unmap (watched, landed): munmap;
    Init (always): sem_init;
    Wait (watched):
        pthread_cond_wait, pthread_cond_timedwait, pthread_cond_clockwait, pthread_join,
        pthread_tryjoin_np, pthread_timedjoin_np, pthread_clockjoin_np;
    SemWait (watched): sem_wait, sem_trywait, sem_timedwait, sem_clockwait;
    Lock (watched):
        pthread_mutex_lock, pthread_mutex_trylock, pthread_mutex_timedlock,
        pthread_mutex_clocklock;
    Post (watched): sem_post;
    Signal (watched): pthread_cond_signal, pthread_cond_broadcast;
    Unlock (watched): pthread_mutex_unlock;
    Privilege (always): setuid, seteuid, setreuid, setresuid, chroot;
    Sandbox (prctl_seccomp): prctl;
    Sandbox (syscall_seccomp): syscall;
    Load (second_argument): dlopen;
    Load (third_argument): dlmopen;
    Asynchronous (cancel_asynchronous): pthread_setcanceltype;
    Leave (watched, nested): longjmp, _longjmp, siglongjmp, __longjmp_chk;
    Switch (watched, nested): setcontext, swapcontext;
}
