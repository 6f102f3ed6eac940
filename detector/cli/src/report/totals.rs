//! The counters as JSON objects. The schema's fields are always there, also
//! those that nothing counts yet.

use deadwalk_detector::counters::{COUNTER_COUNT, Counter};
use serde_json::{Map, Value, json};

/// `totals`: the counters added up over all processes, and the heap's classes.
pub fn totals(counters: &[u64; COUNTER_COUNT], classes: Value) -> Map<String, Value> {
    let template = json!({
        "timers": {
            "inited": 0, "armed": 0, "expired": 0, "refused_at_expiry": 0, "handlers_run": 0,
            "pending_at_end": 0, "auto_detached": 0, "fields_changed": 0,
            "trashed": { "freed": 0, "uninit": 0, "copied": 0, "wiped": 0, "clobbered": 0 },
            "provoked": 0, "healed": 0, "invariant_ok": true
        },
        "healed": { "expiries": 0, "stale_calls": 0, "deferred_frees": 0 },
        "del": {
            "calls": 0, "returned_pending": 0, "while_running": 0, "self": 0, "sync_waits": 0,
            "re_deletes": 0, "readds_by_handler": 0, "readds_by_other": 0
        },
        "heap": {
            "allocs": 0, "frees": 0, "live_bytes": 0, "peak_live_bytes": 0, "poisoned_bytes": 0,
            "verified_bytes": 0, "quarantined_bytes": 0, "retired_slots": 0,
            "repeated_misuses": 0, "untold_misuses": 0, "signal_calls": 0, "guard_pages": 0,
            "guards_released": 0, "guards_refused": 0,
            "classes": classes
        }
    });
    let Value::Object(mut groups) = template else { return Map::new() };
    for (&counter, &value) in Counter::ALL.iter().zip(counters) {
        // People ask whether the books balanced, not how often they did not.
        let (path, value) = match counter {
            Counter::TimersInvariantBroken => ("timers.invariant_ok", (value == 0).into()),
            _ => (counter.path(), value.into()),
        };
        put(&mut groups, path, value);
    }
    groups
}

/// Sets the value at a path of any depth, if its group is in the schema.
fn put(groups: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((outer, rest)) = path.split_once('.') else {
        groups.insert(path.to_owned(), value);
        return;
    };
    if let Some(Value::Object(group)) = groups.get_mut(outer) {
        put(group, rest, value);
    }
}

/// `dropped` of one process.
pub fn dropped(counters: &[u64; COUNTER_COUNT]) -> Map<String, Value> {
    let path_and_value = Counter::ALL.iter().map(|c| c.path()).zip(counters);
    path_and_value
        .filter_map(|(path, &value)| Some((path.strip_prefix("dropped.")?.into(), value.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_place() {
        let counters = core::array::from_fn(|i| i as u64 + 1);
        let (totals, dropped) = (totals(&counters, json!([])), dropped(&counters));
        for (i, counter) in Counter::ALL.iter().enumerate() {
            if *counter == Counter::TimersInvariantBroken {
                continue;
            }
            let (group, name) = counter.path().split_once('.').expect("a group");
            let pointer = format!("/{}", name.replace('.', "/"));
            let value = match group {
                "dropped" => dropped.get(name),
                _ => totals[group].pointer(&pointer),
            };
            assert_eq!(value, Some(&json!(i + 1)), "{}", counter.path());
        }
    }

    #[test]
    fn the_books_balance_unless_one_process_says_no() {
        let mut counters = [0; COUNTER_COUNT];
        for (broken, ok) in [(0, true), (1, false), (u64::MAX, false)] {
            counters[Counter::TimersInvariantBroken as usize] = broken;
            let timers = &totals(&counters, json!([]))["timers"];
            assert_eq!(timers["invariant_ok"], ok);
            assert_eq!(timers.get("invariant_broken"), None);
        }
    }
}
