//! Effective robustness: what a model keeps under a shift beyond what its in-distribution accuracy
//! predicts (Taori et al. 2020, arXiv:2007.00644), with the prediction a line in logit space.

use serde::{Deserialize, Serialize};

/// log(p / (1 - p)).
#[must_use]
pub fn logit(p: f64) -> f64 {
    (p / (1.0 - p)).ln()
}

/// A line fitted to logit accuracies of reference models.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitFit {
    /// Value at logit 0.
    pub intercept: f64,
    /// Slope.
    pub slope: f64,
    /// Models behind it.
    pub n: usize,
}

impl LogitFit {
    /// Least squares through `(in-distribution, shift)` accuracies; those at 0 or 1 have no logit and
    /// are left out. `None` of fewer than three models or without spread.
    #[must_use]
    pub fn new(points: &[(f64, f64)]) -> Option<Self> {
        let inside = |p: f64| p > 0.0 && p < 1.0;
        let logits: Vec<(f64, f64)> = points
            .iter()
            .filter(|(x, y)| inside(*x) && inside(*y))
            .map(|(x, y)| (logit(*x), logit(*y)))
            .collect();
        let n = logits.len();
        if n < 3 {
            return None;
        }
        let mean = |f: fn(&(f64, f64)) -> f64| logits.iter().map(f).sum::<f64>() / n as f64;
        let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
        let spread: f64 = logits.iter().map(|p| (p.0 - mx).powi(2)).sum();
        if spread == 0.0 {
            return None;
        }
        let slope = logits.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / spread;
        Some(Self { intercept: my - slope * mx, slope, n })
    }

    /// The accuracy under shift that the line predicts.
    #[must_use]
    pub fn predict(&self, in_distribution: f64) -> f64 {
        1.0 / (1.0 + (-(self.intercept + self.slope * logit(in_distribution))).exp())
    }

    /// Accuracy under shift minus prediction.
    #[must_use]
    pub fn effective_robustness(&self, in_distribution: f64, shift: f64) -> f64 {
        shift - self.predict(in_distribution)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_logit_space_is_recovered() {
        let line = |p: f64| 1.0 / (1.0 + (-(0.8 * logit(p) - 0.5)).exp());
        let points: Vec<_> = [0.3, 0.5, 0.7, 0.9].map(|p| (p, line(p))).to_vec();
        let fit = LogitFit::new(&points).unwrap();
        assert!((fit.slope - 0.8).abs() < 1e-12 && (fit.intercept + 0.5).abs() < 1e-12);
        assert!((fit.effective_robustness(0.6, line(0.6) + 0.1) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn too_little_to_fit() {
        assert!(LogitFit::new(&[(0.5, 0.5), (0.6, 0.6)]).is_none());
        assert!(LogitFit::new(&[(0.5, 0.5), (0.5, 0.6), (0.5, 0.7)]).is_none());
        assert!(LogitFit::new(&[(0.0, 0.5), (1.0, 0.6), (0.5, 0.7), (0.6, 0.7)]).is_none());
    }
}
