//! The only unsafe code of the detector: turning memory into record segments.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicPtr, Ordering};

use super::layout::{BodySegment, FULL_BYTES, HEAD_BYTES, HeadSegment};

/// The head of the record in `memory`.
///
/// # Safety
///
/// * `memory` is page-aligned, zeroed or a record, readable and writable for
///   [`HEAD_BYTES`] bytes for the rest of the process's life.
/// * All other access to it goes through atomics.
pub unsafe fn head_at(memory: *mut u8) -> &'static HeadSegment {
    const { assert!(size_of::<HeadSegment>() <= HEAD_BYTES) };
    // SAFETY: valid and aligned by contract; all fields are atomics, for which
    // every bit pattern is valid.
    unsafe { &*memory.cast::<HeadSegment>() }
}

/// The body of a record, whose memory starts at `memory` (mapped apart from
/// the head's; in the file it stands [`HEAD_BYTES`] behind the start).
///
/// # Safety
///
/// As for [`head_at`], for `FULL_BYTES - HEAD_BYTES` bytes.
pub unsafe fn body_at(memory: *mut u8) -> &'static BodySegment {
    const { assert!(HEAD_BYTES + size_of::<BodySegment>() <= FULL_BYTES) };
    // SAFETY: valid and aligned by contract; all fields are atomics.
    unsafe { &*memory.cast::<BodySegment>() }
}

/// A head in this process's own memory, for want of a file.
pub static PRIVATE_HEAD: HeadSegment = {
    // SAFETY: made of atomic integers only, for which zero is valid.
    unsafe { core::mem::zeroed() }
};

/// A body in this process's own memory: part of .bss, so it costs nothing
/// before it is used.
pub static PRIVATE_BODY: BodySegment = {
    // SAFETY: made of atomic integers only, for which zero is valid.
    unsafe { core::mem::zeroed() }
};

/// A place for a `&'static T` or nothing; any thread may change it.
pub(super) struct SegmentCell<T: 'static>(AtomicPtr<T>);

impl<T: Sync> SegmentCell<T> {
    /// Nothing yet.
    pub(super) const fn new() -> SegmentCell<T> {
        SegmentCell(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// Puts a segment there, or nothing.
    pub(super) fn set(&self, segment: Option<&'static T>) {
        let pointer = segment.map_or(core::ptr::null(), |s| &raw const *s);
        self.0.store(pointer.cast_mut(), Ordering::Release);
    }

    /// Puts a segment there unless there is one; what is there then.
    pub(super) fn set_first(&self, segment: &'static T) -> &'static T {
        let new = (&raw const *segment).cast_mut();
        let null = core::ptr::null_mut();
        match self.0.compare_exchange(null, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => segment,
            // SAFETY: not null, so made from a `&'static T` by `set`.
            Err(first) => unsafe { &*first },
        }
    }

    /// What is there.
    pub(super) fn get(&self) -> Option<&'static T> {
        // SAFETY: `set` stores only null and pointers made from `&'static T`.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }
}
