//! Numbers as people read them.

use std::fmt::Write;

/// A duration with three digits: `812 ns`, `1.02 ms`, `35.0 s`.
pub fn duration(ns: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let Some((size, unit)) = units.into_iter().find(|&(size, _)| ns >= size) else {
        return format!("{ns} ns");
    };
    let value = ns as f64 / size as f64;
    let digits = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}

/// A number of bytes: `812 B`, `1.0 MiB`.
pub fn bytes(count: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|&(size, _)| count >= size) {
        Some((size, unit)) => format!("{:.1} {unit}", count as f64 / size as f64),
        None => format!("{count} B"),
    }
}

/// A number with its thousands apart: `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 call`, `2 calls`.
pub fn plural(number: u64, noun: &str) -> String {
    let mut out = count(number);
    let _ = write!(out, " {noun}{}", if number == 1 { "" } else { "s" });
    out
}

/// A share in percent: `12.5`, and small ones with the digits they need.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value > 0.0 && value < 0.1 { format!("{value:.3}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(duration(0), "0 ns");
        assert_eq!(duration(999), "999 ns");
        assert_eq!(duration(1_020_000), "1.02 ms");
        assert_eq!(duration(99_960), "100 us");
        assert_eq!(duration(35_000_000_000), "35.0 s");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123), "123");
        assert_eq!(plural(1, "call"), "1 call");
        assert_eq!(percent(1.0), "100.0");
        assert_eq!(percent(0.0001), "0.010");
        assert_eq!(bytes(1 << 20), "1.0 MiB");
    }
}
