//! memcached with four threads, under a client of ours on its unix socket.

use crate::{assert_clean_and_ours, read_report, wait_for};
use deadwalk_tests::{Live, Run, find_tool};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

const CLIENTS: u32 = 8;
const KEYS: u32 = 3000;

#[test]
fn memcached_with_four_threads() {
    let Some(server) = find_tool("memcached") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [socket, json] = ["socket", "report.json"].map(|name| folder.path().join(name));
    let run = Run::command([server]).args("-u root -m 64 -t 4 -s").arg(&socket);
    let live = Live::start(run.option("-q").option("--json").option(&json).to_command());
    assert!(wait_for(|| UnixStream::connect(&socket).is_ok()), "memcached listens");
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let socket = &socket;
            scope.spawn(move || fill_and_read(socket, client).expect("the server answers"));
        }
    });
    live.signal(libc::SIGTERM);
    assert_eq!(live.wait(), 0);
    assert_clean_and_ours(&read_report(&json));
}

/// Stores, reads back and deletes values of 1 byte to 40 kB.
fn fill_and_read(socket: &Path, client: u32) -> std::io::Result<()> {
    let mut to = UnixStream::connect(socket)?;
    let mut from = BufReader::new(to.try_clone()?);
    let mut line = String::new();
    let mut answer = |from: &mut BufReader<UnixStream>, wanted: &str| {
        line.clear();
        from.read_line(&mut line)?;
        assert_eq!(line.trim_end(), wanted);
        std::io::Result::Ok(())
    };
    for n in 0..KEYS {
        let key = format!("key-{client}-{n}");
        let letter = b'a' + (n % 26) as u8;
        let value = vec![letter; 1 + (n * 7919 % 40_000) as usize];
        write!(to, "set {key} 0 0 {}\r\n", value.len())?;
        to.write_all(&value)?;
        write!(to, "\r\nget {key}\r\n")?;
        answer(&mut from, "STORED")?;
        answer(&mut from, &format!("VALUE {key} 0 {}", value.len()))?;
        let mut read = vec![0; value.len() + "\r\n".len()];
        from.read_exact(&mut read)?;
        assert!(read.starts_with(&value), "{key} is as it was stored");
        answer(&mut from, "END")?;
        if n % 3 == 0 {
            write!(to, "delete {key}\r\n")?;
            answer(&mut from, "DELETED")?;
        }
    }
    Ok(())
}
