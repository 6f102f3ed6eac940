//! Findings of the report.

use deadwalk_detector::record::layout::{StackRole, Verdict};
use deadwalk_detector::{Kind, Severity};
use serde_json::{Map, Value};

use super::accesses::Sites;
use super::frames::Frames;
use super::message;
use super::model::{Finding, Stacks};
use crate::collect::FindingTotal;

/// One finding for each severity that its occurrences got.
pub fn split(total: &FindingTotal, sites: &Sites, frames: &mut Frames<'_>) -> Vec<Finding> {
    let key = &total.key;
    let pending = key.kind.unresolved_severity(key.consequence);
    let mut stack = |role: StackRole| {
        let id = key.stacks[role as usize];
        id.map(|id| frames.stack(id)).unwrap_or_default()
    };
    let stacks = Stacks {
        del: stack(StackRole::Del),
        arm: stack(StackRole::Arm),
        alloc: stack(StackRole::Alloc),
        free: stack(StackRole::Free),
        access: stack(StackRole::Access),
        handler: key.stacks[StackRole::Handler as usize]
            .map(|id| frames.handler(id))
            .unwrap_or_default(),
    };
    let accesses = sites.of(total, frames);
    let levels = [
        (Verdict::Error, Severity::Error),
        (Verdict::Warning, Severity::Warning),
        (Verdict::Info, Severity::Info),
        (Verdict::Tail, Severity::Info),
    ];
    let mut findings = Vec::new();
    for (verdict, level) in levels {
        let tail = verdict == Verdict::Tail;
        let unresolved = if level == pending && !tail { total.unresolved } else { 0 };
        let count = total.verdicts[verdict as usize].saturating_add(unresolved);
        if count > 0 {
            let accesses = accesses.clone();
            let finding = finding(total, &stacks, level, tail, count, unresolved);
            findings.push(Finding { accesses, ..finding });
        }
    }
    findings
}

fn finding(
    total: &FindingTotal,
    stacks: &Stacks,
    level: Severity,
    tail: bool,
    count: u64,
    unresolved: u64,
) -> Finding {
    let key = &total.key;
    let memory = message::is_memory(key.kind);
    Finding {
        kind: key.kind.name(),
        severity: level.name(),
        api: key.api.name(),
        policy: key.policy,
        consequence: key.consequence.name(),
        count,
        unresolved,
        tail,
        declared_async: key.declared_async,
        own_wait: total.first.own_wait,
        libc_bug: key.kind.is_libc_bug(),
        subject: if memory { key.subject.name() } else { "" },
        access: access(total, stacks, memory),
        accesses: None,
        first_ns: total.first.first_ns,
        last_ns: total.last_ns,
        pid: total.pid,
        threads: total.threads.clone(),
        message: message::message(&total.first, stacks.handler.last(), tail),
        advice: key.kind.advice(),
        detected: if key.late { "late" } else { "at-once" },
        stacks: stacks.clone(),
        level,
    }
}

/// The block and the bytes that a finding is about, as far as they are known.
fn access(total: &FindingTotal, stacks: &Stacks, memory: bool) -> Map<String, Value> {
    let first = &total.first;
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    if let Some(frame) = stacks.access.first() {
        put("ip", frame.ip.clone().into());
    }
    if memory && let Some(&thread) = first.threads.first() {
        put("thread", thread.into());
    }
    if first.addr != 0 {
        put("addr", format!("{:#x}", first.addr).into());
    }
    if first.base != 0 {
        put("base", format!("{:#x}", first.base).into());
        put("size", first.size.into());
        put("offset", first.offset.into());
    }
    if first.age_ns != 0 {
        put("age_ns", first.age_ns.into());
    }
    if let Some((before, after)) = first.bytes.filter(|_| key_is_bytes(total)) {
        put("before", hex(&before).into());
        put("after", hex(&after).into());
    }
    map
}

/// A mismatch keeps families and sizes where others keep heap bytes.
fn key_is_bytes(total: &FindingTotal) -> bool {
    total.key.kind != Kind::AllocDeallocMismatch
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
