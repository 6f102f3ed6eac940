//! Reads from a byte slice that may end anywhere.

/// A record's bytes. Every access is bounded; `None` means "behind the end".
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// `len` bytes at `at`.
    pub fn slice(self, at: usize, len: usize) -> Option<&'a [u8]> {
        self.0.get(at..at.checked_add(len)?)
    }

    /// As many of the `len` bytes at `at` as there are.
    pub fn up_to(self, at: usize, len: usize) -> &'a [u8] {
        let rest = self.0.get(at..).unwrap_or(&[]);
        &rest[..len.min(rest.len())]
    }

    fn array<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.slice(at, N)?.try_into().ok()
    }

    pub fn u8(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    pub fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub fn u32(self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub fn u64(self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }

    pub fn i64(self, at: usize) -> Option<i64> {
        self.array(at).map(i64::from_le_bytes)
    }

    pub fn bytes16(self, at: usize) -> Option<[u8; 16]> {
        self.array(at)
    }

    /// `N` numbers of four bytes.
    pub fn u32s<const N: usize>(self, at: usize) -> Option<[u32; N]> {
        let raw = self.slice(at, N * 4)?;
        let mut out = [0; N];
        for (value, bytes) in out.iter_mut().zip(raw.chunks_exact(4)) {
            *value = Bytes(bytes).u32(0)?;
        }
        Some(out)
    }

    /// `N` numbers of eight bytes.
    pub fn u64s<const N: usize>(self, at: usize) -> Option<[u64; N]> {
        let raw = self.slice(at, N * 8)?;
        let mut out = [0; N];
        for (value, bytes) in out.iter_mut().zip(raw.chunks_exact(8)) {
            *value = Bytes(bytes).u64(0)?;
        }
        Some(out)
    }

    /// A text of at most `len` bytes that ends at the first NUL.
    pub fn text(self, at: usize, len: usize) -> String {
        let raw = self.up_to(at, len);
        let end = raw.iter().position(|&b| b == 0).unwrap_or(raw.len());
        String::from_utf8_lossy(&raw[..end]).into_owned()
    }
}
