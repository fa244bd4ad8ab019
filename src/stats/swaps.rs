//! Paired permutation of two results: which of the two models' outcomes counts as "before" is exchanged, unit by unit.
//!
//! If nothing changed, the two outcomes of an example (or of a cluster) are exchangeable, so every pattern of exchanges
//! is as likely as the observed one (Fisher 1935); any statistic of the two results may be compared with its values under
//! the patterns. A unit is exchanged in all metrics at once, so the largest of several statistics has its own
//! distribution too, which adjusts p-values for looking at many of them without giving away what they share (Westfall and
//! Young 1993, step-down maxT).

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::base::rng::CounterRng;

/// Exact patterns are counted for up to this many units that differ anywhere.
const EXACT: usize = 13;

/// Exchanges of units, the same for every metric that is asked.
#[derive(Debug, Default)]
pub struct Swaps {
    /// Bit `r % 64` of word `r / 64`: whether the unit is exchanged in pattern `r`.
    patterns: BTreeMap<String, Vec<u64>>,
    count: usize,
    exact: bool,
}

/// What one unit adds to after minus before.
pub type Change = (String, f64);

impl Swaps {
    /// Patterns for the units that differ in some metric: all of them where they are few, else `draws` keyed by unit.
    #[must_use]
    pub fn new<'a>(units: impl Iterator<Item = &'a String>, draws: usize, seed: u64) -> Self {
        let mut patterns: BTreeMap<String, Vec<u64>> = units.map(|u| (u.clone(), Vec::new())).collect();
        let exact = patterns.len() <= EXACT;
        let count = if exact { 1 << patterns.len() } else { draws };
        let words = count.div_ceil(64);
        let all: Vec<(usize, (&String, &mut Vec<u64>))> = patterns.iter_mut().enumerate().collect();
        all.into_par_iter().for_each(|(place, (unit, bits))| {
            *bits = if exact {
                let bit = |r: usize| (r >> place & 1) as u64;
                (0..words).map(|w| (0..64).fold(0, |word, b| word | bit(w * 64 + b) << b)).collect()
            } else {
                let mut rng = CounterRng::new(seed, unit);
                (0..words).map(|_| rng.next_u64()).collect()
            };
        });
        Self { patterns, count, exact }
    }

    /// Number of patterns.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The part of after minus before that is exchanged, in each pattern: with `s` exchanged, the difference is what it
    /// was minus twice `s`.
    #[must_use]
    pub fn moved(&self, changes: &[Change]) -> Vec<f64> {
        let mut all = vec![0.0; self.count];
        for (unit, change) in changes {
            let Some(bits) = self.patterns.get(unit) else { continue };
            for (word, chunk) in bits.iter().zip(all.chunks_mut(64)) {
                for (b, value) in chunk.iter_mut().enumerate() {
                    // Branchless: the bit as 0 or 1.
                    *value += change * (word >> b & 1) as f64;
                }
            }
        }
        all
    }

    /// Share of the patterns in which a statistic is as large as the one observed. Where patterns are drawn, the observed
    /// one counts with them (Phipson and Smyth 2010).
    #[must_use]
    pub fn p_value(&self, observed: f64, under: &[f64]) -> f64 {
        let bar = observed - 1e-9 * observed.abs().max(f64::MIN_POSITIVE);
        let extreme = under.iter().filter(|t| **t >= bar).count();
        if self.exact {
            extreme as f64 / under.len().max(1) as f64
        } else {
            (1 + extreme) as f64 / (1 + under.len()) as f64
        }
    }

    /// p-values adjusted for all of several statistics by step-down maxT. `under(m)` gives statistic `m` in each pattern
    /// (asked for twice, so that not all need be held). Statistics are divided by their spread over the patterns, so that
    /// all count alike.
    #[must_use]
    pub fn adjusted(&self, observed: &[f64], under: impl Fn(usize) -> Vec<f64> + Sync) -> Vec<f64> {
        let spread = |values: Vec<f64>| {
            let n = values.len().max(1) as f64;
            (values.iter().map(|v| v * v).sum::<f64>() / n).sqrt()
        };
        let scales: Vec<f64> = (0..observed.len()).into_par_iter().map(|m| spread(under(m))).collect();
        let t = |m: usize, value: f64| if scales[m] > 0.0 { value / scales[m] } else { 0.0 };
        let mut order: Vec<usize> = (0..observed.len()).collect();
        order.sort_by(|&a, &b| t(b, observed[b]).total_cmp(&t(a, observed[a])));
        // From the least to the most extreme: the largest among those not more extreme.
        let mut largest = vec![f64::NEG_INFINITY; self.count];
        let mut single = vec![1.0; observed.len()];
        for &m in order.iter().rev() {
            for (slot, value) in largest.iter_mut().zip(under(m)) {
                *slot = slot.max(t(m, value));
            }
            single[m] = if scales[m] > 0.0 { self.p_value(t(m, observed[m]), &largest) } else { 1.0 };
        }
        let mut running = 0.0f64;
        let mut all = vec![1.0; observed.len()];
        for &m in &order {
            running = running.max(single[m]);
            all[m] = running;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Flips;

    fn changes(all: &[f64]) -> Vec<Change> {
        all.iter().enumerate().map(|(i, &d)| (format!("e{i}"), d)).collect()
    }

    fn worse(swaps: &Swaps, changes: &[Change]) -> f64 {
        let total: f64 = changes.iter().map(|c| c.1).sum();
        let under: Vec<f64> = swaps.moved(changes).iter().map(|s| 2.0 * s - total).collect();
        swaps.p_value(-total, &under)
    }

    #[test]
    fn exchanging_single_examples_is_the_exact_mcnemar_test() {
        let c = changes(&[-1.0, -1.0, -1.0, 1.0, -1.0, -1.0, -1.0]);
        let swaps = Swaps::new(c.iter().map(|c| &c.0), 0, 0);
        let exact = Flips { gained: 1, lost: 6 }.mcnemar_worse();
        assert!((worse(&swaps, &c) - exact).abs() < 1e-12);
        let c = changes(&[vec![-1.0; 40], vec![1.0; 20]].concat());
        let drawn = worse(&Swaps::new(c.iter().map(|c| &c.0), 20_000, 3), &c);
        let exact = Flips { gained: 20, lost: 40 }.mcnemar_worse();
        assert!((drawn - exact).abs() < 0.003, "{drawn} {exact}");
    }

    #[test]
    fn one_changed_cluster_is_a_coin_toss() {
        let c = changes(&[-25.0]);
        assert_eq!(worse(&Swaps::new(c.iter().map(|c| &c.0), 0, 0), &c), 0.5);
    }

    #[test]
    fn equal_metrics_are_adjusted_as_one() {
        // Ten copies of one metric are one test; Holm would multiply by ten.
        let c = changes(&[-1.0; 8]);
        let swaps = Swaps::new(c.iter().map(|c| &c.0), 0, 0);
        let under: Vec<f64> = swaps.moved(&c).iter().map(|s| 2.0 * s + 8.0).collect();
        let all = swaps.adjusted(&[8.0; 10], |_| under.clone());
        assert!(all.iter().all(|p| (p - 1.0 / 256.0).abs() < 1e-12), "{all:?}");
        // A metric that nothing moves is never an alarm.
        assert_eq!(swaps.adjusted(&[0.0], |_| vec![0.0; 256]), [1.0]);
    }
}
