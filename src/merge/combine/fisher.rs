//! The mean of all weights, each value by how much it matters to its own checkpoint (Matena and Raffel 2022, arXiv:2111.09832).

use super::{Combine, CombineSettings, Stretches, TensorRule, TensorView};
use crate::base::registry::Named;
use crate::merge::beside::Beside;
use crate::merge::importance::FLOOR;

/// The combination.
pub(super) struct FisherMean;

impl Named for FisherMean {
    fn name(&self) -> &'static str {
        "fisher"
    }
    fn summary(&self) -> &'static str {
        "the mean of all weights by `weights` (1 each) times the Fisher information beside each checkpoint, value by value"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2111.09832, equation 4"
    }
}

impl Combine for FisherMean {
    fn needs_base(&self) -> bool {
        false
    }

    fn reads(&self) -> Option<Beside> {
        Some(Beside::Fisher)
    }

    fn keys(&self) -> &'static [&'static str] {
        &["weights"]
    }

    fn rule(&self, settings: &CombineSettings, count: usize) -> Result<Box<dyn TensorRule>, String> {
        let weights = super::weights_of(settings, count)?;
        if weights.iter().any(|w| *w <= 0.0) {
            return Err("what each checkpoint weighs must be above 0".to_owned());
        }
        Ok(Box::new(Rule(weights)))
    }
}

struct Rule(Vec<f64>);

impl TensorRule for Rule {
    fn look<'a>(&'a self, tensor: &'a TensorView<'a>) -> candle_core::Result<Box<dyn Stretches + 'a>> {
        Ok(Box::new(OfTensor { weights: &self.0, tensor }))
    }
}

struct OfTensor<'a> {
    weights: &'a [f64],
    tensor: &'a TensorView<'a>,
}

impl Stretches for OfTensor<'_> {
    fn fill(&self, first: usize, out: &mut [f32]) {
        let TensorView { of, beside: importance, .. } = self.tensor;
        // Without, all share the tensor.
        if importance.is_empty() {
            return out.copy_from_slice(&of[0][first..][..out.len()]);
        }
        for (i, out) in out.iter_mut().enumerate() {
            let (mut sum, mut total) = (0.0f64, 0.0f64);
            for ((values, importance), weight) in of.iter().zip(importance).zip(self.weights) {
                let factor = weight * f64::from(importance[first + i].max(FLOOR));
                sum += factor * f64::from(values[first + i]);
                total += factor;
            }
            *out = (sum / total) as f32;
        }
    }
}
