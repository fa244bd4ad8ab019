//! The nonparametric bootstrap (Efron 1979), paired over everything that shares examples.

use rayon::prelude::*;

use super::drawing::Drawing;
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

impl Resampling {
    /// Replicates of a mean over seeds: in each, the seeds are drawn with replacement and their replicates on the
    /// draw of examples are averaged (Davison and Hinkley 1997, section 3.8). `by_seed[s][r]` is seed `s` in
    /// replicate `r`; all seeds share the draws of examples. Deviations from the seeds' mean are stretched by
    /// sqrt(n / (n - 1)), so that the spread over seeds is that of the seeds and not smaller.
    #[must_use]
    pub fn over_seeds(&self, key: &str, by_seed: &[Vec<f64>]) -> Vec<f64> {
        let stream = CounterRng::new(self.seed, key);
        let n = by_seed.len();
        let resamples = by_seed.iter().map(Vec::len).min().unwrap_or(0);
        let stretch = if n > 1 { (n as f64 / (n as f64 - 1.0)).sqrt() } else { 1.0 };
        let one = |r: usize| {
            let mut rng = stream.stream(r as u64);
            let mean = by_seed.iter().map(|s| s[r]).sum::<f64>() / n as f64;
            let drawn = (0..n).map(|_| by_seed[rng.below(n)][r]).sum::<f64>() / n as f64;
            mean + stretch * (drawn - mean)
        };
        (0..resamples).map(one).collect()
    }

    /// As [`Resampling::replicates`], drawing the units of a frame (examples, or clusters of them: of one article, one
    /// prompt, one patient; Field and Welsh 2007), which other probes of the same data share. Examples of other probes
    /// take part in the draw, so that a probe of a part of the data has a part of the draws.
    #[must_use]
    pub fn drawn(&self, drawing: &Drawing, statistics: &[&Estimator]) -> Vec<Vec<f64>> {
        if drawing.is_plain() {
            return self.replicates(&drawing.key, drawing.size, statistics);
        }
        let stream = CounterRng::new(self.seed, &drawing.key);
        let rows: Vec<Vec<f64>> = (0..self.resamples)
            .into_par_iter()
            .map_init(
                || (vec![0u8; drawing.size], vec![0u8; drawing.places.len()]),
                |(drawn, counts), r| {
                    draw(stream.stream(r as u64), drawn);
                    counts.iter_mut().zip(&drawing.places).for_each(|(n, &p)| *n = drawn[p as usize]);
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
    fn clusters_are_drawn_whole_and_widen_the_spread() {
        // 100 clusters of ten equal examples: the spread is that of 100 examples, not of 1000.
        let clusters: Vec<u32> = (0..1000).map(|i| i / 10).collect();
        let hits = Estimator::new(Form::Mean(clusters.iter().map(|c| f64::from(c % 4 == 0)).collect()));
        let drawing = Drawing { key: "p".to_owned(), size: 100, places: clusters };
        let all = Resampling { seed: 0, resamples: 2000 }.drawn(&drawing, &[&hits]);
        let sd = crate::stats::standard_deviation(&all[0]).unwrap();
        let theory = (0.25f64 * 0.75 / 100.0).sqrt();
        assert!((sd / theory - 1.0).abs() < 0.06, "{sd} {theory}");
    }

    #[test]
    fn seeds_add_their_spread() {
        let resampling = Resampling { seed: 0, resamples: 4000 };
        let by_seed: Vec<Vec<f64>> = [0.6, 0.7, 0.8].map(|v| vec![v; 4000]).to_vec();
        let sd = crate::stats::standard_deviation(&resampling.over_seeds("s", &by_seed)).unwrap();
        // The standard error of the mean of three seeds: 0.1 / sqrt(3).
        assert!((sd / (0.01f64 / 3.0).sqrt() - 1.0).abs() < 0.05, "{sd}");
    }

    #[test]
    fn probes_of_the_same_examples_move_together() {
        let names = |from: usize, to: usize| (from..to).map(|i| i.to_string()).collect::<Vec<_>>();
        let drawings = Drawing::of(vec![
            ("d".to_owned(), names(0, 300)),
            ("d".to_owned(), names(0, 300)),
            ("e".to_owned(), names(0, 300)),
        ]);
        let hits = Estimator::new(Form::Mean((0..300).map(|i| f64::from(i % 2)).collect()));
        let resampling = Resampling { seed: 0, resamples: 50 };
        let of = |i: usize| resampling.drawn(&drawings[i], &[&hits]);
        assert_eq!(of(0), of(1));
        assert_ne!(of(0), of(2));
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
