//! Runs one instruction with given registers, on open memory and through the trap.
//!
//! The region is eight pages of one memfd: plain, guarded, plain, and behind it
//! pages that are not there. Its second and third view (for writing, and read-only)
//! are the alias; reads get the read-only one, so an operand that is written but not
//! said to be kills the test. One thread at a time (`lock`).

#![allow(dead_code)]

pub mod setup;

use deadwalk_trap::{Access, Accesses, Alias, Refused, resume};
use std::arch::global_asm;
use std::cell::UnsafeCell;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard};

pub const PAGE: usize = 4096;
/// Pages: 2 plain, 3 guarded, 2 plain, 1 missing.
pub const PAGES: usize = 8;
pub const FIRST: usize = 2 * PAGE;
pub const LAST: usize = 5 * PAGE;
const MISSING: usize = 7 * PAGE;
pub const AREA: usize = 2688;
/// Components of XSAVE that are compared.
pub const COMPONENTS: u64 = 0xe7;

/// What the tests' assembly and signal handler share with the one running test.
#[repr(transparent)]
struct Shared<T>(UnsafeCell<T>);

// SAFETY: used only under `Region`'s lock.
unsafe impl<T> Sync for Shared<T> {}

/// Registers, and the area of XSAVE.
#[repr(C, align(64))]
#[derive(Clone)]
pub struct State {
    pub gprs: [u64; 16],
    pub flags: u64,
    pub pad: [u64; 7],
    pub area: [u8; AREA],
}

impl State {
    pub const fn new() -> State {
        State { gprs: [0; 16], flags: 2, pad: [0; 7], area: [0; AREA] }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At this landing place: 1 behind the instruction, 2 elsewhere.
    Done(u8),
    /// Signal, code, address.
    Signal(i32, i32, usize),
    Refused(Refused),
}

#[unsafe(no_mangle)]
static DW_TEST_STATE: Shared<State> = Shared(UnsafeCell::new(State::new()));
#[unsafe(no_mangle)]
static DW_TEST_HOST: Shared<[u64; 2]> = Shared(UnsafeCell::new([0; 2]));
#[unsafe(no_mangle)]
static DW_TEST_CODE: Shared<u64> = Shared(UnsafeCell::new(0));
#[unsafe(no_mangle)]
static DW_TEST_PLACE: Shared<u8> = Shared(UnsafeCell::new(0));
static SIGNAL: Shared<Option<Outcome>> = Shared(UnsafeCell::new(None));
static LOG: Shared<Accesses> = Shared(UnsafeCell::new(Accesses::new()));
static TRAPS: Shared<usize> = Shared(UnsafeCell::new(0));
static MAP: Shared<Option<Map>> = Shared(UnsafeCell::new(None));

global_asm!(
    ".globl dw_test_enter",
    "dw_test_enter:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rip + DW_TEST_HOST], rsp",
    "mov eax, 0xe7",
    "xor edx, edx",
    "lea rcx, [rip + DW_TEST_STATE]",
    "xrstor64 [rcx + 192]",
    "push qword ptr [rip + DW_TEST_STATE + 128]",
    "popfq",
    "mov rax, [rcx]",
    "mov rdx, [rcx + 16]",
    "mov rbx, [rcx + 24]",
    "mov rsp, [rcx + 32]",
    "mov rbp, [rcx + 40]",
    "mov rsi, [rcx + 48]",
    "mov rdi, [rcx + 56]",
    "mov r8, [rcx + 64]",
    "mov r9, [rcx + 72]",
    "mov r10, [rcx + 80]",
    "mov r11, [rcx + 88]",
    "mov r12, [rcx + 96]",
    "mov r13, [rcx + 104]",
    "mov r14, [rcx + 112]",
    "mov r15, [rcx + 120]",
    "mov rcx, [rcx + 8]",
    "jmp qword ptr [rip + DW_TEST_CODE]",
    ".globl dw_test_land2",
    "dw_test_land2: mov byte ptr [rip + DW_TEST_PLACE], 2",
    "jmp 2f",
    ".globl dw_test_land1",
    "dw_test_land1: mov byte ptr [rip + DW_TEST_PLACE], 1",
    "2:",
    "mov [rip + DW_TEST_STATE + 8], rcx",
    "lea rcx, [rip + DW_TEST_STATE]",
    "mov [rcx], rax",
    "mov [rcx + 16], rdx",
    "mov [rcx + 24], rbx",
    "mov [rcx + 32], rsp",
    "mov [rcx + 40], rbp",
    "mov [rcx + 48], rsi",
    "mov [rcx + 56], rdi",
    "mov [rcx + 64], r8",
    "mov [rcx + 72], r9",
    "mov [rcx + 80], r10",
    "mov [rcx + 88], r11",
    "mov [rcx + 96], r12",
    "mov [rcx + 104], r13",
    "mov [rcx + 112], r14",
    "mov [rcx + 120], r15",
    "mov rsp, [rip + DW_TEST_HOST]",
    "pushfq",
    "pop qword ptr [rcx + 128]",
    "cld",
    "mov eax, 0xe7",
    "xor edx, edx",
    "xsave64 [rcx + 192]",
    "vzeroupper",
    "fninit",
    "push 0x1f80",
    "ldmxcsr [rsp]",
    "pop rax",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
);

unsafe extern "C" {
    fn dw_test_enter();
    fn dw_test_land1();
    fn dw_test_land2();
}

/// Where a jump may go that is not the next instruction.
pub fn elsewhere() -> u64 {
    dw_test_land2 as *const () as u64
}

/// The region's views.
#[derive(Clone, Copy)]
pub struct Map {
    pub base: usize,
    writable: usize,
    readable: usize,
    code: usize,
}

impl Alias for Map {
    fn at(&self, address: usize, len: usize, write: bool) -> Option<NonNull<u8>> {
        let offset = address.wrapping_sub(self.base);
        if offset < FIRST || offset.checked_add(len)? > LAST {
            return None;
        }
        let view = if write { self.writable } else { self.readable };
        NonNull::new(ptr::with_exposed_provenance_mut(view + offset))
    }
}

/// What came of a run.
pub struct Run {
    pub state: State,
    pub outcome: Outcome,
    pub log: Vec<Access>,
    pub traps: usize,
}

/// The test's own memory; one at a time.
pub struct Region {
    pub map: Map,
    _one: MutexGuard<'static, ()>,
}

fn map(bytes: usize, access: i32, flags: i32, fd: i32) -> usize {
    // SAFETY: a new mapping.
    let at = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, fd, 0) };
    assert_ne!(at, libc::MAP_FAILED, "mmap");
    at.expose_provenance()
}

