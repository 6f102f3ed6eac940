//! Statistics of shares: how sure a rate is.

/// The normal distribution's quantile for a 95 % interval.
const Z95: f64 = 1.959_963_984_540_054;

/// The Wilson score interval at 95 % for `hits` out of `trials`, as shares in
/// 0..=1. `(0, 1)` without a trial; `hits` beyond `trials` count as `trials`.
///
/// Unlike the plain normal interval it stays inside 0..=1 and is sound for few
/// trials and for rates near 0 and 1, where the landings of a rare race lie.
///
/// Source: E. B. Wilson, "Probable inference, the law of succession, and
/// statistical inference", 1927.
pub fn wilson_95(hits: u64, trials: u64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let n = trials as f64;
    let p = rate(hits, trials);
    let z2 = Z95 * Z95;
    let centre = p + z2 / (2.0 * n);
    let spread = Z95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    let low = if hits == 0 { 0.0 } else { (centre - spread) / scale };
    let high = if hits >= trials { 1.0 } else { (centre + spread) / scale };
    (low.clamp(0.0, 1.0), high.clamp(0.0, 1.0))
}

/// `hits` out of `trials` as a share in 0..=1; 0 without a trial.
pub fn rate(hits: u64, trials: u64) -> f64 {
    if trials == 0 { 0.0 } else { (hits.min(trials) as f64) / (trials as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rounded((low, high): (f64, f64)) -> (f64, f64) {
        ((low * 1e4).round() / 1e4, (high * 1e4).round() / 1e4)
    }

    #[test]
    fn known_intervals() {
        // Values of the R function binom::binom.confint(method = "wilson").
        assert_eq!(rounded(wilson_95(0, 10)), (0.0, 0.2775));
        assert_eq!(rounded(wilson_95(5, 10)), (0.2366, 0.7634));
        assert_eq!(rounded(wilson_95(100, 100)), (0.9630, 1.0));
        assert_eq!(wilson_95(0, 0), (0.0, 1.0));
        assert_eq!(wilson_95(7, 3), wilson_95(3, 3));
    }

    proptest! {
        #[test]
        fn the_rate_lies_inside(hits in any::<u64>(), more in any::<u64>()) {
            let trials = hits.saturating_add(more);
            let (low, high) = wilson_95(hits, trials);
            prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
            if trials > 0 {
                prop_assert!(low <= rate(hits, trials) && rate(hits, trials) <= high);
            }
        }
    }
}
