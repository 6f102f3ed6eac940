//! Size classes: how large a slot a request gets.
//!
//! Pure tables, computed at compile time. A slot always holds at least one
//! byte more than was asked for: the byte behind the request is the canary.
//!
//! Steps of 16 up to 256, then 8 classes per doubling up to 32 KiB (4 cost
//! sqlite a third more memory), then 4 per doubling up to 64 MiB. Behind these stand
//! the classes of blocks that lie alone on their pages (see `alone`).

use crate::os::PAGE;

/// Upper bound of the class count; regions are indexed by a shift, so the
/// window has room for a power of two of them.
pub const MAX_CLASSES: usize = 128;
/// Requests below this many bytes are small: served from thread caches.
pub const SMALL_LIMIT: usize = 32 << 10;
/// Slot size of the largest class; what does not fit is mapped directly.
pub const LARGEST_SLOT: usize = 64 << 20;

/// Pages of a block that lies alone, at most, in each of its classes; the slot has one
/// more, the guard.
const ALONE_PAGES: [usize; 4] = [1, 2, 4, 8];
const _: () = assert!(ALONE_PAGES[ALONE_PAGES.len() - 1] * PAGE >= SMALL_LIMIT);

const TABLE: ([usize; MAX_CLASSES], usize, usize) = {
    let mut sizes = [0; MAX_CLASSES];
    let mut count = 0;
    let mut size = 16;
    while size <= 256 {
        sizes[count] = size;
        count += 1;
        size += 16;
    }
    let mut base = 256;
    let mut small = 0;
    while base < LARGEST_SLOT {
        let steps = if base < SMALL_LIMIT { 8 } else { 4 };
        let mut step = 1;
        while step <= steps {
            sizes[count] = base + base / steps * step;
            count += 1;
            step += 1;
        }
        base *= 2;
        if base == SMALL_LIMIT {
            small = count;
        }
    }
    let mut alone = 0;
    while alone < ALONE_PAGES.len() {
        sizes[count + alone] = (ALONE_PAGES[alone] + 1) * PAGE;
        alone += 1;
    }
    (sizes, small, count)
};

/// Number of small classes; they come first.
pub const SMALL_CLASSES: usize = TABLE.1;
/// Number of the classes that a block's size chooses; they come next.
pub const CLASSES: usize = TABLE.2;
/// Number of all classes.
pub const ALL_CLASSES: usize = CLASSES + ALONE_PAGES.len();
/// Slot size in bytes of every class, ascending up to [`CLASSES`] and behind it; zero
/// behind [`ALL_CLASSES`].
pub static SLOT_SIZE: [usize; MAX_CLASSES] = TABLE.0;

/// `2^64 / slot size`, rounded up: with `wide = offset * INVERSE`, the high
/// half is the slot's index, and the low half is below the inverse exactly
/// when the offset is a slot's start. Exact for `offset * slot < 2^64`, which
/// the class span (32 GiB) and the largest slot (64 MiB) keep.
pub static INVERSE: [u64; MAX_CLASSES] = {
    let mut inverse = [0; MAX_CLASSES];
    let mut class = 0;
    while class < ALL_CLASSES {
        inverse[class] = u64::MAX / TABLE.0[class] as u64 + 1;
        class += 1;
    }
    inverse
};

static CLASS_OF: [u8; SMALL_LIMIT / 16] = {
    let mut table = [0; SMALL_LIMIT / 16];
    let mut class = 0;
    let mut unit = 0;
    while unit < table.len() {
        while TABLE.0[class] < (unit + 1) * 16 {
            class += 1;
        }
        table[unit] = class as u8;
        unit += 1;
    }
    table
};

/// Class of a small request: the smallest slot with at least `size + 1` bytes.
#[inline(always)]
pub fn of_small(size: usize) -> usize {
    CLASS_OF[size >> 4] as usize
}

