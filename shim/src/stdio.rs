//! stdio that a signal handler calls in the middle of stdio: the stream's buffer is half
//! done, and its lock is no help, for its owner is the handler's own thread.
//!
//! It is told if it is certain. The stream is locked by this thread, once more often
//! than the program's own `flockfile`s account for, so by a function of stdio that is
//! under way; and the thread is in a handler that interrupted libc, or the heap that
//! libc may have called.
//!
//! Ground rules. Outside of such a handler the thunks cost a load, a compare and a jump;
//! they keep all registers that may hold arguments, those of `printf`'s doubles too.
//! Which handler it is stands in an [`Interruption`] in the frame that called it, and
//! ends with that or by a jump (`signal/leave.rs`). What a stream looks like is tried out
//! at the start; if it is not as here, nothing is told.
//!
//! Contexts: signal handlers that interrupted anything: plain loads and atomics only.

use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use deadwalk_detector::frees::HeapMisuse;
use deadwalk_detector::{DETECTOR, HeapBlock, Kind};

use crate::exit;
use crate::jump::Target;
use crate::real::{self, Real};
use crate::tls::{self, keeping_errno};

/// A handler that interrupted libc, in the frame of its caller.
struct Interruption {
    /// The stack pointer of what was interrupted.
    stack: usize,
    /// The one around it, as the thread-local word has it.
    outer: u64,
}

impl Drop for Interruption {
    fn drop(&mut self) {
        tls::set_interrupted(self.outer);
    }
}

/// Calls a handler that interrupted libc at stack pointer `stack`.
pub fn interrupt(stack: usize, handler: impl FnOnce()) {
    let interruption = Interruption { stack, outer: tls::interrupted() };
    tls::set_interrupted(&raw const interruption as u64);
    handler();
    drop(interruption);
}

/// The calling thread leaves handlers by a jump: those, from the innermost on, of which
/// `is_left` says so by where they interrupted it.
pub fn end_those(is_left: impl Fn(usize) -> bool) {
    // SAFETY: the word is 0, or of a frame that is on as long as nothing has left it.
    while let Some(inner) = unsafe { (tls::interrupted() as *const Interruption).as_ref() }
        && is_left(inner.stack)
    {
        tls::set_interrupted(inner.outer);
    }
}

/// Where a stream has the address of its lock (glibc's `_IO_FILE`, on x86-64).
const LOCK: usize = 0x88;
/// Where it says whether it is for bytes or wide characters, or for neither yet.
const MODE: usize = 0xc0;

/// `_IO_lock_t` of glibc.
#[repr(C)]
struct Lock {
    lock: i32,
    count: i32,
    owner: usize,
}

/// Streams look like that.
static IS_KNOWN: AtomicBool = AtomicBool::new(false);

/// Addresses of the variables of these names.
static STDIN: AtomicUsize = AtomicUsize::new(0);
static STDOUT: AtomicUsize = AtomicUsize::new(0);
static STDERR: AtomicUsize = AtomicUsize::new(0);

static FLOCKFILE: Real = Real::new(c"flockfile");
static FTRYLOCKFILE: Real = Real::new(c"ftrylockfile");
static FUNLOCKFILE: Real = Real::new(c"funlockfile");

/// Looks everything up and tries a stream's lock out, in the constructor.
pub fn prepare() {
    prepare_targets();
    for real in [&FLOCKFILE, &FTRYLOCKFILE, &FUNLOCKFILE] {
        real.addr();
    }
    for (variable, name) in [(&STDIN, c"stdin"), (&STDOUT, c"stdout"), (&STDERR, c"stderr")] {
        // SAFETY: a C string.
        let addr = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        variable.store(addr as usize, Relaxed);
    }
    IS_KNOWN.store(is_as_known(), Relaxed);
}

/// Is the lock of a stream seen to be taken and given back?
fn is_as_known() -> bool {
    let stream = standard(&STDERR);
    if stream == 0 || real::next(c"gnu_get_libc_version") == 0 {
        return false;
    }
    // SAFETY: libc's functions of these names, with a stream that nobody uses yet.
    unsafe {
        let unlock = core::mem::transmute::<usize, Unlock>(FUNLOCKFILE.addr());
        let before = locks(stream);
        if core::mem::transmute::<usize, TryLock>(FTRYLOCKFILE.addr())(stream) != 0 {
            return false;
        }
        let held = locks(stream);
        unlock(stream);
        (before, held, locks(stream)) == (0, 1, 0)
    }
}

/// The value of one of the three variables.
fn standard(variable: &AtomicUsize) -> usize {
    // SAFETY: 0, or libc's variable of a pointer.
    unsafe { (variable.load(Relaxed) as *const usize).as_ref() }.copied().unwrap_or(0)
}

