//! The nonparametric bootstrap (Efron 1979), paired over everything that shares examples.

use rayon::prelude::*;

use super::estimator::Estimator;
use crate::base::rng::CounterRng;

/// How often and from which seed samples are drawn again.
#[derive(Clone, Copy, Debug)]
pub struct Resampling {
    /// Root of all draws.
    pub seed: u64,
    /// Number of replicates.
    pub resamples: usize,
}

impl Resampling {
    /// Replicates of several statistics of the same `n` examples, drawn together: entry `[s][r]`
    /// is statistic `s` in replicate `r`. `key` names the set of examples; statistics that are
    /// asked for under one key in separate calls see the same draws.
    #[must_use]
    pub fn replicates(&self, key: &str, n: usize, statistics: &[&Estimator]) -> Vec<Vec<f64>> {
        let stream = CounterRng::new(self.seed, key);
        let rows: Vec<Vec<f64>> = (0..self.resamples)
            .into_par_iter()
            .map_init(
                || vec![0u8; n],
                |counts, r| {
                    draw(stream.stream(r as u64), counts);
                    statistics.iter().map(|s| s.weighted(counts)).collect()
                },
            )
            .collect();
        (0..statistics.len()).map(|s| rows.iter().map(|row| row[s]).collect()).collect()
    }
}

/// How often each of `counts.len()` examples is drawn in as many draws with replacement.
fn draw(mut rng: CounterRng, counts: &mut [u8]) {
    counts.fill(0);
    let n = counts.len();
    let place = |half: u64| ((half * n as u64) >> 32) as usize;
    let mut left = n;
    // Two draws from each 64 random bits; the bias is below n / 2^32.
    while left > 0 {
        let bits = rng.next_u64();
        let i = place(bits & 0xFFFF_FFFF);
        counts[i] = counts[i].saturating_add(1);
        left -= 1;
        if left > 0 {
            let i = place(bits >> 32);
            counts[i] = counts[i].saturating_add(1);
            left -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Form;

    #[test]
    fn draws_sum_to_n_and_do_not_depend_on_threads() {
        let mut counts = vec![0; 1001];
        draw(CounterRng::new(0, "x"), &mut counts);
        assert_eq!(counts.iter().map(|&c| u32::from(c)).sum::<u32>(), 1001);

        let estimator = Estimator::new(Form::Mean((0..500).map(f64::from).collect()));
        let resampling = Resampling { seed: 3, resamples: 64 };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| resampling.replicates("probe", 500, &[&estimator]))
        };
        assert_eq!(run(1), run(4));
    }

    #[test]
    fn spread_matches_the_standard_error() {
        let n = 400;
        let hits = Estimator::new(Form::Mean((0..n).map(|i| f64::from(i % 4 == 0)).collect()));
        let all = Resampling { seed: 0, resamples: 4000 }.replicates("p", n as usize, &[&hits]);
        let mean = all[0].iter().sum::<f64>() / 4000.0;
        let sd = (all[0].iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 3999.0).sqrt();
        let theory = (0.25f64 * 0.75 / f64::from(n)).sqrt();
        assert!((mean - 0.25).abs() < 0.002 && (sd / theory - 1.0).abs() < 0.05, "{mean} {sd} {theory}");
    }
}
