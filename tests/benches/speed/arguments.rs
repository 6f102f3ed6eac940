//! What to run.

use std::str::FromStr;

/// Rounds of which the medians are taken.
const ROUNDS: usize = 5;

/// Ten minutes.
const SECONDS: u32 = 600;

/// The command line.
#[derive(Debug)]
pub struct Arguments {
    /// Rounds of each workload under each peer.
    pub rounds: usize,
    /// How long the endurance run takes.
    pub seconds: u32,
    /// Groups and workloads; empty is all.
    names: Vec<String>,
    peers: Peers,
}

#[derive(Debug)]
enum Peers {
    All,
    Named(Vec<String>),
}

impl Arguments {
    /// Parses what cargo hands through.
    ///
    /// # Panics
    ///
    /// On what it does not know.
    pub fn parse(words: impl Iterator<Item = String>) -> Arguments {
        let mut arguments =
            Arguments { rounds: ROUNDS, seconds: SECONDS, names: vec![], peers: Peers::All };
        let mut words = words.filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => arguments.rounds = number(&value()),
                "--seconds" => arguments.seconds = number(&value()),
                "--peers" => {
                    arguments.peers = match value().as_str() {
                        "all" => Peers::All,
                        "none" => Peers::Named(vec![]),
                        list => Peers::Named(list.split(',').map(str::to_string).collect()),
                    }
                }
                option if option.starts_with('-') => panic!("unknown option {option}"),
                _ => arguments.names.push(word),
            }
        }
        arguments
    }

    /// Whether the workload was asked for, by its group, by its name or by nothing.
    pub fn wants(&self, group: &str, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == group || wanted == name)
    }

    /// Whether the section was asked for, by its name or by nothing.
    pub fn wants_section(&self, section: &str) -> bool {
        self.wants(section, section)
    }

    /// Whether the section was asked for by its name.
    pub fn names_section(&self, section: &str) -> bool {
        self.names.iter().any(|name| name == section)
    }

    /// Whether nobody was left out.
    pub fn wants_all_peers(&self) -> bool {
        matches!(self.peers, Peers::All)
    }

    /// Whether the peer was asked for.
    pub fn wants_peer(&self, name: &str) -> bool {
        match &self.peers {
            Peers::All => true,
            Peers::Named(names) => names.iter().any(|wanted| wanted == name),
        }
    }
}

fn number<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}
