//! Tests of paired differences: the same examples, two models.

use statrs::distribution::{Binomial, DiscreteCDF};

use crate::base::rng::CounterRng;

/// Examples on which exactly one of two models is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flips {
    /// Wrong before, right after.
    pub gained: usize,
    /// Right before, wrong after: negative flips.
    pub lost: usize,
}

impl Flips {
    /// Counts the flips between two lists of outcomes of the same examples.
    #[must_use]
    pub fn count(before: &[bool], after: &[bool]) -> Self {
        let mut flips = Self::default();
        for (b, a) in before.iter().zip(after) {
            flips.gained += usize::from(!b & a);
            flips.lost += usize::from(b & !a);
        }
        flips
    }

    /// Two-sided exact McNemar test (McNemar 1947, with the binomial distribution): the probability of flips as
    /// unequal as these if both directions were equally likely. 1 without flips.
    #[must_use]
    pub fn mcnemar(self) -> f64 {
        (2.0 * lower_tail(self.gained.min(self.lost), self.gained + self.lost)).min(1.0)
    }

    /// One-sided exact McNemar test: the probability of as many losses or more among these flips if both
    /// directions were equally likely. Small where the second model is worse.
    #[must_use]
    pub fn mcnemar_worse(self) -> f64 {
        lower_tail(self.gained, self.gained + self.lost)
    }

    /// Negative-flip rate (Yan et al. 2021, arXiv:2011.09161): losses among all `n` examples.
    #[must_use]
    pub fn negative_flip_rate(self, n: usize) -> f64 {
        self.lost as f64 / n as f64
    }
}

/// P(X <= k) for X binomial with `n` trials and probability one half.
fn lower_tail(k: usize, n: usize) -> f64 {
    if n == 0 || k >= n {
        return 1.0;
    }
    Binomial::new(0.5, n as u64).map_or(1.0, |b| b.cdf(k as u64))
}

/// Most differences for which all sign patterns are counted.
const EXACT: usize = 20;

/// Two-sided paired permutation test of a zero mean difference (Fisher 1935): signs of the differences flip
/// with probability one half. Exact for up to 20 differences that are not zero; beyond that `resamples`
/// patterns are drawn and the p-value is (1 + as extreme) / (1 + resamples) (Phipson and Smyth 2010).
#[must_use]
pub fn permutation(differences: &[f64], resamples: usize, seed: u64) -> f64 {
    let moving: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let observed = moving.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order differ in the last places.
    let bar = observed - 1e-9 * moving.iter().map(|d| d.abs()).sum::<f64>().max(f64::MIN_POSITIVE);
    if moving.is_empty() {
        return 1.0;
    }
    if moving.len() <= EXACT {
        let patterns = 1u32 << moving.len();
        let sum = |bits: u32| -> f64 {
            moving.iter().enumerate().map(|(i, d)| if bits >> i & 1 == 0 { *d } else { -*d }).sum()
        };
        let extreme = (0..patterns).filter(|&bits| sum(bits).abs() >= bar).count();
        return extreme as f64 / f64::from(patterns);
    }
    let stream = CounterRng::new(seed, "permutation");
    let extreme = (0..resamples)
        .filter(|&r| {
            let mut rng = stream.stream(r as u64);
            let mut sum = 0.0;
            for block in moving.chunks(64) {
                let bits = rng.next_u64();
                for (i, d) in block.iter().enumerate() {
                    sum += if bits >> i & 1 == 0 { *d } else { -*d };
                }
            }
            sum.abs() >= bar
        })
        .count();
    (1 + extreme) as f64 / (1 + resamples) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flips_by_hand() {
        let flips = Flips::count(&[true, true, false, false, true], &[true, false, true, false, false]);
        assert_eq!(flips, Flips { gained: 1, lost: 2 });
        assert_eq!(flips.negative_flip_rate(5), 0.4);
        // Three flips, at most one gain: (1 + 3) / 8; two-sided 1.
        assert!((flips.mcnemar_worse() - 0.5).abs() < 1e-12 && flips.mcnemar() == 1.0);
        assert_eq!(Flips::default().mcnemar(), 1.0);
        assert!((Flips { gained: 0, lost: 5 }.mcnemar() - 0.0625).abs() < 1e-12);
    }

    #[test]
    fn the_permutation_test_of_signs_is_mcnemar() {
        let differences: Vec<f64> = [1.0; 9].into_iter().chain([-1.0; 2]).chain([0.0; 30]).collect();
        let exact = Flips { gained: 9, lost: 2 }.mcnemar();
        assert!((permutation(&differences, 0, 0) - exact).abs() < 1e-12);
        let many: Vec<f64> = [1.0; 40].into_iter().chain([-1.0; 20]).collect();
        let drawn = permutation(&many, 20_000, 1);
        let exact = Flips { gained: 40, lost: 20 }.mcnemar();
        assert!((drawn - exact).abs() < 0.004, "{drawn} {exact}");
    }
}
