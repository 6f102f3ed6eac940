//! `struct timer_list` as `deadwalk/timer.h` lays it out (LP64).
//!
//! The first 40 bytes are those of the 2.4 kernel, so that positional
//! initialisers of old drivers work; ours follow.

/// The structure, for offsets: never made a reference to.
#[repr(C)]
pub struct TimerList {
    /// `list.next`: non-NULL while the timer is armed.
    pub next: usize,
    /// `list.prev`
    pub prev: usize,
    /// Absolute, in jiffies.
    pub expires: usize,
    /// The handler's argument.
    pub data: usize,
    /// The handler.
    pub function: usize,
    /// The handler runs: the state of policy `running`.
    pub running: u32,
    /// Flags of `timer_setup`.
    pub flags: u32,
}

/// What a legacy object surely has.
pub const LEGACY_BYTES: usize = 40;
/// The whole structure.
pub const FULL_BYTES: usize = size_of::<TimerList>();

const _: () = assert!(core::mem::offset_of!(TimerList, running) == LEGACY_BYTES);
const _: () = assert!(FULL_BYTES == 48);

/// Poison pointers of the kernel lie behind this.
const POISON_POINTER_DELTA: usize = 0xdead_0000_0000_0000;
/// `TIMER_ENTRY_STATIC` of `linux/poison.h`: in `list.prev`, a static initialiser.
pub const STATIC: usize = 0x300 + POISON_POINTER_DELTA;
/// The same before 3.x.
pub const STATIC_OLD: usize = 0x7473_7461;
/// In `data`: `TIMER_INITIALIZER(fn)` cannot know the timer's address, which is meant.
pub const SELF: usize = 0x400 + POISON_POINTER_DELTA;

/// `POISON_FREE` of `linux/poison.h`, eight times.
pub const FREE_WORD: usize = 0x6b6b_6b6b_6b6b_6b6b;
/// `POISON_INUSE`, eight times.
pub const INUSE_WORD: usize = 0x5a5a_5a5a_5a5a_5a5a;

/// The first 40 bytes as read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// `list.next`
    pub next: usize,
    /// `list.prev`
    pub prev: usize,
    /// `expires`
    pub expires: usize,
    /// `data`
    pub data: usize,
    /// `function`
    pub function: usize,
}
