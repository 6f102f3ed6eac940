//! Buckets of the window histogram: eight linear steps per power of two, so a
//! value is known to 12.5 %. The counts are cells of the mapped record, which
//! is why a histogram library's own storage does not serve here.

/// Values below this many ns share linear buckets.
const LINEAR: u64 = 64;
const LINEAR_BITS: u32 = 6;
const SUB_BITS: u32 = 3;
const SUBS: usize = 1 << SUB_BITS;
/// Powers of two covered: up to 2^37 ns, two minutes; longer goes into the last.
const OCTAVES: usize = 31;
/// How many buckets there are.
pub const BUCKETS: usize = SUBS + OCTAVES * SUBS;

/// The bucket of a duration in ns.
pub const fn bucket(ns: u64) -> usize {
    if ns < LINEAR {
        return (ns / (LINEAR / SUBS as u64)) as usize;
    }
    let octave = 63 - ns.leading_zeros();
    let sub = (ns >> (octave - SUB_BITS)) as usize & (SUBS - 1);
    let index = SUBS + (octave - LINEAR_BITS) as usize * SUBS + sub;
    if index < BUCKETS { index } else { BUCKETS - 1 }
}

/// The lowest duration of a bucket, and the lowest of the next one, in ns.
pub const fn bounds(bucket: usize) -> (u64, u64) {
    (lower(bucket), lower(bucket + 1))
}

const fn lower(bucket: usize) -> u64 {
    if bucket < SUBS {
        return bucket as u64 * (LINEAR / SUBS as u64);
    }
    let octave = (bucket - SUBS) / SUBS;
    let sub = (bucket - SUBS) % SUBS;
    (LINEAR << octave) + (sub as u64) * ((LINEAR << octave) / SUBS as u64)
}

/// The duration below which `share` (0..=1) of the counted values lie,
/// interpolated inside its bucket and kept within `min..=max`.
pub fn quantile(counts: &[u64], share: f64, min: u64, max: u64) -> u64 {
    let total: u64 = counts.iter().fold(0, |a, &c| a.saturating_add(c));
    if total == 0 {
        return 0;
    }
    let wanted = share.clamp(0.0, 1.0) * total as f64;
    let mut seen = 0.0;
    for (i, &count) in counts.iter().enumerate() {
        if count > 0 && seen + count as f64 >= wanted {
            let (low, high) = bounds(i);
            let inside = (wanted - seen) / count as f64;
            let value = low as f64 + inside * (high - low) as f64;
            return (value as u64).clamp(min.min(max), max);
        }
        seen += count as f64;
    }
    max
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_tile_the_line() {
        assert_eq!(bounds(0).0, 0);
        for b in 0..BUCKETS {
            let (low, high) = bounds(b);
            assert!(low < high);
            assert_eq!(bucket(low), b);
            assert_eq!(bucket(high - 1), b);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_its_bucket_of_the_sorted_list(
            mut values in prop::collection::vec(0u64..10_000_000_000, 1..200), share in 0.0f64..1.0
        ) {
            let mut counts = vec![0u64; BUCKETS];
            for &v in &values { counts[bucket(v)] += 1; }
            values.sort_unstable();
            let rank = ((share * values.len() as f64).ceil() as usize).max(1) - 1;
            let exact = values[rank];
            let got = quantile(&counts, share, values[0], values[values.len() - 1]);
            let (low, high) = bounds(bucket(exact));
            prop_assert!(got >= low.min(exact) && got <= high, "{got} for {exact} in {low}..{high}");
        }
    }
}
