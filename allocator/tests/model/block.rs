//! A live block as the model knows it: where it is and what it holds.

/// Alignment every block has.
pub const NATURAL_ALIGN: usize = 16;
/// Requests from here on are large; their bytes are counted as requested.
const SMALL_LIMIT: usize = 32 << 10;
/// Small classes keep alignments up to this.
pub const PAGE: usize = 4096;
/// Up to this size the whole content is written and checked ...
const WHOLE: usize = 6000;
/// ... and of larger blocks so many bytes at each end ...
const EDGE: usize = 300;
/// ... and so many in between.
const SAMPLES: usize = 24;

/// A live block.
#[derive(Debug)]
pub struct Live {
    pub base: usize,
    pub size: usize,
    /// Names the object, and seeds its content: its allocation site.
    pub serial: u32,
    /// Bytes the heap counts it with.
    pub counted: usize,
    pub watched: bool,
    pub mark: Mark,
}

/// What was done wrong with an object. It is told of once, so one misuse of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Clean,
    /// A misuse that is no concern of its bytes was told, or it was freed and
    /// written to.
    Told,
    Overflowed,
    Underflowed,
    /// Bytes of its slot behind its own were damaged from the block behind.
    InFront,
}

/// What the heap counts for a block: the slot of a small one (the least class
/// of 16-byte steps up to 256 and eight per doubling above that is larger and
/// keeps the alignment), the size of any other.
pub fn counted(size: usize, align: usize) -> usize {
    let classes = (1..=16).map(|step| step * 16).chain((8..15).flat_map(|shift| {
        let base = 1 << shift;
        (1..=8).map(move |step| base + base / 8 * step)
    }));
    let is_small = size < SMALL_LIMIT && align <= PAGE;
    let mut slots = classes.filter(|slot| is_small && *slot > size && slot.is_multiple_of(align));
    slots.next().unwrap_or(size)
}

/// The byte an object holds at an offset.
fn byte(serial: u32, offset: usize) -> u8 {
    let mixed = serial.wrapping_mul(0x9e37_79b1) >> 11;
    (mixed as usize).wrapping_add(offset.wrapping_mul(31) >> 2) as u8
}

/// The offsets below `end` that are written and checked in an object.
fn offsets(serial: u32, size: usize, end: usize) -> impl Iterator<Item = usize> {
    let (whole, edge) = if size <= WHOLE { (size, 0) } else { (EDGE, size - EDGE) };
    let samples = if size <= WHOLE { 0 } else { SAMPLES };
    let inside = (0..samples).map(move |at| {
        let mixed = (serial as usize + at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        mixed % size
    });
    let edge = if edge == 0 { 0..0 } else { edge..size };
    (0..whole).chain(inside).chain(edge).filter(move |&at| at < end)
}

impl Live {
    /// Whether it lies in a slot of a small class.
    pub fn is_small(&self) -> bool {
        self.counted > self.size
    }

    /// Writes the object's content.
    pub fn write(&self) {
        for at in offsets(self.serial, self.size, self.size) {
            // SAFETY: inside the live block.
            unsafe { (self.base as *mut u8).add(at).write(byte(self.serial, at)) };
        }
    }

    /// Checks its content up to `end`, as it lies at `base`.
    pub fn check_at(&self, base: usize, end: usize) {
        for at in offsets(self.serial, self.size, end) {
            // SAFETY: the caller's block has `end` bytes.
            let got = unsafe { (base as *const u8).add(at).read() };
            assert_eq!(got, byte(self.serial, at), "offset {at} of {self:x?} at {base:#x}");
        }
    }

    /// Checks its content.
    pub fn check(&self) {
        self.check_at(self.base, self.size);
    }

    /// Checks that it reads as zero.
    pub fn check_zero(&self) {
        for at in offsets(self.serial, self.size, self.size) {
            // SAFETY: inside the live block.
            let got = unsafe { (self.base as *const u8).add(at).read() };
            assert_eq!(got, 0, "offset {at} of {self:x?}");
        }
    }
}