impl Region {
    pub fn new() -> Region {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(|e| e.into_inner());
        // SAFETY: under the lock; mappings and handlers of the test's own.
        unsafe {
            if (*MAP.0.get()).is_none() {
                let bytes = PAGES * PAGE;
                let fd = libc::memfd_create(c"region".as_ptr(), 0);
                assert_eq!(libc::ftruncate(fd, bytes as i64), 0);
                let rw = libc::PROT_READ | libc::PROT_WRITE;
                // Below 4 GiB, for addresses of 32 bits.
                let base = map(bytes, rw, libc::MAP_SHARED | libc::MAP_32BIT, fd);
                let writable = map(bytes, rw, libc::MAP_SHARED, fd);
                let readable = map(bytes, libc::PROT_READ, libc::MAP_SHARED, fd);
                // Near the region, for RIP-relative operands.
                let code = map(
                    2 * PAGE,
                    rw | libc::PROT_EXEC,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
                    -1,
                );
                *MAP.0.get() = Some(Map { base, writable, readable, code });
                assert_eq!(
                    libc::mprotect(
                        ptr::with_exposed_provenance_mut(base + MISSING),
                        PAGE,
                        libc::PROT_NONE
                    ),
                    0
                );
                handlers();
            }
        }
        // SAFETY: under the lock.
        let map = unsafe { (*MAP.0.get()).unwrap() };
        Region { map, _one: one }
    }

    pub fn base(&self) -> u64 {
        self.map.base as u64
    }

    /// Start of the guarded pages.
    pub fn guarded(&self) -> u64 {
        (self.map.base + FIRST) as u64
    }

    /// Address of the instruction that `run` executes.
    pub fn code(&self) -> u64 {
        self.map.code as u64
    }

    pub fn bytes(&self) -> &'static mut [u8] {
        // SAFETY: a view of this size that stays.
        unsafe {
            std::slice::from_raw_parts_mut(
                ptr::with_exposed_provenance_mut(self.map.writable),
                PAGES * PAGE,
            )
        }
    }

    fn protect(&self, access: i32) {
        let at = ptr::with_exposed_provenance_mut(self.map.base + FIRST);
        // SAFETY: the region's own pages.
        assert_eq!(unsafe { libc::mprotect(at, LAST - FIRST, access) }, 0);
    }

    /// Takes the access to the plain page behind the guarded ones away, or gives it back.
    pub fn hide_page_behind(&self, hide: bool) {
        let access = if hide { libc::PROT_NONE } else { libc::PROT_READ | libc::PROT_WRITE };
        let at = ptr::with_exposed_provenance_mut(self.map.base + LAST);
        // SAFETY: the region's own page.
        assert_eq!(unsafe { libc::mprotect(at, PAGE, access) }, 0);
    }

    /// Runs `code` from `state`, guarded or open.
    pub fn run(&self, code: &[u8], state: &State, guarded: bool) -> Run {
        self.protect(if guarded { libc::PROT_NONE } else { libc::PROT_READ | libc::PROT_WRITE });
        // SAFETY: under the lock; the code is in a page of ours, and comes back by the jump.
        unsafe {
            let at: *mut u8 = ptr::with_exposed_provenance_mut(self.map.code);
            ptr::copy_nonoverlapping(code.as_ptr(), at, code.len());
            // jmp [rip]; the address
            let jump = [0xff, 0x25, 0, 0, 0, 0];
            ptr::copy_nonoverlapping(jump.as_ptr(), at.add(code.len()), 6);
            at.add(code.len() + 6).cast::<u64>().write_unaligned(dw_test_land1 as *const () as u64);
            *DW_TEST_STATE.0.get() = state.clone();
            *DW_TEST_CODE.0.get() = self.map.code as u64;
            *SIGNAL.0.get() = None;
            *TRAPS.0.get() = 0;
            (*LOG.0.get()).clear();
            dw_test_enter();
            let outcome = (*SIGNAL.0.get()).unwrap_or(Outcome::Done(*DW_TEST_PLACE.0.get()));
            Run {
                state: (*DW_TEST_STATE.0.get()).clone(),
                outcome,
                log: (*LOG.0.get()).as_slice().to_vec(),
                traps: *TRAPS.0.get(),
            }
        }
    }
}

