//! Runs a body in a fork child: on a heap of the same state each time, so that
//! a failure can be replayed and shrunk, and damage stays in the child.

use std::io::Read;
use std::os::fd::FromRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; what it panicked with.
pub fn in_child(body: impl FnOnce()) -> Result<(), String> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors; the child makes none of its parent's
    // threads' locks its own: it panics into the pipe and leaves.
    unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        let child = libc::fork();
        assert!(child >= 0);
        if child == 0 {
            let message = caught(body).err().unwrap_or_default();
            libc::write(ends[1], message.as_ptr().cast(), message.len());
            libc::_exit(!message.is_empty() as i32);
        }
        libc::close(ends[1]);
        let mut message = String::new();
        let mut pipe = std::fs::File::from_raw_fd(ends[0]);
        pipe.read_to_string(&mut message).expect("the child writes text");
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        if status == 0 { Ok(()) } else { Err(format!("{message} (status {status:#x})")) }
    }
}

fn caught(body: impl FnOnce()) -> Result<(), String> {
    use std::sync::Mutex;
    static SAID: Mutex<String> = Mutex::new(String::new());
    std::panic::set_hook(Box::new(|info| {
        *SAID.lock().unwrap() = info.to_string();
    }));
    catch_unwind(AssertUnwindSafe(body)).map_err(|_| SAID.lock().unwrap().clone())
}
