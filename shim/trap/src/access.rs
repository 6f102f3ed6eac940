//! What an instruction did to guarded memory, for the log.

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// Read.
    Read,
    /// Written.
    Write,
    /// Read and written by one instruction.
    Update,
    /// Fetched as an instruction.
    Execute,
}

/// One range of guarded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// First byte, as the program named it.
    pub address: usize,
    /// Bytes.
    pub len: usize,
    /// What was done.
    pub kind: AccessKind,
}

/// A gather of sixteen lanes touches the most places; one for a string's other side.
const CAPACITY: usize = 17;

/// The ranges of guarded memory that one instruction accessed.
///
/// Neighbouring ranges of one kind become one, so a `rep movsb` is two entries.
#[derive(Clone, Copy, Debug)]
pub struct Accesses {
    entries: [Access; CAPACITY],
    /// Live entries; `len <= CAPACITY`.
    len: usize,
}

impl Accesses {
    const NONE: Access = Access { address: 0, len: 0, kind: AccessKind::Read };

    /// No accesses.
    pub const fn new() -> Accesses {
        Accesses { entries: [Accesses::NONE; CAPACITY], len: 0 }
    }

    /// The ranges, in the order of the first access to each.
    pub fn as_slice(&self) -> &[Access] {
        &self.entries[..self.len]
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a range, to a neighbour if there is one.
    pub fn add(&mut self, address: usize, len: usize, kind: AccessKind) {
        for old in &mut self.entries[..self.len] {
            if old.kind != kind {
                continue;
            }
            if old.address.wrapping_add(old.len) == address {
                old.len += len;
                return;
            }
            if address.wrapping_add(len) == old.address {
                old.address = address;
                old.len += len;
                return;
            }
        }
        if self.len < CAPACITY {
            self.entries[self.len] = Access { address, len, kind };
            self.len += 1;
        }
    }
}

impl Default for Accesses {
    fn default() -> Accesses {
        Accesses::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_kind_become_one() {
        let mut log = Accesses::new();
        log.add(0x100, 8, AccessKind::Read);
        log.add(0x108, 8, AccessKind::Read);
        log.add(0xf8, 8, AccessKind::Read);
        log.add(0x110, 8, AccessKind::Write);
        let expected = [
            Access { address: 0xf8, len: 0x18, kind: AccessKind::Read },
            Access { address: 0x110, len: 8, kind: AccessKind::Write },
        ];
        assert_eq!(log.as_slice(), expected);
    }

    #[test]
    fn what_does_not_fit_is_dropped() {
        let mut log = Accesses::new();
        (0..100).for_each(|n| log.add(n * 64, 1, AccessKind::Read));
        assert_eq!(log.as_slice().len(), CAPACITY);
    }
}