/// Class whose slots hold `size + 1` bytes and start at multiples of `align`
/// (a power of two up to the alignment of the class regions), if there is one.
pub fn of_aligned(size: usize, align: usize) -> Option<usize> {
    if size >= LARGEST_SLOT {
        return None;
    }
    let first = if size < SMALL_LIMIT { of_small(size) } else { SMALL_CLASSES };
    (first..CLASSES).find(|&class| {
        let slot = SLOT_SIZE[class];
        let reach = if class < SMALL_CLASSES { 4096 } else { LARGEST_SLOT };
        slot > size && slot & (align - 1) == 0 && align <= reach
    })
}

/// Class of a small block that is to lie alone on its pages.
pub fn of_alone(size: usize) -> usize {
    let pages = size.div_ceil(PAGE).max(1);
    let class = ALONE_PAGES.iter().position(|&most| pages <= most);
    CLASSES + class.expect("the block is a small one")
}

/// Splits an offset into a class region into slot index and "is a start".
#[inline(always)]
pub fn split(offset: usize, inverse: u64) -> (usize, bool) {
    let wide = offset as u128 * inverse as u128;
    ((wide >> 64) as usize, (wide as u64) < inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_size_gets_the_smallest_slot_that_holds_its_canary() {
        for size in 0..SMALL_LIMIT {
            let class = of_small(size);
            assert!(class < SMALL_CLASSES);
            assert!(SLOT_SIZE[class] > size, "size {size}");
            assert!(class == 0 || SLOT_SIZE[class - 1] <= size, "size {size}");
        }
    }

    #[test]
    fn classes_ascend_in_multiples_of_sixteen() {
        assert_eq!((SMALL_CLASSES, CLASSES), (72, 116));
        assert_eq!(SLOT_SIZE[SMALL_CLASSES - 1], SMALL_LIMIT);
        assert_eq!(SLOT_SIZE[CLASSES - 1], LARGEST_SLOT);
        for class in 1..CLASSES {
            assert!(SLOT_SIZE[class] > SLOT_SIZE[class - 1]);
            assert_eq!(SLOT_SIZE[class] % 16, 0);
        }
    }

    #[test]
    fn aligned_classes_hold_the_size_and_keep_the_alignment() {
        for shift in 0..=26 {
            let align = 1 << shift;
            for size in [0, 1, 15, 16, 100, 4095, 4096, 32767, 32768, 100_000, 1 << 20] {
                let class = of_aligned(size, align).expect("a class exists");
                assert!(SLOT_SIZE[class] > size && SLOT_SIZE[class].is_multiple_of(align));
                assert!(align <= 4096 || class >= SMALL_CLASSES);
            }
        }
        assert_eq!(of_aligned(LARGEST_SLOT, 16), None);
    }

    #[test]
    fn a_block_that_lies_alone_has_a_page_behind_it() {
        for size in 0..SMALL_LIMIT {
            let slot = SLOT_SIZE[of_alone(size)];
            assert!(size.max(1).next_multiple_of(PAGE) + PAGE <= slot, "size {size}");
        }
        assert_eq!((of_alone(0), of_alone(4096), of_alone(4097)), (CLASSES, CLASSES, CLASSES + 1));
    }

    #[test]
    fn multiplying_by_the_inverse_divides_exactly() {
        for class in 0..ALL_CLASSES {
            let slot = SLOT_SIZE[class];
            let last = (crate::window::CLASS_SPAN / slot) - 1;
            for index in [0, 1, 2, 3, 1000, last / 2, last - 1, last] {
                for inside in [0, 1, 7, 8, 15, slot / 2, slot - 1] {
                    let offset = index * slot + inside;
                    if offset >= crate::window::CLASS_SPAN {
                        continue;
                    }
                    let got = split(offset, INVERSE[class]);
                    assert_eq!(
                        got,
                        (offset / slot, offset.is_multiple_of(slot)),
                        "{slot} {offset}"
                    );
                }
            }
        }
    }
}
