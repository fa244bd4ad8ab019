//! Interpolation weighed by how much each value matters to its own end.

use std::ops::RangeInclusive;

use crate::base::registry::Named;
use crate::merge::PathMethod;
use crate::merge::importance::FLOOR;

/// The path.
pub(super) struct Fisher;

impl Named for Fisher {
    fn name(&self) -> &'static str {
        "fisher"
    }
    fn summary(&self) -> &'static str {
        "((1 - alpha) F0 w0 + alpha F1 w1) / ((1 - alpha) F0 + alpha F1), value by value, F being the Fisher information \
         beside each checkpoint; heads as wise-ft"
    }
    fn reference(&self) -> &'static str {
        "mlfoundations/wise-ft, `--fisher`; arXiv:2111.09832"
    }
}

impl PathMethod for Fisher {
    fn alphas(&self) -> RangeInclusive<f64> {
        0.0..=1.0
    }

    fn weighs(&self) -> bool {
        true
    }

    /// Of what has no Fisher information (rows of heads): as if all values mattered alike.
    fn factors(&self, alpha: f64, _: &[f32], _: &[f32]) -> [f32; 2] {
        [(1.0 - alpha) as f32, alpha as f32]
    }
}

/// Values between `ends`, weighed by how much they matter there; each end exactly where alpha is its own.
pub fn blend_weighed(alpha: f64, ends: [&[f32]; 2], importance: [&[f32]; 2], out: &mut [f32]) {
    if alpha == 0.0 || alpha == 1.0 {
        return out.copy_from_slice(ends[usize::from(alpha == 1.0)]);
    }
    let [keep, take] = [(1.0 - alpha) as f32, alpha as f32];
    let values = ends[0].iter().zip(ends[1]);
    let weights = importance[0].iter().zip(importance[1]);
    for ((out, (a, b)), (f, g)) in out.iter_mut().zip(values).zip(weights) {
        let (f, g) = (keep * f.max(FLOOR), take * g.max(FLOOR));
        *out = (f * a + g * b) / (f + g);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_more_counts_more_and_the_ends_are_the_ends() {
        let (a, b) = ([1.0f32, 1.0, 0.1], [3.0f32, 3.0, 0.3]);
        let at = |alpha: f64| {
            let mut out = [0.0; 3];
            // Alike; three to one; nothing against something.
            blend_weighed(alpha, [&a, &b], [&[2.0, 3.0, 0.0], &[2.0, 1.0, 1.0]], &mut out);
            out
        };
        assert_eq!((at(0.0), at(1.0)), (a, b));
        let half = at(0.5);
        assert_eq!((half[0], half[1]), (2.0, 1.5));
        assert!((half[2] - 0.3).abs() < 1e-7);
    }
}
