//! How access to pages of the heap is taken away.

/// The means, chosen when the process starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum GuardMeans {
    /// Nothing is guarded.
    None = 0,
    /// The kernel's guards (`MADV_GUARD_INSTALL`).
    Madvise = 1,
    /// Page protection, which splits mappings.
    Mprotect = 2,
}

impl GuardMeans {
    /// The means of this number.
    pub const fn from_u32(number: u32) -> GuardMeans {
        match number {
            1 => GuardMeans::Madvise,
            2 => GuardMeans::Mprotect,
            _ => GuardMeans::None,
        }
    }

    /// Its name in the JSON report.
    pub const fn name(self) -> &'static str {
        match self {
            GuardMeans::None => "none",
            GuardMeans::Madvise => "madvise",
            GuardMeans::Mprotect => "mprotect",
        }
    }
}
