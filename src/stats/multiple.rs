//! Many tests or intervals at once.

use super::interval::{Interval, quantile, standard_deviation};

/// Holm's step-down adjustment (Holm 1979): p-values that may each be compared with the level while the chance
/// of any false rejection stays below it.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let mut adjusted = vec![1.0; p.len()];
    let mut running = 0.0f64;
    for (rank, &i) in order.iter().enumerate() {
        running = running.max(p[i] * (p.len() - rank) as f64).min(1.0);
        adjusted[i] = running;
    }
    adjusted
}

/// Benjamini and Hochberg's adjustment (1995): rejecting what lies below the level keeps the expected share of
/// false rejections below it.
#[must_use]
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let order = ascending(p);
    let mut adjusted = vec![1.0; p.len()];
    let mut running = 1.0f64;
    for (rank, &i) in order.iter().enumerate().rev() {
        running = running.min(p[i] * p.len() as f64 / (rank + 1) as f64);
        adjusted[i] = running;
    }
    adjusted
}

fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    order
}

/// Intervals around several estimates that hold all together with probability `level`: estimate plus and minus a
/// common multiple of its standard error, the multiple being the quantile of the largest standardised deviation
/// over the replicates (max-|t| band; Romano and Wolf 2005). `replicates[j][r]` is estimate `j` in replicate `r`,
/// all on the same draws. An estimate without spread gets no width.
#[must_use]
pub fn simultaneous_band(values: &[f64], replicates: &[Vec<f64>], level: f64) -> Option<Vec<Interval>> {
    let resamples = replicates.iter().map(Vec::len).min().filter(|&n| n >= 2)?;
    let errors: Vec<f64> = replicates.iter().map(|r| standard_deviation(r)).collect::<Option<Vec<_>>>()?;
    let mut largest: Vec<f64> = (0..resamples)
        .map(|r| {
            let deviations = values.iter().zip(replicates).zip(&errors);
            let t = deviations.filter(|(_, e)| **e > 0.0).map(|((v, rep), e)| ((rep[r] - v) / e).abs());
            t.fold(0.0, f64::max)
        })
        .collect();
    largest.sort_by(f64::total_cmp);
    let multiple = quantile(&largest, level);
    let around = |(v, e): (&f64, &f64)| Interval { low: v - multiple * e, high: v + multiple * e };
    Some(values.iter().zip(&errors).map(around).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjustments_keep_order_and_bounds() {
        let p = [0.01, 0.04, 0.03, 0.5];
        assert_eq!(holm(&p), [0.04, 0.09, 0.09, 0.5]);
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-12);
        assert!(close(&benjamini_hochberg(&p), &[0.04, 0.04 * 4.0 / 3.0, 0.04 * 4.0 / 3.0, 0.5]));
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn a_band_is_wider_than_an_interval_but_not_than_bonferroni() {
        let mut rng = crate::base::rng::CounterRng::new(0, "band");
        // Ten estimates, half of each deviation shared, as on neighbouring alphas.
        let shared: Vec<f64> = (0..4000).map(|_| rng.normal()).collect();
        let replicates: Vec<Vec<f64>> =
            (0..10).map(|_| shared.iter().map(|s| s + rng.normal()).collect()).collect();
        let band = simultaneous_band(&[0.0; 10], &replicates, 0.95).unwrap();
        let t = band[0].half_width() / 2f64.sqrt();
        assert!(t > 2.2 && t < 2.81, "{t}");
    }
}