/// How often the calling thread has locked a stream.
///
/// # Safety
///
/// * `stream` is a stream.
unsafe fn locks(stream: usize) -> i32 {
    let own: usize;
    // SAFETY: the thread's control block begins with its address twice; the caller's
    // promise for the stream, whose lock is null for one that is never locked.
    unsafe {
        asm!("mov {own}, qword ptr fs:[0x10]", own = out(reg) own, options(nostack, readonly));
        let lock = ((stream + LOCK) as *const *const Lock).read();
        if lock.is_null() || (&raw const (*lock).owner).read_volatile() != own {
            return 0;
        }
        (&raw const (*lock).count).read_volatile()
    }
}

/// Which stream a function uses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// That of its first to fifth argument; null is every stream.
    Argument(usize),
    In,
    Out,
    /// stderr, unless it was never used: then `perror` makes a stream of its own.
    UsedErr,
}

impl Stream {
    /// The one that the calling thread's interrupted self is in the middle of; 0 if none
    /// that is used here is known to be.
    fn held(self, arguments: &Saved) -> usize {
        let used = match self {
            Stream::Argument(index) => match arguments.argument(index) {
                0 => [standard(&STDOUT), standard(&STDERR), standard(&STDIN)],
                stream => [stream, 0, 0],
            },
            Stream::In => [standard(&STDIN), 0, 0],
            Stream::Out => [standard(&STDOUT), 0, 0],
            Stream::UsedErr => {
                let stream = standard(&STDERR);
                // SAFETY: 0, or a stream.
                let mode = unsafe { ((stream + MODE) as *const i32).as_ref() };
                [if stream != 0 && mode.is_some_and(|mode| *mode != 0) { stream } else { 0 }, 0, 0]
            }
        };
        let is_held = |&stream: &usize| {
            // SAFETY: what the program is about to give libc as a stream.
            stream != 0 && unsafe { locks(stream) } as u64 > tls::file_locks()
        };
        used.into_iter().find(is_held).unwrap_or(0)
    }
}

/// What a thunk has put on the stack, from the last register to the return address.
#[repr(C)]
struct Saved {
    rax: usize,
    /// The arguments, the last one first.
    arguments: [usize; 6],
    site: usize,
}

impl Saved {
    fn argument(&self, index: usize) -> usize {
        self.arguments[5 - index]
    }
}

/// The slow path of a thunk: where to jump.
fn enter(saved: &Saved, stream: Stream, target: &Target) -> usize {
    keeping_errno(|| {
        if tls::interrupted() != 0 && IS_KNOWN.load(Relaxed) {
            let held = stream.held(saved);
            if held != 0 && !exit::is_other_process() {
                tell(held, saved.site);
            }
        }
        target.find()
    })
}

/// Tells of a call at `site` (return address) on a stream.
#[cold]
fn tell(stream: usize, site: usize) {
    let hooks = tls::hooks();
    tls::set_hooks(hooks | tls::IN_LIBC);
    DETECTOR.heap_misuse(&HeapMisuse {
        kind: Kind::SignalUnsafeCall,
        addr: stream,
        block: HeapBlock::default(),
        offset: 0,
        free_site: 0,
        late: false,
        caller: site,
        bytes: None,
        in_signal: true,
        stack: 0,
        age_ns: 0,
    });
    tls::set_hooks(hooks);
}

type TryLock = unsafe extern "C" fn(usize) -> i32;
type Unlock = unsafe extern "C" fn(usize);

/// `flockfile` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flockfile(stream: usize) {
    tls::set_file_locks(tls::file_locks() + 1);
    // SAFETY: libc's function of this name has this type; the caller's promise.
    unsafe { core::mem::transmute::<usize, Unlock>(FLOCKFILE.addr())(stream) };
}

/// `ftrylockfile` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftrylockfile(stream: usize) -> i32 {
    tls::set_file_locks(tls::file_locks() + 1);
    // SAFETY: libc's function of this name has this type; the caller's promise.
    let result = unsafe { core::mem::transmute::<usize, TryLock>(FTRYLOCKFILE.addr())(stream) };
    if result != 0 {
        tls::set_file_locks(tls::file_locks() - 1);
    }
    result
}

/// `funlockfile` of libc.
///
/// # Safety
///
/// As libc's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn funlockfile(stream: usize) {
    // SAFETY: libc's function of this name has this type; the caller's promise.
    unsafe { core::mem::transmute::<usize, Unlock>(FUNLOCKFILE.addr())(stream) };
    tls::set_file_locks(tls::file_locks().saturating_sub(1));
}

