//! Is a thread that sleeps in a system call waiting for a pthread mutex, and
//! whose, or for a thread's end? Pure: a line of /proc and the bytes at an address.
//!
//! # Why a yes is right
//!
//! glibc sleeps in many places, all in `futex`. Waiting for a mutex without a
//! time limit is FUTEX_WAIT, or FUTEX_LOCK_PI for one with priority inheritance,
//! without a timeout. That alone leaves out
//!
//! - condition variables, semaphores, read-write locks and `pthread_join`: they
//!   use FUTEX_WAIT_BITSET, as do our own spin locks and Rust's locks;
//! - mutexes with a time limit: such a wait ends by itself and is no deadlock.
//!
//! What else uses FUTEX_WAIT is kept out by the words there. A mutex of an
//! ordinary type is slept for with the expected value 2, and its word is 2
//! then. `pthread_once` waits for an odd value. A barrier may wait for any, but
//! what is `nusers` in a mutex is its `shared` there: 0, or 128 together with a
//! sleep that is not private, against the mutex's kind. libc's own locks
//! (stdio, the allocator, the loader) and locks that a program made itself are
//! one word, with whatever follows behind: they would need the id of a thread
//! that lives 8 bytes on, a count of users after it, and the kind of a mutex, with
//! the right sharing and for its type the right count.
//!
//! A robust mutex's word is its holder's id, and so is that of a mutex with
//! priority inheritance: it is compared with what the sleeper expects, and with
//! `owner`. Mutexes with a priority ceiling are not known here: the answer is no.
//!
//! | glibc, x86-64 | word | count | owner | nusers | kind |
//! |---|---|---|---|---|---|
//! | offset | 0 | 4 | 8 | 12 | 16 |
//!
//! Another libc has another layout: there the answer is no.
//!
//! `pthread_join` waits until the kernel clears the thread's id in its descriptor: a
//! sleep that is not private, for a word that is a thread's id. (Robust mutexes and
//! those with priority inheritance have such words too, but with a bit for the sleeper.)

/// The words of a mutex that are looked at.
pub const WORDS: usize = 5;

/// A system call that a thread sleeps in: number, six arguments, stack pointer,
/// program counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call([usize; 9]);

const SYS_FUTEX: usize = 202;
const SYS_RT_SIGTIMEDWAIT: usize = 128;
const FUTEX_WAIT: usize = 0;
const FUTEX_LOCK_PI: usize = 6;
const FUTEX_WAIT_BITSET: usize = 9;
const FUTEX_LOCK_PI2: usize = 13;
const FUTEX_PRIVATE: usize = 128;
const FUTEX_CLOCK_REALTIME: usize = 256;

/// In the word of a robust mutex or one with priority inheritance.
const FUTEX_WAITERS: u32 = 1 << 31;
const FUTEX_TID: u32 = 0x3fff_ffff;

/// Normal, recursive, error-checking, adaptive.
const KIND_TYPE: u32 = 3;
const KIND_RECURSIVE: u32 = 1;
const KIND_ROBUST: u32 = 16;
const KIND_INHERIT: u32 = 32;
const KIND_SHARED: u32 = 128;
/// Locks may be elided, or may not.
const KIND_ELISION: u32 = 256 | 512;
const KIND_KNOWN: u32 = KIND_TYPE | KIND_ROBUST | KIND_INHERIT | KIND_SHARED | KIND_ELISION;

impl Call {
    /// Reads a thread's /proc/self/task/TID/syscall; none if it does not sleep in
    /// a system call.
    pub fn parse(line: &[u8]) -> Option<Call> {
        let line = core::str::from_utf8(line).ok()?;
        let mut words = line.split_ascii_whitespace();
        let mut call = [0; 9];
        call[0] = words.next()?.parse().ok()?;
        for word in &mut call[1..] {
            *word = usize::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        }
        Some(Call(call))
    }

    /// The address of the futex that is waited for.
    pub fn futex(&self) -> Option<usize> {
        (self.0[0] == SYS_FUTEX).then_some(self.0[1])
    }

    /// Is it a sleep without a time limit, for what only a thread of this process can
    /// do?
    pub fn lasts(&self) -> bool {
        let [number, _, operation, _, timeout, ..] = self.0;
        let command = operation & !(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME);
        number == SYS_FUTEX
            && timeout == 0
            && operation & FUTEX_PRIVATE != 0
            && matches!(command, FUTEX_WAIT | FUTEX_WAIT_BITSET | FUTEX_LOCK_PI | FUTEX_LOCK_PI2)
    }

    /// The thread whose end this call waits for without a time limit, if `word` is what
    /// stands at the futex.
    pub fn joined(&self, word: u32) -> Option<u32> {
        let [number, _, operation, expected, timeout, ..] = self.0;
        let is_join = number == SYS_FUTEX
            && timeout == 0
            && operation & !FUTEX_CLOCK_REALTIME == FUTEX_WAIT_BITSET
            && expected as u32 == word
            && word & !FUTEX_TID == 0;
        (is_join && word != 0).then_some(word)
    }

    /// The set of signals that are waited for without a time limit: its address.
    pub fn signals(&self) -> Option<usize> {
        let [number, set, _, timeout, ..] = self.0;
        (number == SYS_RT_SIGTIMEDWAIT && timeout == 0).then_some(set)
    }

    /// Where the thread goes on.
    pub fn pc(&self) -> usize {
        self.0[8]
    }

    /// The thread that holds the mutex whose first words these are, if it is a
    /// mutex that this call waits for.
    pub fn holder(&self, [word, count, owner, nusers, kind]: [u32; WORDS]) -> Option<u32> {
        let [_, _, operation, expected, timeout, ..] = self.0;
        let expected = expected as u32;
        let is_shared = operation & FUTEX_PRIVATE == 0;
        // Of the plain types only a recursive mutex counts, the others always do.
        let is_plain = kind & (KIND_ROBUST | KIND_INHERIT) == 0;
        let counts = !is_plain || kind & KIND_TYPE == KIND_RECURSIVE;
        let plausible = timeout == 0
            && owner != 0
            && nusers != 0
            && kind & !KIND_KNOWN == 0
            && is_shared == (kind & KIND_SHARED != 0)
            && (count != 0) == counts;
        if !plausible {
            return None;
        }
        let sleeps = match operation & !(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME) {
            FUTEX_WAIT if kind & KIND_INHERIT != 0 => false,
            FUTEX_WAIT if word != expected => false,
            FUTEX_WAIT if kind & KIND_ROBUST != 0 => {
                word & FUTEX_WAITERS != 0 && word & FUTEX_TID == owner
            }
            FUTEX_WAIT => word == 2,
            FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => {
                kind & KIND_INHERIT != 0 && word & FUTEX_WAITERS != 0 && word & FUTEX_TID == owner
            }
            _ => false,
        };
        sleeps.then_some(owner)
    }
}
