//! A growing array that never moves: rows of a fixed length.
//!
//! A `Vec` copies itself as it doubles: at ten million records that stops one call
//! for half a second, and takes three times the memory meanwhile.

use std::collections::TryReserveError;

/// Entries of a row: 16 KiB of records.
const ROW: usize = 1 << 8;

/// The array. An entry has a number that fits in 32 bits.
#[derive(Debug)]
pub struct Chunks<T> {
    rows: Vec<Box<[T; ROW]>>,
    len: usize,
}

impl<T> Chunks<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Chunks { rows: Vec::new(), len: 0 }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Makes room for one more; `empty` makes what stands there until then.
    pub fn reserve_one(&mut self, empty: impl FnMut() -> T) -> Result<(), TryReserveError> {
        if self.len == self.rows.len() * ROW {
            self.rows.try_reserve(1)?;
            let mut row = Vec::new();
            row.try_reserve_exact(ROW)?;
            row.resize_with(ROW, empty);
            if let Ok(row) = row.into_boxed_slice().try_into() {
                self.rows.push(row);
            }
        }
        Ok(())
    }

    /// Adds one, for which there is [room](Self::reserve_one); its number.
    pub fn push(&mut self, entry: T) -> u32 {
        let number = self.len;
        self.len += 1;
        *self.at_mut(number as u32) = entry;
        number as u32
    }

    /// An entry.
    #[inline]
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        if number as usize >= self.len {
            return None;
        }
        Some(self.at_mut(number))
    }

    /// An entry that there is.
    #[inline(always)]
    pub fn at(&self, number: u32) -> &T {
        &self.rows[number as usize / ROW][number as usize % ROW]
    }

    /// An entry that there is.
    #[inline(always)]
    pub fn at_mut(&mut self, number: u32) -> &mut T {
        &mut self.rows[number as usize / ROW][number as usize % ROW]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_stays_where_it_is() {
        let mut chunks = Chunks::new();
        let count = 3 * ROW as u32 + 1;
        let mut first = None;
        for i in 0..count {
            chunks.reserve_one(|| 0).unwrap();
            assert_eq!(chunks.push(i), i);
            first.get_or_insert(&raw const *chunks.at(0));
        }
        assert_eq!(chunks.len(), count as usize);
        assert!((0..count).all(|i| *chunks.at(i) == i));
        assert_eq!(first, Some(&raw const *chunks.at(0)));
        assert!(chunks.get_mut(count).is_none() && chunks.get_mut(u32::MAX).is_none());
    }
}
