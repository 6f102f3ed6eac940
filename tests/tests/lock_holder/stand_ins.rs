//! For what the locks ask of the rest of the library.

/// Calls are noted for handlers only.
pub mod jump {
    pub fn locking(_object: usize) {}
    pub fn unlocking(_object: usize) {}
}

pub mod tls {
    use std::cell::Cell;

    thread_local! {
        static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
    }

    pub fn set_in_handler() {
        IN_HANDLER.set(true);
    }

    pub fn run() -> Option<()> {
        IN_HANDLER.get().then_some(())
    }

    pub fn tid() -> u32 {
        // SAFETY: takes no arguments.
        unsafe { libc::gettid() as u32 }
    }
}

pub mod stack {
    pub const FRAMES: [usize; 3] = [0x1111, 0x2222, 0x3333];

    pub fn capture(out: &mut [usize]) -> usize {
        out[..FRAMES.len()].copy_from_slice(&FRAMES);
        FRAMES.len()
    }
}

pub mod sandbox {
    pub fn is_sandboxed() -> bool {
        false
    }
}

pub mod sample {
    pub fn read_task(tid: u32, name: &[u8], out: &mut [u8]) -> Option<usize> {
        let name = std::str::from_utf8(name).expect("a file's name").trim_end_matches('\0');
        let text = std::fs::read(format!("/proc/self/task/{tid}/{name}")).ok()?;
        let len = text.len().min(out.len());
        out[..len].copy_from_slice(&text[..len]);
        Some(len)
    }
}
