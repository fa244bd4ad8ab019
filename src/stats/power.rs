//! How small a difference a set of examples can show, and how many examples a difference needs.

use super::interval::normal_quantile;

/// What a paired comparison is planned for.
#[derive(Clone, Copy, Debug)]
pub struct Design {
    /// Probability of a false alarm, two-sided.
    pub significance: f64,
    /// Probability of finding the difference if it is there.
    pub power: f64,
}

impl Design {
    fn quantiles(self) -> f64 {
        normal_quantile(1.0 - self.significance / 2.0) + normal_quantile(self.power)
    }

    /// Smallest mean difference that `n` paired examples show, whose differences have standard deviation
    /// `deviation` (normal approximation; Cohen 1988).
    #[must_use]
    pub fn detectable(self, deviation: f64, n: usize) -> f64 {
        self.quantiles() * deviation / (n as f64).sqrt()
    }

    /// Examples that a mean difference needs to be shown; `None` for no difference.
    #[must_use]
    pub fn examples(self, deviation: f64, difference: f64) -> Option<u64> {
        let n = (self.quantiles() * deviation / difference).powi(2).ceil();
        (difference != 0.0 && n.is_finite()).then_some(n as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_questions_are_inverse() {
        let design = Design { significance: 0.05, power: 0.8 };
        let smallest = design.detectable(0.5, 500);
        assert_eq!(design.examples(0.5, smallest * 1.000_001), Some(500));
        assert_eq!(design.examples(0.5, 0.0), None);
    }
}
