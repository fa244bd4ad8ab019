//! Linear interpolation of weights: theta = (1 - alpha) * pretrained + alpha * fine-tuned.
//!
//! Wortsman et al. 2022 (arXiv:2109.01903), equation 1. Alpha is the weight of the fine-tuned
//! model; some code bases use the opposite convention.

use std::ops::RangeInclusive;

use crate::base::registry::Named;
use crate::merge::PathMethod;

/// The path.
pub(super) struct WiseFt;

impl Named for WiseFt {
    fn name(&self) -> &'static str {
        "wise-ft"
    }
    fn summary(&self) -> &'static str {
        "(1 - alpha) * pretrained + alpha * fine-tuned, tensor by tensor, in f32"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2109.01903, equation 1"
    }
}

impl PathMethod for WiseFt {
    fn alphas(&self) -> RangeInclusive<f64> {
        0.0..=1.0
    }

    fn merge(&self, alpha: f64, from: &[f32], to: &[f32], out: &mut [f32]) {
        if alpha == 0.0 {
            out.copy_from_slice(from);
        } else if alpha == 1.0 {
            out.copy_from_slice(to);
        } else {
            // As `(1 - alpha) * a + alpha * b` in f32, the reference's order of operations.
            let (keep, take) = ((1.0 - alpha) as f32, alpha as f32);
            for ((o, &a), &b) in out.iter_mut().zip(from).zip(to) {
                *o = keep * a + take * b;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_way() {
        let mut out = [0.0; 2];
        WiseFt.merge(0.25, &[4.0, -8.0], &[8.0, 8.0], &mut out);
        assert_eq!(out, [5.0, -4.0]);
    }
}
