//! Writes CMD's end into its record, where CMD could not.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use deadwalk_detector::record::layout::{END_EXIT, END_SIGNAL};
use deadwalk_detector::record::reader::{
    END_CODE_AT, END_NS_AT, END_STATE_AT, End, Process, Record,
};
use nix::libc;
use rustix::time::{ClockId, clock_gettime};

use crate::collect::read_record;

/// What tells CMD's records from others.
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Start of the process in clock ticks since boot, if it was readable.
    pub start_ticks: Option<u64>,
}

/// Finds CMD's last record (every exec makes a new one) among `files` and
/// writes its end into it. Returns whether there is such a record.
///
/// A signal's end is always written, an exit's only where the record has none:
/// a program may leave by the bare system call.
pub fn write(files: &[PathBuf], identity: &Identity, status: ExitStatus) -> bool {
    let own = files.iter().filter_map(|file| Some((file, process(file)?)));
    let last = own.filter(|(_, p)| identity.is(p)).max_by_key(|(_, p)| p.start_mono_ns);
    let Some((file, process)) = last else { return false };
    let end = match (status.signal(), status.code()) {
        (Some(signal), _) => Some((END_SIGNAL, signal as u32)),
        (None, Some(code)) if process.end == End::None => Some((END_EXIT, code as u32)),
        _ => None,
    };
    if let Some((state, code)) = end
        && let Err(error) = patch(file, &process, state, code)
    {
        log::warn!("{}: cannot write the end: {error}", file.display());
    }
    true
}

impl Identity {
    fn is(&self, process: &Process) -> bool {
        self.pid == process.pid && self.start_ticks.is_none_or(|t| t == process.start_ticks)
    }
}

fn process(file: &Path) -> Option<Process> {
    // The tables are not needed: cut off, they cost nothing.
    let mut bytes = read_record(file).ok()?;
    bytes.truncate(deadwalk_detector::record::layout::HEAD_BYTES);
    Some(Record::parse(&bytes).ok()?.process)
}

fn patch(file: &Path, process: &Process, state: u32, code: u32) -> std::io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(file)?;
    let now = clock_gettime(ClockId::Monotonic);
    let now_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    let end_ns = now_ns.saturating_sub(process.start_mono_ns);
    // The state last: it says that the others are right.
    file.write_all_at(&end_ns.to_le_bytes(), END_NS_AT as u64)?;
    file.write_all_at(&code.to_le_bytes(), END_CODE_AT as u64)?;
    file.write_all_at(&state.to_le_bytes(), END_STATE_AT as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_image::Image;

    #[test]
    fn the_last_record_of_the_process_gets_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, image: &Image| {
            let path = folder.path().join(name);
            std::fs::write(&path, &image.bytes).expect("a file");
            path
        };
        let mut later = Image::new(7);
        later.u64(
            std::mem::offset_of!(deadwalk_detector::record::layout::HeadSegment, start_mono_ns),
            2_000,
        );
        let files = [
            file("a.dwrec", &later),
            file("b.dwrec", &Image::new(7)),
            file("c.dwrec", &Image::new(8)),
        ];
        let identity = Identity { pid: 7, start_ticks: Some(u64::MAX) };
        assert!(write(&files, &identity, ExitStatus::from_raw(9)));
        let ends = files.map(|f| process(&f).expect("a record").end);
        assert_eq!(ends, [End::Signal(9), End::None, End::None]);
        let other = Identity { pid: 7, start_ticks: Some(1) };
        assert!(!write(&[], &identity, ExitStatus::from_raw(0)));
        assert!(!write(&[folder.path().join("b.dwrec")], &other, ExitStatus::from_raw(0)));
    }
}
