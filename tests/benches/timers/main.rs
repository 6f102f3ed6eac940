//! What a timer costs: the checked `timer_list` engine of the library beside
//! engines that check nothing, in one run, with ratios to a plain wheel.
//!
//! `cargo build --release --workspace && cargo bench -p deadwalk-tests --bench timers`
//!
//! | argument after `--` | |
//! |---|---|
//! | `1000000` | that many pending timers only (1000, 100000 and 1000000); more than one may be named |
//! | `libev` | that engine only, beside the plain wheel |
//! | `--order random` | the order in which the timers are touched (`creation`) |
//! | `--rounds N` | processes of each, interleaved, of which the least counts (3) |
//! | `--many` | ten million timers, deadwalk alone |
//!
//! Every engine runs in a process of its own, so that its memory can be told. What
//! is not installed is skipped aloud. With `DEADWALK_BLESS=1` the tables are
//! written to `docs/speed.md`.

mod delay_queue;
mod engines;
mod map;
mod nexus;
#[path = "../speed/page.rs"]
#[expect(dead_code, reason = "the picture is the other bench's")]
mod page;
mod plain;
mod table;
mod work;

use engines::{Engine, engines};
use table::{Cost, table};

const COUNTS: [usize; 3] = [1_000, 100_000, 1_000_000];
const MANY: usize = 10_000_000;
const ROUNDS: usize = 3;

struct Arguments {
    counts: Vec<usize>,
    names: Vec<String>,
    order: String,
    rounds: usize,
    many: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Arguments {
        let mut found = Arguments {
            counts: vec![],
            names: vec![],
            order: "creation".into(),
            rounds: ROUNDS,
            many: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--order" => found.order = value(),
                "--rounds" => found.rounds = value().parse().expect("a number of rounds"),
                "--many" => found.many = true,
                "--bench" => {}
                word => match word.parse() {
                    Ok(count) => found.counts.push(count),
                    Err(_) => found.names.push(word.into()),
                },
            }
        }
        if found.counts.is_empty() && !found.many {
            found.counts = COUNTS.into();
        }
        found
    }

    fn wants(&self, engine: &Engine) -> bool {
        let first = engine.name == engines::PLAIN;
        first || self.names.is_empty() || self.names.iter().any(|name| name == engine.name)
    }
}

fn main() {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if_eq(engines::PEER).is_some() {
        return engines::be_peer(words);
    }
    let arguments = Arguments::parse(words);
    let engines: Vec<_> = engines().into_iter().filter(|engine| arguments.wants(engine)).collect();
    let mut text = String::new();
    for &count in &arguments.counts {
        let costs = best_of(&engines, count, &arguments);
        text += &table(count, &engines, &costs);
        text.push('\n');
    }
    if !arguments.counts.is_empty() {
        page::publish(&format!("timer-{}", arguments.order), &text);
    }
    if arguments.many {
        let ours: Vec<_> =
            engines.into_iter().filter(|engine| engine.name == engines::OURS).collect();
        let costs = best_of(&ours, MANY, &Arguments { rounds: 1, ..arguments });
        page::publish("timer-many", &table(MANY, &ours, &costs));
    }
}

/// The least of each figure over interleaved rounds.
fn best_of(engines: &[Engine], count: usize, arguments: &Arguments) -> Vec<Option<Cost>> {
    let mut best: Vec<Option<Cost>> = engines.iter().map(|_| None).collect();
    for round in 0..arguments.rounds {
        for (engine, best) in engines.iter().zip(&mut best) {
            eprintln!("{count} timers, round {}: {}", round + 1, engine.name);
            let cost = engine.run(count, &arguments.order);
            *best = match (best.take(), cost) {
                (Some(a), Some(b)) => Some(a.least(b)),
                (a, b) => a.or(b),
            };
        }
    }
    best
}
