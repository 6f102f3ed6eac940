//! nginx, a master and two workers, under wrk.

use crate::{assert_clean_and_ours, read_report, wait_for};
use deadwalk_tests::{Live, Run, find_tool};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

/// Files, generated answers, compression, a proxied hop back to itself.
const CONFIG: &str = "
daemon off;
worker_processes 2;
pid PREFIX/pid;
error_log PREFIX/error.log;
user USER;
events { worker_connections 512; }
http {
    access_log PREFIX/access.log;
    client_body_temp_path PREFIX/body;
    proxy_temp_path PREFIX/proxy;
    fastcgi_temp_path PREFIX/fastcgi;
    uwsgi_temp_path PREFIX/uwsgi;
    scgi_temp_path PREFIX/scgi;
    gzip on;
    gzip_types *;
    server {
        listen 127.0.0.1:PORT;
        root PREFIX;
        location /hop/ { proxy_pass http://127.0.0.1:PORT/; }
        location /hello { return 200 'hello $request_id'; }
    }
}
";

#[test]
fn nginx_under_wrk() {
    let (Some(nginx), Some(wrk)) = (find_tool("nginx"), find_tool("wrk")) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let json = folder.path().join("report.json");
    let port = free_port();
    let config = folder.path().join("config");
    std::fs::write(&config, configuration(folder.path(), port)).expect("our folder");
    std::fs::write(folder.path().join("page.html"), "<p>a page</p>\n".repeat(500)).expect("ours");

    let run = Run::command([&nginx]).arg("-e").arg(folder.path().join("error.log"));
    let run = run.arg("-c").arg(&config).option("-q").option("--json").option(&json);
    let live = Live::start(run.to_command());
    assert!(wait_for(|| TcpStream::connect(("127.0.0.1", port)).is_ok()), "nginx listens");
    for page in ["hello", "page.html", "hop/page.html"] {
        let load = Command::new(&wrk)
            .args(["-t2", "-c32", "-d1s", "-H", "Accept-Encoding: gzip"])
            .arg(format!("http://127.0.0.1:{port}/{page}"))
            .output()
            .expect("wrk runs");
        let said = String::from_utf8_lossy(&load.stdout);
        assert!(load.status.success() && said.contains("requests in"), "{page}: {said}");
        for trouble in ["Non-2xx", "Socket errors"] {
            assert!(!said.contains(trouble), "{page}: {said}");
        }
    }
    // The master ends its workers gracefully.
    let pid = std::fs::read_to_string(folder.path().join("pid")).expect("nginx wrote its number");
    let quit = Command::new("kill").args(["-QUIT", pid.trim()]).status();
    assert!(quit.is_ok_and(|status| status.success()));
    assert_eq!(live.wait(), 0);
    let report = read_report(&json);
    assert!(report.processes().len() >= 3, "master and workers: {report}");
    assert_clean_and_ours(&report);
}

fn configuration(folder: &Path, port: u16) -> String {
    let user = if deadwalk_tests::is_root() { "root root" } else { "nobody" };
    let prefix = folder.to_str().expect("a plain path");
    let text = CONFIG.replace("PREFIX", prefix).replace("PORT", &port.to_string());
    text.replace("USER", user)
}

/// A port that is free now; wrk knows no unix sockets.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("a bound socket").port()
}
