//! The ensemble of both ends: their logits are averaged, not their weights.
//!
//! It is what weight averaging is compared with (Wortsman et al. 2022, arXiv:2109.01903, section 5, and arXiv:2203.05482,
//! section 3.2, whose ensembles average unnormalised outputs). It costs two models; every alpha shares their outputs.

use std::ops::RangeInclusive;

use crate::base::registry::Named;
use crate::merge::PathMethod;

/// The path.
pub(super) struct OutputEnsemble;

impl Named for OutputEnsemble {
    fn name(&self) -> &'static str {
        "output-ensemble"
    }
    fn summary(&self) -> &'static str {
        "(1 - alpha) * logits of the pretrained + alpha * logits of the fine-tuned model; nothing is merged"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2109.01903, section 5; arXiv:2203.05482"
    }
}

impl PathMethod for OutputEnsemble {
    fn alphas(&self) -> RangeInclusive<f64> {
        0.0..=1.0
    }

    fn of_outputs(&self) -> bool {
        true
    }

    fn factors(&self, alpha: f64, _: &[f32], _: &[f32]) -> [f32; 2] {
        [(1.0 - alpha) as f32, alpha as f32]
    }
}