/// Older names of the three, which libc has still.
macro_rules! old_names {
    ($($old:ident: $name:ident -> $result:ty;)+) => {
        $(
            #[doc = concat!("`", stringify!($name), "` of libc by its older name.")]
            ///
            /// # Safety
            ///
            /// As libc's function.
            #[unsafe(no_mangle)]
            #[allow(non_snake_case)]
            pub unsafe extern "C" fn $old(stream: usize) -> $result {
                // SAFETY: the caller's promise.
                unsafe { $name(stream) }
            }
        )+
    };
}

old_names! {
    _IO_flockfile: flockfile -> ();
    _IO_ftrylockfile: ftrylockfile -> i32;
    _IO_funlockfile: funlockfile -> ();
}

macro_rules! stdio {
    ($($stream:expr => $($name:ident),+;)+) => {
        fn prepare_targets() {
            $($( $name::TARGET.find(); )+)+
        }
        $($(
            #[allow(non_snake_case, reason = "glibc's old names")]
            mod $name {
                pub(super) static TARGET: super::Target =
                    super::Target::new(concat!(stringify!($name), "\0"));
            }

            #[doc = concat!("`", stringify!($name), "` of libc.")]
            ///
            /// # Safety
            ///
            /// As libc's function of this name.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name() {
                extern "C" fn slow(saved: &Saved) -> usize {
                    enter(saved, $stream, &$name::TARGET)
                }
                naked_asm!(
                    "mov r11, qword ptr [rip + deadwalk_shim_interrupted@GOTTPOFF]",
                    "cmp qword ptr fs:[r11], 0",
                    "jne 2f",
                    "mov r11, qword ptr [rip + {target} + {addr}]",
                    "test r11, r11",
                    "je 2f",
                    "jmp r11",
                    "2:",
                    "push rdi",
                    "push rsi",
                    "push rdx",
                    "push rcx",
                    "push r8",
                    "push r9",
                    "push rax",
                    "mov rdi, rsp",
                    // Doubles of printf's.
                    "sub rsp, 128",
                    "movups xmmword ptr [rsp], xmm0",
                    "movups xmmword ptr [rsp + 16], xmm1",
                    "movups xmmword ptr [rsp + 32], xmm2",
                    "movups xmmword ptr [rsp + 48], xmm3",
                    "movups xmmword ptr [rsp + 64], xmm4",
                    "movups xmmword ptr [rsp + 80], xmm5",
                    "movups xmmword ptr [rsp + 96], xmm6",
                    "movups xmmword ptr [rsp + 112], xmm7",
                    "call {slow}",
                    "mov r11, rax",
                    "movups xmm0, xmmword ptr [rsp]",
                    "movups xmm1, xmmword ptr [rsp + 16]",
                    "movups xmm2, xmmword ptr [rsp + 32]",
                    "movups xmm3, xmmword ptr [rsp + 48]",
                    "movups xmm4, xmmword ptr [rsp + 64]",
                    "movups xmm5, xmmword ptr [rsp + 80]",
                    "movups xmm6, xmmword ptr [rsp + 96]",
                    "movups xmm7, xmmword ptr [rsp + 112]",
                    "add rsp, 128",
                    "pop rax",
                    "pop r9",
                    "pop r8",
                    "pop rcx",
                    "pop rdx",
                    "pop rsi",
                    "pop rdi",
                    "jmp r11",
                    target = sym $name::TARGET,
                    addr = const core::mem::offset_of!(Target, addr),
                    slow = sym slow,
                )
            }
        )+)+
    };
}

stdio! {
    Stream::Argument(0) =>
        fprintf, vfprintf, __fprintf_chk, __vfprintf_chk, fwprintf, vfwprintf,
        fscanf, vfscanf, __isoc99_fscanf, __isoc99_vfscanf,
        fgetc, getc, _IO_getc, fgetwc, getwc, fflush, fflush_unlocked,
        fseek, fseeko, ftell, ftello, rewind, fclose;
    Stream::Argument(1) =>
        fputs, fputs_unlocked, fputc, putc, _IO_putc, fputc_unlocked, putc_unlocked, ungetc,
        fputwc, putwc, fputws;
    Stream::Argument(2) => fgets, fgets_unlocked, fgetws, getline;
    Stream::Argument(3) =>
        fwrite, fwrite_unlocked, fread, fread_unlocked, __fgets_chk, getdelim, __getdelim;
    Stream::Argument(4) => __fread_chk;
    Stream::In =>
        getchar, scanf, vscanf, __isoc99_scanf, __isoc99_vscanf;
    Stream::Out =>
        printf, vprintf, __printf_chk, __vprintf_chk, wprintf, vwprintf, puts, putchar,
        putchar_unlocked;
    Stream::UsedErr => perror;
}
