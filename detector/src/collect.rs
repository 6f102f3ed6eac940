//! From the record's findings to whoever listens: subscribers, the live log.
//!
//! A collector looks through the findings when it is woken (or now and then)
//! and sends what is new to every subscriber. It reads the record only; those
//! who write findings never wait for it, and all they do for it is [`wake`].

use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::core::DETECTOR;
use crate::in_process;
use crate::record::layout::{FINDINGS, FindingEntry, READY, StackRole, Verdict, unpack_frame};
use crate::{Consequence, Kind, Severity};

/// How long a warning may still become an info before it is sent: the deleter
/// may yet wait for the handler.
const WARNING_REST: Duration = Duration::from_secs(1);
/// How often the collector looks even if nobody wakes it.
const IDLE: Duration = Duration::from_millis(500);

/// A finding as subscribers get it: its first occurrence, with the count so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// What followed.
    pub consequence: Consequence,
    /// How often this severity was given so far.
    pub count: u32,
    /// The address concerned, 0 if none.
    pub addr: usize,
    /// The heap block concerned, 0 if none.
    pub base: usize,
    /// Its size.
    pub size: usize,
    /// Offset of the address or damage in the block.
    pub offset: i64,
    /// Found later than it happened.
    pub late: bool,
    /// Stacks, innermost first: module offset, or plain address where the
    /// module is not known.
    pub stacks: Vec<(StackRole, Vec<u64>)>,
}

/// What [`subscribe`] gives: findings come in by it.
pub type Findings = Receiver<Finding>;

static SUBSCRIBERS: Mutex<Vec<Sender<Finding>>> = Mutex::new(Vec::new());
static WAKER: OnceLock<Thread> = OnceLock::new();
/// Set by `wake`, cleared by the collector: spares the system call.
static AWAKE: AtomicU32 = AtomicU32::new(0);

/// Tells the collector that a finding changed. Safe inside malloc and in a
/// signal handler: an atomic swap and at most one futex call.
pub fn wake() {
    if AWAKE.swap(1, Ordering::AcqRel) == 0
        && let Some(thread) = WAKER.get()
    {
        thread.unpark();
    }
}

/// Everything found in this process from now on, and what was found before.
///
/// Starts the collector thread of a Rust program at the first call. Findings
/// arrive in the order in which the collector saw them, errors at once,
/// warnings after a second (their verdict may still improve).
///
/// ```
/// let findings = deadwalk_detector::subscribe();
/// assert!(findings.try_recv().is_err(), "nothing was found yet");
/// ```
pub fn subscribe() -> Findings {
    static COLLECTOR: Once = Once::new();
    in_process::activate();
    let receiver = add_subscriber();
    COLLECTOR.call_once(|| {
        let spawned = std::thread::Builder::new().name("deadwalk".into()).spawn(|| {
            let mut collector = Collector::new();
            loop {
                collector.wait();
                collector.poll(false);
            }
        });
        if spawned.is_err() {
            eprintln!("deadwalk: no collector thread: subscribers get nothing");
        }
    });
    wake();
    receiver
}

/// A receiver for a collector that the host runs itself.
pub fn add_subscriber() -> Receiver<Finding> {
    let (sender, receiver) = unbounded();
    SUBSCRIBERS.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
    receiver
}

/// What has been sent of one finding.
#[derive(Clone, Copy, Default)]
struct Sent {
    counts: [u32; 4],
    /// When its occurrences were counted last, and how many there were.
    counted: Option<(Instant, u32)>,
}

impl Sent {
    /// Is one of its warnings older than [`WARNING_REST`]? Young ones come and
    /// go in a correct program; so there must be more than came since.
    fn has_rested(&mut self, entry: &FindingEntry) -> bool {
        let given = |verdict: &AtomicU32| verdict.load(Ordering::Relaxed);
        let all = entry.verdicts.iter().map(given).fold(0, u32::wrapping_add);
        let (since, before) = *self.counted.get_or_insert_with(|| (Instant::now(), all));
        if since.elapsed() < WARNING_REST {
            return false;
        }
        self.counted = Some((Instant::now(), all));
        given(&entry.verdicts[Verdict::Warning as usize]) > all.wrapping_sub(before)
    }
}

/// Reads the record for subscribers; one thread's.
pub struct Collector {
    sent: Vec<Sent>,
}

impl Collector {
    /// A collector; the calling thread is the one that [`wake`] wakes.
    pub fn new() -> Collector {
        let _ = WAKER.set(std::thread::current());
        Collector { sent: vec![Sent::default(); FINDINGS] }
    }

    /// Sleeps until woken, or for half a second.
    pub fn wait(&self) {
        if AWAKE.swap(0, Ordering::AcqRel) == 0 {
            std::thread::park_timeout(IDLE);
            AWAKE.store(0, Ordering::Release);
        }
    }

    /// Sends what is new since the last call; `last` = there will be no further
    /// call, so warnings do not rest.
    pub fn poll(&mut self, last: bool) {
        let Some(body) = DETECTOR.record.body_if_any() else { return };
        for (sent, entry) in self.sent.iter_mut().zip(&body.findings) {
            if entry.state.load(Ordering::Acquire) != READY {
                continue;
            }
            for (verdict, severity) in [
                (Verdict::Info, Severity::Info),
                (Verdict::Warning, Severity::Warning),
                (Verdict::Error, Severity::Error),
            ] {
                let count = entry.verdicts[verdict as usize].load(Ordering::Relaxed);
                if count == 0 || sent.counts[verdict as usize] != 0 {
                    continue;
                }
                if verdict == Verdict::Warning && !last && !sent.has_rested(entry) {
                    continue;
                }
                sent.counts[verdict as usize] = count;
                if let Some(finding) = read(entry, severity, count) {
                    send(&finding);
                }
            }
        }
    }
}

impl Default for Collector {
    fn default() -> Self {
        Collector::new()
    }
}

fn send(finding: &Finding) {
    SUBSCRIBERS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .retain(|subscriber| subscriber.send(finding.clone()).is_ok());
}

fn read(entry: &FindingEntry, severity: Severity, count: u32) -> Option<Finding> {
    let relaxed = Ordering::Relaxed;
    Some(Finding {
        kind: Kind::from_u8(entry.kind.load(relaxed))?,
        severity,
        consequence: Consequence::from_u8(entry.consequence.load(relaxed))?,
        count,
        addr: entry.addr.load(relaxed) as usize,
        base: entry.base.load(relaxed) as usize,
        size: entry.size.load(relaxed) as usize,
        offset: entry.offset.load(relaxed),
        late: entry.flags.load(relaxed) & crate::record::layout::FLAG_LATE != 0,
        stacks: StackRole::ALL
            .into_iter()
            .filter_map(|(role, _)| {
                let index = entry.stacks[role as usize].load(relaxed).checked_sub(1)?;
                let stack = DETECTOR.record.body_if_any()?.stacks.get(index as usize)?;
                let depth = stack.depth.load(relaxed) as usize;
                let frames = stack.frames.iter().take(depth);
                Some((role, frames.map(|f| unpack_frame(f.load(relaxed)).1).collect()))
            })
            .collect(),
    })
}
