//! The kernel's strict accounting of memory, for a moment.

use crate::{is_root, skip};
use std::fs;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

const SETTING: &str = "/proc/sys/vm/overcommit_memory";

/// `vm.overcommit_memory=2` as long as this lives. A process of its own puts the
/// old value back, when its standard input ends: however the test may end.
#[derive(Debug)]
pub struct Overcommit {
    keeper: Child,
    stdin: Option<ChildStdin>,
}

impl Overcommit {
    /// Sets it; skips aloud and returns `None` where that is not allowed, or if
    /// so much is committed already that others would suffer.
    pub fn strict() -> Option<Overcommit> {
        const ROOM_KB: u64 = 6 << 20;
        let room = committable_kb().filter(|&room| room >= ROOM_KB);
        let Ok(old) = fs::read_to_string(SETTING) else {
            skip("there is no vm.overcommit_memory here");
            return None;
        };
        if room.is_none() || old.trim() == "2" || !is_root() {
            skip("vm.overcommit_memory is not ours to set, or memory is short");
            return None;
        }
        let script = format!(r#"cat > /dev/null; echo {} > {SETTING}"#, old.trim());
        let mut keeper = Command::new("setsid")
            .args(["sh", "-c", &script])
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell is there");
        let stdin = keeper.stdin.take();
        let keeper = Overcommit { keeper, stdin };
        let set = fs::OpenOptions::new().write(true).open(SETTING);
        if set.and_then(|mut file| file.write_all(b"2")).is_err() {
            skip("vm.overcommit_memory cannot be set here");
            return None;
        }
        Some(keeper)
    }
}

impl Drop for Overcommit {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// What could still be committed under strict accounting.
fn committable_kb() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    field("CommitLimit:")?.checked_sub(field("Committed_AS:")?)
}
