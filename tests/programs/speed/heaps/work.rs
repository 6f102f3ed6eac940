//! The work that every heap is measured with: two threads with trees of boxes,
//! hash maps and strings, who hand boxes to each other. Deterministic; prints a
//! checksum. An argument is how much, in per cent.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

const ROUNDS: u64 = 100;
const THREADS: u64 = 2;
const TREE_NODES: u64 = 6000;
const MAP_ENTRIES: u64 = 8000;
const MESSAGES: u64 = 4000;
/// Messages under way at a time.
const QUEUE: usize = 1024;

#[derive(Default)]
struct Tree {
    key: u64,
    name: String,
    left: Option<Box<Tree>>,
    right: Option<Box<Tree>>,
}

type Map = HashMap<String, Vec<u32>, BuildHasherDefault<DefaultHasher>>;
type Message = Box<(u64, Vec<u8>)>;

/// A random generator, xorshift64*.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) * limit) >> 32
    }
}

/// All of it.
pub fn main() {
    let percent = std::env::args().nth(1).map_or(100, |text| text.parse().expect("per cent"));
    let rounds = ROUNDS * percent / 100;
    let (to_first, from_second) = sync_channel(QUEUE);
    let (to_second, from_first) = sync_channel(QUEUE);
    let second = std::thread::spawn(move || thread(1, rounds, &to_first, &from_first));
    let sum = thread(0, rounds, &to_second, &from_second);
    let sum = sum.wrapping_add(second.join().expect("it does not panic"));
    println!("checksum {sum:016x} of {THREADS} threads");
}

fn thread(seed: u64, rounds: u64, out: &SyncSender<Message>, back: &Receiver<Message>) -> u64 {
    let mut dice = Dice(seed + 42);
    let mut sum = 0u64;
    for _ in 0..rounds {
        sum = sum.wrapping_add(tree(&mut dice));
        sum = sum.wrapping_add(map(&mut dice));
        sum = sum.wrapping_add(text(&mut dice));
        sum = sum.wrapping_add(messages(&mut dice, out, back));
    }
    sum
}

fn tree(dice: &mut Dice) -> u64 {
    let mut root = Tree { key: 1 << 31, ..Tree::default() };
    for _ in 0..TREE_NODES {
        let key = dice.below(1 << 32);
        let mut at = &mut root;
        loop {
            let side = if key < at.key { &mut at.left } else { &mut at.right };
            match side {
                Some(next) => at = next,
                None => {
                    let name = format!("node {key}");
                    *side = Some(Box::new(Tree { key, name, ..Tree::default() }));
                    break;
                }
            }
        }
    }
    fn walk(tree: &Tree) -> u64 {
        let below = [&tree.left, &tree.right].into_iter().flatten();
        tree.name.len() as u64 + below.map(|side| walk(side)).sum::<u64>()
    }
    walk(&root)
}

fn map(dice: &mut Dice) -> u64 {
    let mut map = Map::default();
    for number in 0..MAP_ENTRIES {
        let key = format!("key-{}", dice.below(MAP_ENTRIES / 2));
        map.entry(key).or_default().push(number as u32);
        if number % 3 == 0 {
            map.remove(&format!("key-{}", dice.below(MAP_ENTRIES / 2)));
        }
    }
    map.values().flatten().map(|number| u64::from(*number)).sum()
}

fn text(dice: &mut Dice) -> u64 {
    let words: Vec<String> = (0..TREE_NODES)
        .map(|_| "deadwalk".repeat(dice.below(8) as usize) + &dice.below(1000).to_string())
        .collect();
    let mut upper: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
    upper.sort();
    upper.dedup();
    let text = upper.join(" ");
    text.split(' ').map(|word| word.to_string().len() as u64).sum()
}

/// Sends boxes and drops those that come.
fn messages(dice: &mut Dice, out: &SyncSender<Message>, back: &Receiver<Message>) -> u64 {
    let mut sum = 0;
    for number in 0..MESSAGES {
        let bytes = vec![number as u8; dice.below(300) as usize + 1];
        // As many go out as come in: nobody waits for ever.
        out.send(Box::new((number, bytes))).expect("the other one receives");
        if number >= QUEUE as u64 / 2 {
            sum += of(back.recv());
        }
    }
    for _ in 0..QUEUE / 2 {
        sum += of(back.recv());
    }
    sum
}

fn of(message: Result<Message, std::sync::mpsc::RecvError>) -> u64 {
    let message = message.expect("the other one sends");
    message.0 + message.1.len() as u64
}
