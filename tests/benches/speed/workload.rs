//! What is run under everybody.

use crate::cost::Cost;
use crate::peers::Peer;
use crate::redis::Redis;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One row of the table.
pub struct Workload {
    /// Its name in the table and on the command line.
    pub name: &'static str,
    /// What it counts to.
    pub group: Group,
    /// What is done.
    pub job: Job,
}

/// Geometric means are taken of each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What people run.
    Programs,
    /// `programs/speed/patterns`.
    Patterns,
}

/// How it is run.
pub enum Job {
    /// A command that ends by itself.
    Command {
        /// Program and arguments.
        words: Vec<String>,
        /// Its settings.
        env: &'static [(&'static str, &'static str)],
        /// A file for its standard input.
        input: Option<PathBuf>,
    },
    /// A server, of which alone the cost counts.
    Redis(Redis),
}

impl Group {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Group::Programs => "programs",
            Group::Patterns => "patterns",
        }
    }
}

impl Workload {
    /// One run; `None` if it failed.
    pub fn measure(&self, peer: &Peer) -> Option<Cost> {
        match &self.job {
            Job::Redis(redis) => redis.measure(peer),
            Job::Command { words, env, input } => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]).envs(env.iter().copied());
                command.stdout(Stdio::null()).stderr(Stdio::null());
                command.stdin(match input {
                    Some(input) => std::fs::File::open(input).expect("our file").into(),
                    None => Stdio::null(),
                });
                peer.load_into(&mut command);
                Cost::of(&mut command)
            }
        }
    }
}
