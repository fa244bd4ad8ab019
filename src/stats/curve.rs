//! What happens between the two ends of a curve.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The interpolation barrier of one quantity along a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Barrier {
    /// Largest shortfall against the straight line between the ends; negative where every point
    /// inside lies above the line.
    pub value: f64,
    /// Where it is.
    pub alpha: f64,
}

/// The barrier along `(alpha, value)` points: the maximum over the points strictly between the
/// ends of the line minus the curve if large values are good, of the curve minus the line if small
/// ones are (Entezari et al. 2022, equation 1; Frankle et al. 2020). `None` without both ends or
/// without a point between them.
#[must_use]
pub fn barrier(points: &[(f64, f64)], higher_is_better: bool) -> Option<Barrier> {
    let at = |alpha: f64| points.iter().find(|p| p.0 == alpha).map(|p| p.1);
    let (start, end) = (at(0.0)?, at(1.0)?);
    points
        .iter()
        .filter(|(alpha, _)| *alpha > 0.0 && *alpha < 1.0)
        .map(|&(alpha, value)| {
            let line = (1.0 - alpha) * start + alpha * end;
            let shortfall = if higher_is_better { line - value } else { value - line };
            Barrier { value: shortfall, alpha }
        })
        .max_by(|a, b| a.value.total_cmp(&b.value))
}

/// An alpha chosen on selection probes, beside the one that the test probes would have chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Selection {
    /// Chosen on the selection probes.
    pub alpha: f64,
    /// Objective on the test probes at the chosen alpha.
    pub test_value: f64,
    /// Best alpha on the test probes; for comparison only, choosing it would be cheating.
    pub oracle_alpha: f64,
    /// Objective on the test probes at the oracle's alpha.
    pub oracle_value: f64,
    /// What choosing on the test probes would have added: oracle minus chosen, never negative. It has no interval: the
    /// largest of noisy values exceeds the largest true value, in the sample and again in every resample, so percentiles
    /// of resamples lie beside the true regret and 0 is never inside them.
    pub optimism: f64,
}

/// Chooses the alpha with the largest selection value; ties go to the smaller alpha, nearer to
/// the pretrained model. Points are `(alpha, selection value, test value)`.
#[must_use]
pub fn select_alpha(points: &[(f64, f64, f64)]) -> Option<Selection> {
    let best = |value: fn(&(f64, f64, f64)) -> f64| {
        points.iter().copied().reduce(|a, b| {
            let (va, vb) = (value(&a), value(&b));
            if vb > va || (vb == va && b.0 < a.0) { b } else { a }
        })
    };
    let (chosen, oracle) = (best(|p| p.1)?, best(|p| p.2)?);
    Some(Selection {
        alpha: chosen.0,
        test_value: chosen.2,
        oracle_alpha: oracle.0,
        oracle_value: oracle.2,
        optimism: oracle.2 - chosen.2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn barrier_by_hand() {
        // Line from 0.5 to 0.9: 0.7 in the middle.
        let sag = barrier(&[(0.0, 0.5), (0.5, 0.6), (1.0, 0.9)], true).unwrap();
        assert!((sag.value - 0.1).abs() < 1e-12 && sag.alpha == 0.5);
        let bulge = barrier(&[(0.0, 0.5), (0.5, 0.8), (1.0, 0.9)], true).unwrap();
        assert!((bulge.value + 0.1).abs() < 1e-12);
        let loss = barrier(&[(0.0, 2.0), (0.5, 3.0), (1.0, 1.0)], false).unwrap();
        assert!((loss.value - 1.5).abs() < 1e-12);
        assert!(barrier(&[(0.0, 1.0), (1.0, 1.0)], true).is_none());
    }

    #[test]
    fn published_curve_has_no_barrier() {
        // WiSE-FT ViT-B/16 on ImageNet, digitised from the released figure (+-0.2 points).
        let accuracy = [68.3, 72.8, 76.3, 78.8, 80.6, 81.8, 82.3, 82.5, 82.4, 82.1, 81.3];
        let points: Vec<_> = accuracy.iter().enumerate().map(|(i, &a)| (i as f64 / 10.0, a)).collect();
        assert!(barrier(&points, true).unwrap().value < 0.0);
    }

    #[test]
    fn selection_never_looks_at_the_test_value() {
        let s = select_alpha(&[(0.0, 0.5, 0.9), (0.5, 0.7, 0.6), (1.0, 0.7, 0.8)]).unwrap();
        assert_eq!((s.alpha, s.test_value, s.oracle_alpha), (0.5, 0.6, 0.0));
        assert!((s.optimism - 0.3).abs() < 1e-12);
    }
}
