//! What came of a program's runs.

/// What another checker made of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It named something.
    This(&'static str),
    /// Nothing, and the program died of SIGSEGV.
    Crashed,
    /// Nothing.
    Nothing,
}

/// A program's runs by one kind of timer.
#[derive(Clone, Debug)]
pub struct Score {
    /// Runs under deadwalk.
    pub runs: usize,
    /// Those that were as they should be.
    pub right: usize,
    /// By peer, what each run came to.
    pub peers: Vec<Vec<Said>>,
}

impl Score {
    /// Of no runs yet.
    pub fn new(peers: usize) -> Score {
        Score { runs: 0, right: 0, peers: vec![vec![]; peers] }
    }
}

/// By job.
pub type Scores = Vec<Score>;
