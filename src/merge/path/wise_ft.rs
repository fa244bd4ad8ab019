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

    fn factors(&self, alpha: f64, _: &[f32], _: &[f32]) -> [f32; 2] {
        [(1.0 - alpha) as f32, alpha as f32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::path::blend;

    #[test]
    fn a_quarter_of_the_way() {
        let mut out = [0.0; 2];
        let (from, to) = ([4.0, -8.0], [8.0, 8.0]);
        blend(0.25, WiseFt.factors(0.25, &from, &to), &from, &to, &mut out);
        assert_eq!(out, [5.0, -4.0]);
    }
}
