//! Intervals.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF, Normal};

/// A closed interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// Half of the width.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// Wilson's score interval for a proportion of `hits` in `n` (Wilson 1927; recommended by Brown,
/// Cai and DasGupta 2001). Sensible at 0 and `n` hits as well. `None` if `n` is 0.
#[must_use]
pub fn wilson(hits: f64, n: usize, level: f64) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (n, z) = (n as f64, normal_quantile(0.5 + level / 2.0));
    let (p, z2) = (hits / n, z * z);
    let center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At 0 and n hits the bound is exact; rounding must not move it outside.
    let low = if hits <= 0.0 { 0.0 } else { (center - half).max(0.0) };
    let high = if hits >= n { 1.0 } else { (center + half).min(1.0) };
    Some(Interval { low, high })
}

/// Clopper and Pearson's exact interval for a proportion (Biometrika 1934). `None` if `n` is 0.
#[must_use]
pub fn clopper_pearson(hits: usize, n: usize, level: f64) -> Option<Interval> {
    if n == 0 || hits > n {
        return None;
    }
    let tail = (1.0 - level) / 2.0;
    let (k, misses) = (hits as f64, (n - hits) as f64);
    let quantile = |a: f64, b: f64, q: f64| Beta::new(a, b).map(|d| d.inverse_cdf(q)).ok();
    let low = if hits == 0 { 0.0 } else { quantile(k, misses + 1.0, tail)? };
    let high = if hits == n { 1.0 } else { quantile(k + 1.0, misses, 1.0 - tail)? };
    Some(Interval { low, high })
}

/// The percentile interval of bootstrap replicates (Efron 1979), with linear interpolation between
/// order statistics (type 7 of Hyndman and Fan, NumPy's default). NaN replicates (undefined draws)
/// are left out; `None` if fewer than two remain.
#[must_use]
pub fn percentile(replicates: &[f64], level: f64) -> Option<Interval> {
    let mut sorted: Vec<f64> = replicates.iter().copied().filter(|v| !v.is_nan()).collect();
    if sorted.len() < 2 {
        return None;
    }
    sorted.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    Some(Interval { low: quantile(&sorted, tail), high: quantile(&sorted, 1.0 - tail) })
}

/// Quantile of sorted values, type 7.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

/// The bias-corrected and accelerated interval (Efron 1987) of bootstrap replicates around `value`. `jackknife`
/// holds the statistic with each example left out in turn; the acceleration comes from its skewness. `None` where
/// replicates or jackknife do not vary.
#[must_use]
pub fn bca(value: f64, replicates: &[f64], jackknife: &[f64], level: f64) -> Option<Interval> {
    let mut sorted: Vec<f64> = replicates.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let below = sorted.iter().filter(|v| **v < value).count();
    let up_to = sorted.iter().filter(|v| **v <= value).count();
    let rank = (below + up_to) as f64 / 2.0 / sorted.len() as f64;
    let mean = jackknife.iter().sum::<f64>() / jackknife.len() as f64;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for v in jackknife {
        let u = mean - v;
        squares += u * u;
        cubes += u * u * u;
    }
    if sorted.len() < 2 || squares == 0.0 || rank <= 0.0 || rank >= 1.0 {
        return None;
    }
    let acceleration = cubes / (6.0 * squares.powf(1.5));
    let bias = normal_quantile(rank);
    let adjusted = |tail: f64| {
        let z = bias + normal_quantile(tail);
        Normal::standard().cdf(bias + z / (1.0 - acceleration * z))
    };
    let tail = (1.0 - level) / 2.0;
    Some(Interval { low: quantile(&sorted, adjusted(tail)), high: quantile(&sorted, adjusted(1.0 - tail)) })
}

/// Standard deviation (n - 1); `None` of fewer than two.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    Some((values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}

/// Quantile of the standard normal distribution.
pub(super) fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    // Reference values: scipy.stats.binomtest(k, n).proportion_ci(0.95, method).
    #[test]
    fn agrees_with_scipy() {
        let w = wilson(7.0, 20, 0.95).unwrap();
        assert!(close(w.low, 0.181_191_8) || (w.low - 0.181_191_8).abs() < 1e-6, "{w:?}");
        assert!((w.high - 0.567_145_9).abs() < 1e-6, "{w:?}");
        let c = clopper_pearson(7, 20, 0.95).unwrap();
        assert!((c.low - 0.153_909_2).abs() < 1e-6 && (c.high - 0.592_189_0).abs() < 1e-6, "{c:?}");
    }

    #[test]
    fn boundaries_are_exact() {
        assert_eq!(wilson(0.0, 10, 0.95).unwrap().low, 0.0);
        assert_eq!(wilson(10.0, 10, 0.95).unwrap().high, 1.0);
        assert_eq!(clopper_pearson(0, 10, 0.95).unwrap().low, 0.0);
        assert_eq!(clopper_pearson(10, 10, 0.95).unwrap().high, 1.0);
        assert!(wilson(0.0, 0, 0.95).is_none() && clopper_pearson(0, 0, 0.95).is_none());
    }

    #[test]
    fn quantiles_interpolate_like_numpy() {
        // numpy.percentile([1, 2, 3, 4], [2.5, 97.5]) = [1.075, 3.925]
        let i = percentile(&[4.0, 1.0, 3.0, 2.0, f64::NAN], 0.95).unwrap();
        assert!(close(i.low, 1.075) && close(i.high, 3.925), "{i:?}");
        assert!(percentile(&[1.0], 0.95).is_none());
    }
}
