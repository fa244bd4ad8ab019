//! Intervals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF, Normal, StudentsT};

/// A closed interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
pub fn wilson(hits: f64, n: f64, level: f64) -> Option<Interval> {
    if n.is_nan() || n <= 0.0 {
        return None;
    }
    let z = normal_quantile(0.5 + level / 2.0);
    let (p, z2) = (hits / n, z * z);
    let center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At 0 and n hits the bound is exact; rounding must not move it outside.
    let low = if hits <= 0.0 { 0.0 } else { (center - half).max(0.0) };
    let high = if hits >= n { 1.0 } else { (center + half).min(1.0) };
    Some(Interval { low, high })
}

/// Wilson's interval for a proportion of examples that come in clusters: with the number of independent examples that
/// would vary as much (Kish 1965, the design effect), never more than there are. Where all or none are hits nothing
/// varies; then clusters count as single examples.
#[must_use]
pub fn clustered_wilson(hits: &[bool], clusters: &[u32], level: f64) -> Option<Interval> {
    let n = hits.len() as f64;
    let mut sums: std::collections::BTreeMap<u32, (f64, f64)> = std::collections::BTreeMap::new();
    for (&hit, &cluster) in hits.iter().zip(clusters) {
        let slot = sums.entry(cluster).or_default();
        slot.0 += f64::from(u8::from(hit));
        slot.1 += 1.0;
    }
    let m = sums.len() as f64;
    let p = hits.iter().filter(|h| **h).count() as f64 / n;
    let squares: f64 = sums.values().map(|(hits, size)| (hits - p * size).powi(2)).sum();
    let variance = squares * m / (m - 1.0).max(1.0) / (n * n);
    let effective =
        if p * (1.0 - p) > 0.0 && variance > 0.0 { (p * (1.0 - p) / variance).clamp(1.0, n) } else { m };
    // Few clusters: the spread itself is uncertain (Student's quantile for the normal one).
    let level = if m > 1.0 { normal_level(student_quantile(0.5 + level / 2.0, m - 1.0)?) } else { level };
    wilson(p * effective, effective, level)
}

/// The level at which the normal distribution has this two-sided quantile.
fn normal_level(quantile: f64) -> f64 {
    2.0 * Normal::standard().cdf(quantile) - 1.0
}

/// Quantile of Student's distribution with `freedom` degrees of freedom (which need not be whole).
#[must_use]
pub fn student_quantile(p: f64, freedom: f64) -> Option<f64> {
    // The incomplete beta function's inverse does not end for large parameters; there the expansion around the normal
    // quantile (Abramowitz and Stegun 26.7.5) is right to 1e-9.
    if freedom > 1e3 {
        let z = normal_quantile(p);
        let (z3, z5) = (z.powi(3), z.powi(5));
        return Some(
            z + (z3 + z) / (4.0 * freedom) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * freedom * freedom),
        );
    }
    StudentsT::new(0.0, 1.0, freedom).map(|d| d.inverse_cdf(p)).ok()
}

/// The interval of a mean over `seeds` values (training runs) that share their test examples: Student's, with the seeds'
/// own variance and that of the examples, whose common variance is `examples` (Satterthwaite's degrees of freedom,
/// 1946). Resampling three seeds covers too little: three values vary less than what they are drawn from.
#[must_use]
pub fn over_seeds(seeds: &[f64], examples: f64, level: f64) -> Option<Interval> {
    let n = seeds.len() as f64;
    let mean = seeds.iter().sum::<f64>() / n;
    let between = standard_deviation(seeds)?.powi(2) / n;
    let total = between + examples;
    let freedom =
        if between > 0.0 { (total * total / (between * between / (n - 1.0))).min(1e9) } else { 1e9 };
    let half = student_quantile(0.5 + level / 2.0, freedom)? * total.sqrt();
    Some(Interval { low: mean - half, high: mean + half })
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
        let w = wilson(7.0, 20.0, 0.95).unwrap();
        assert!(close(w.low, 0.181_191_8) || (w.low - 0.181_191_8).abs() < 1e-6, "{w:?}");
        assert!((w.high - 0.567_145_9).abs() < 1e-6, "{w:?}");
        let c = clopper_pearson(7, 20, 0.95).unwrap();
        assert!((c.low - 0.153_909_2).abs() < 1e-6 && (c.high - 0.592_189_0).abs() < 1e-6, "{c:?}");
    }

    #[test]
    fn clusters_widen_and_never_vanish() {
        let clusters: Vec<u32> = (0..400).map(|i| i / 25).collect();
        let all = clustered_wilson(&[true; 400], &clusters, 0.95).unwrap();
        assert!(all.high == 1.0 && all.low < wilson(16.0, 16.0, 0.95).unwrap().low + 1e-12, "{all:?}");
        let whole: Vec<bool> = clusters.iter().map(|c| c % 2 == 0).collect();
        let wide = clustered_wilson(&whole, &clusters, 0.95).unwrap();
        let plain = wilson(200.0, 400.0, 0.95).unwrap();
        assert!(wide.half_width() > 4.0 * plain.half_width(), "{wide:?} {plain:?}");
        let alone: Vec<u32> = (0..400).collect();
        let same = clustered_wilson(&whole, &alone, 0.95).unwrap();
        assert!((same.half_width() / plain.half_width() - 1.0).abs() < 0.01);
    }

    // scipy.stats.t.ppf(0.975, df).
    #[test]
    fn student_quantiles_agree_with_scipy() {
        for (df, expected) in [
            (2.0, 4.302_652_73),
            (2.5, 3.574_654_84),
            (999.0, 1.962_341_46),
            (1001.0, 1.962_336_74),
            (1e9, 1.959_963_99),
        ] {
            let found = student_quantile(0.975, df).unwrap();
            assert!((found - expected).abs() < 2e-6, "{df}: {found} {expected}");
        }
    }

    #[test]
    fn three_seeds_have_a_wide_interval() {
        // scipy.stats.t.interval(0.95, 2, 0.7, 0.1 / 3**0.5) = (0.451586, 0.948414).
        let i = over_seeds(&[0.6, 0.7, 0.8], 0.0, 0.95).unwrap();
        assert!((i.low - 0.451_586).abs() < 1e-5 && (i.high - 0.948_414).abs() < 1e-5, "{i:?}");
        assert!(over_seeds(&[0.5], 0.1, 0.95).is_none());
    }

    #[test]
    fn boundaries_are_exact() {
        assert_eq!(wilson(0.0, 10.0, 0.95).unwrap().low, 0.0);
        assert_eq!(wilson(10.0, 10.0, 0.95).unwrap().high, 1.0);
        assert_eq!(clopper_pearson(0, 10, 0.95).unwrap().low, 0.0);
        assert_eq!(clopper_pearson(10, 10, 0.95).unwrap().high, 1.0);
        assert!(wilson(0.0, 0.0, 0.95).is_none() && clopper_pearson(0, 0, 0.95).is_none());
    }

    #[test]
    fn quantiles_interpolate_like_numpy() {
        // numpy.percentile([1, 2, 3, 4], [2.5, 97.5]) = [1.075, 3.925]
        let i = percentile(&[4.0, 1.0, 3.0, 2.0, f64::NAN], 0.95).unwrap();
        assert!(close(i.low, 1.075) && close(i.high, 3.925), "{i:?}");
        assert!(percentile(&[1.0], 0.95).is_none());
    }
}
