//! A control group with a limit on memory.

use crate::{is_root, skip};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A control group of version 2 or 1, removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
}

/// A way to mount control groups.
struct Kind {
    root: &'static str,
    /// How /proc/self/cgroup marks the line of our own group; "" for the root.
    own: &'static str,
    limit: &'static str,
    swap: &'static str,
    /// The second limit is on memory and swap together.
    limits_sum: bool,
}

const V2: Kind = Kind {
    root: "/sys/fs/cgroup",
    own: "",
    limit: "memory.max",
    swap: "memory.swap.max",
    limits_sum: false,
};
const KINDS: [Kind; 3] = [
    V2,
    Kind { root: "/sys/fs/cgroup/unified", ..V2 },
    Kind {
        root: "/sys/fs/cgroup/memory",
        own: ":memory:/",
        limit: "memory.limit_in_bytes",
        swap: "memory.memsw.limit_in_bytes",
        limits_sum: true,
    },
];

impl Kind {
    /// The group to make one in: below our own where that is allowed.
    fn parent(&self) -> Option<PathBuf> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let below = match self.own {
            "" => "",
            mark => own.lines().find_map(|line| line.split_once(mark))?.1,
        };
        Some(Path::new(self.root).join(below)).filter(|folder| folder.join("cgroup.procs").exists())
    }
}

impl Cgroup {
    /// Makes one that may hold `bytes` of memory and no swap; skips aloud and
    /// returns `None` where that is not allowed.
    pub fn with_memory(bytes: u64) -> Option<Cgroup> {
        static SERIAL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("deadwalk-test-{}-{serial}", std::process::id());
        for kind in &KINDS {
            let Some(parent) = kind.parent().filter(|_| is_root()) else { continue };
            let cgroup = Cgroup { folder: parent.join(&name) };
            // The kernel makes the files: where there are none, it is just a folder.
            if fs::create_dir(&cgroup.folder).is_ok() && cgroup.set(kind.limit, bytes) {
                let swap = if kind.limits_sum { bytes } else { 0 };
                // A machine without swap has no such file.
                let _ = cgroup.set(kind.swap, swap);
                return Some(cgroup);
            }
        }
        skip("control groups with a limit on memory cannot be made here");
        None
    }

    fn set(&self, file: &str, bytes: u64) -> bool {
        let file = fs::OpenOptions::new().write(true).open(self.folder.join(file));
        file.and_then(|mut file| write!(file, "{bytes}")).is_ok()
    }

    /// The file to which a process writes its number to be in the group.
    pub fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that was just killed may be in it for a moment.
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
