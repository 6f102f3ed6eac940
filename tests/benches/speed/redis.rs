//! redis-server under a fixed number of requests. Only the server counts.

use crate::cost::{Cost, start};
use crate::peers::Peer;
use deadwalk_tests::find_tool;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server, its client and where they meet.
pub struct Redis {
    server: PathBuf,
    client: PathBuf,
    folder: PathBuf,
}

impl Redis {
    /// If both are installed.
    pub fn find(folder: &Path) -> Option<Redis> {
        let (server, client) = (find_tool("redis-server")?, find_tool("redis-benchmark")?);
        Some(Redis { server, client, folder: folder.to_path_buf() })
    }

    /// One server from its start to its end.
    pub fn measure(&self, peer: &Peer) -> Option<Cost> {
        let socket = self.folder.join("redis.sock");
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new(&self.server);
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
        command.arg(&socket).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Debian's is linked with jemalloc: without more it would be measured
        // against itself. libc's malloc comes first if libc does.
        if peer.preload.is_none() {
            command.env("LD_PRELOAD", "libc.so.6");
        }
        peer.load_into(&mut command);
        let server = start(&mut command);
        let served = listens(&socket) && self.requests(&socket);
        end(&server);
        let cost = Cost::of_child(server, PATIENCE);
        cost.filter(|_| served)
    }

    fn requests(&self, socket: &Path) -> bool {
        let mut client = Command::new(&self.client);
        client.arg("-s").arg(socket).args(["-t", "set,get,lpush,hset", "-n", "350000"]);
        client.args(["-r", "100000", "-d", "100", "-P", "16", "-q"]);
        client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Cost::of(&mut client).is_some()
    }
}

fn listens(socket: &Path) -> bool {
    let since = Instant::now();
    while UnixStream::connect(socket).is_err() {
        if since.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Asks it to end, which redis does with status 0.
fn end(server: &Child) {
    // SAFETY: no pointers; the child is ours and not waited for yet.
    unsafe { libc::kill(server.id() as libc::pid_t, libc::SIGTERM) };
}