fn handlers() {
    // SAFETY: handlers of the test's own.
    unsafe {
        let size = 256 * 1024;
        let stack = libc::stack_t {
            ss_sp: ptr::with_exposed_provenance_mut(map(
                size,
                3,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
            )),
            ss_flags: 0,
            ss_size: size,
        };
        // Every test runs on a thread of its own.
        assert_eq!(libc::sigaltstack(&stack, ptr::null_mut()), 0);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        for signal in [libc::SIGSEGV, libc::SIGILL, libc::SIGFPE, libc::SIGBUS, libc::SIGTRAP] {
            assert_eq!(libc::sigaction(signal, &action, ptr::null_mut()), 0);
        }
    }
}

/// Gives the calling thread the stack that handlers run on.
pub fn alternate_stack() {
    // SAFETY: memory that stays.
    unsafe {
        let size = 256 * 1024;
        let stack = libc::stack_t {
            ss_sp: ptr::with_exposed_provenance_mut(map(
                size,
                3,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
            )),
            ss_flags: 0,
            ss_size: size,
        };
        assert_eq!(libc::sigaltstack(&stack, ptr::null_mut()), 0);
    }
}

unsafe extern "C" fn on_signal(
    signal: i32,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel calls this with the context of a signal; one test runs.
    unsafe {
        let context: *mut libc::ucontext_t = context.cast();
        let fault = (*info).si_addr().addr();
        let map = (*MAP.0.get()).unwrap();
        let mut outcome = Outcome::Signal(signal, (*info).si_code, fault);
        let offset = fault.wrapping_sub(map.base);
        if signal == libc::SIGSEGV && (*info).si_code != 128 && (FIRST..LAST).contains(&offset) {
            *TRAPS.0.get() += 1;
            let mut log = Accesses::new();
            match resume(context, fault, &map, &mut log) {
                Ok(()) => {
                    for access in log.as_slice() {
                        (*LOG.0.get()).add(access.address, access.len, access.kind);
                    }
                    return;
                }
                Err(Refused::Native(f)) => outcome = Outcome::Signal(f.signal, f.code, f.address),
                Err(refused) => outcome = Outcome::Refused(refused),
            }
        }
        *SIGNAL.0.get() = Some(outcome);
        (*context).uc_mcontext.gregs[libc::REG_RIP as usize] = dw_test_land1 as *const () as i64;
    }
}

/// xorshift64*: the seed is printed by who uses it.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Where a component of the vector state lies; processors differ.
pub fn component(number: u32) -> usize {
    std::arch::x86_64::__cpuid_count(0xd, number).ebx as usize
}

/// A state with random registers; the stack is in the first plain page.
pub fn random_state(region: &Region, random: &mut Random) -> State {
    let mut state = State::new();
    for gpr in &mut state.gprs {
        *gpr = random.next();
        // Small numbers too: counts, and quotients that fit.
        if random.below(3) == 0 {
            *gpr >>= 8 + random.below(56);
        }
    }
    state.gprs[4] = region.base() + 2048 + (random.below(64) * 8);
    state.flags = 2 | random.next() & 0x8d5;
    random.fill(&mut state.area[160..416]);
    // SAFETY: asked only where XSAVE is.
    let supported = unsafe { std::arch::x86_64::_xgetbv(0) } & COMPONENTS;
    for (number, len) in [(2, 256), (5, 64), (6, 512), (7, 1024)] {
        if supported >> number & 1 != 0 {
            random.fill(&mut state.area[component(number)..][..len]);
        }
    }
    // x87: masked, three registers in use; SSE: masked.
    state.area[0..2].copy_from_slice(&0x37f_u16.to_le_bytes());
    state.area[2..4].copy_from_slice(&(5_u16 << 11).to_le_bytes());
    state.area[4] = 0xe0;
    for n in 0..8 {
        let mantissa = random.next() | 1 << 63;
        state.area[32 + 16 * n..][..8].copy_from_slice(&mantissa.to_le_bytes());
        let exponent = 0x3fff_u16 - 30 + random.below(60) as u16;
        state.area[40 + 16 * n..][..2].copy_from_slice(&exponent.to_le_bytes());
    }
    state.area[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
    state.area[512..520].copy_from_slice(&(supported | 3).to_le_bytes());
    state
}
