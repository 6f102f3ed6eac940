//! A PostgreSQL cluster made and served under deadwalk, pgbench plain beside it.

use crate::{assert_clean_and_ours, read_report, wait_for};
use deadwalk_tests::{Live, Run, Target, is_root, skip};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// `nobody` on every Linux: the server refuses to run as root.
const NOBODY: u32 = 65534;

/// A folder of the server's user, with copies of what is under test: that user
/// may not be able to read where they were built.
struct Place {
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl Place {
    fn new(programs: PathBuf) -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = Target::get();
        for (from, name) in [(target.command(), "deadwalk"), (target.library(), "libdeadwalk.so")] {
            std::fs::copy(from, folder.path().join(name)).expect("our folder");
        }
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("our folder");
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        Place { folder, programs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `run` under deadwalk, as the server's user.
    fn under_deadwalk(&self, run: &Run, json: &Path) -> Command {
        let run = run.clone().option("-q").option("--json").option(json);
        let mut command = Command::new(self.path("deadwalk"));
        command.args(run.to_command().get_args());
        self.as_user(command)
    }

    /// One of the suite's programs without deadwalk, as the server's user.
    fn plain(&self, name: &str) -> Command {
        let mut command = self.as_user(Command::new(self.programs.join(name)));
        command.arg("-h").arg(self.folder.path()).args(["-U", "bench"]);
        command
    }

    fn as_user(&self, mut command: Command) -> Command {
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        command.env("TMPDIR", self.folder.path());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

#[track_caller]
fn finish(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {text}");
    text
}

#[test]
fn postgres_under_pgbench() {
    let Some(programs) = programs() else {
        return skip("no /usr/lib/postgresql/*/bin has initdb, postgres and pgbench");
    };
    let place = Place::new(programs);
    let [data, json] = ["data", "report.json"].map(|name| place.path(name));

    let initdb = Run::command([place.programs.join("initdb")]).args("-A trust -U bench -N -D");
    finish(place.under_deadwalk(&initdb.arg(&data), &json));
    assert_clean_and_ours(&read_report(&json));

    let server = Run::command([place.programs.join("postgres")]).arg("-D").arg(&data).arg("-k");
    let server = server.arg(place.folder.path()).args("-c listen_addresses= -c fsync=off");
    let mut command = place.under_deadwalk(&server, &json);
    let log = std::fs::File::create(place.path("log")).expect("our folder");
    command.stderr(log);
    let live = Live::start(command);
    let mut ready = place.plain("pg_isready");
    assert!(wait_for(|| ready.output().is_ok_and(|out| out.status.success())), "it is ready");
    let bench = |words: &str| {
        let mut command = place.plain("pgbench");
        command.args(words.split_whitespace()).arg("postgres");
        finish(command)
    };
    bench("-i -s 2 -q");
    let said = bench("-c 8 -j 2 -T 5");
    assert!(said.contains("number of failed transactions: 0 "), "{said}");
    bench("-c 4 -j 2 -t 200 -S -M prepared -C");
    // Every statement arms the one clock of setitimer, and disarms it.
    let limits = "-c statement_timeout=20s -c lock_timeout=10s -c deadlock_timeout=5ms \
                  -c idle_in_transaction_session_timeout=30s";
    let mut command = place.plain("pgbench");
    command.env("PGOPTIONS", limits).args(["-c", "4", "-j", "2", "-t", "300", "postgres"]);
    let said = finish(command);
    assert!(said.contains("number of failed transactions: 0 "), "{said}");

    // A fast shutdown: clients are sent away, the log is written out.
    let pid = std::fs::read_to_string(data.join("postmaster.pid")).expect("the server runs");
    let pid = pid.lines().next().expect("its first line").to_string();
    finish({
        let mut kill = Command::new("kill");
        kill.args(["-INT", &pid]);
        kill
    });
    assert_eq!(live.wait(), 0);
    let report = read_report(&json);
    assert!(report.processes().len() > 100, "a process for each connection: {report}");
    assert_clean_and_ours(&report);
}

/// The newest installed version's folder.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut folders: Vec<_> = versions.flatten().map(|entry| entry.path().join("bin")).collect();
    let whole = |folder: &PathBuf| {
        ["initdb", "postgres", "pgbench", "pg_isready"]
            .iter()
            .all(|name| folder.join(name).is_file())
    };
    folders.retain(whole);
    folders.sort();
    folders.pop()
}
