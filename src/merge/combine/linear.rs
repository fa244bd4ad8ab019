//! Weighted means of all weights.
//!
//! The plain mean is the uniform soup of Wortsman et al. 2022 (arXiv:2203.05482), recipe 1; mergekit calls both `linear`.

use super::{Combine, CombineSettings, Stretches, TensorRule, TensorView};
use crate::base::registry::Named;

/// With weights.
pub(super) struct Linear;
/// Without.
pub(super) struct UniformSoup;
/// Without, of what a selection probe decides.
pub(super) struct GreedySoup;

impl Named for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }
    fn summary(&self) -> &'static str {
        "the mean of all weights by `weights` (1 each), divided by their sum unless `normalize = false`; in f64"
    }
    fn reference(&self) -> &'static str {
        "mergekit `linear`"
    }
}

impl Named for UniformSoup {
    fn name(&self) -> &'static str {
        "uniform-soup"
    }
    fn summary(&self) -> &'static str {
        "the mean of all weights, summed in f64"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2203.05482, recipe 1; mergekit `linear`"
    }
}

impl Named for GreedySoup {
    fn name(&self) -> &'static str {
        "greedy-soup"
    }
    fn summary(&self) -> &'static str {
        "the mean of those that improve it strictly on the selection probe `select`, tried from the best alone on"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2203.05482, recipe 1; mlfoundations/model-soups"
    }
}

impl Combine for Linear {
    fn needs_base(&self) -> bool {
        false
    }

    fn keys(&self) -> &'static [&'static str] {
        &["weights", "normalize"]
    }

    fn rule(&self, settings: &CombineSettings, count: usize) -> Result<Box<dyn TensorRule>, String> {
        let weights = super::weights_of(settings, count)?;
        let unit = if settings.normalize.unwrap_or(true) { Unit::Sum } else { Unit::One };
        Ok(Box::new(Mean::of(&weights, unit)?))
    }
}

impl Combine for UniformSoup {
    fn needs_base(&self) -> bool {
        false
    }

    fn keys(&self) -> &'static [&'static str] {
        &[]
    }

    fn rule(&self, _: &CombineSettings, count: usize) -> Result<Box<dyn TensorRule>, String> {
        Ok(Box::new(Mean { weights: vec![1.0; count], divisor: count as f64 }))
    }
}

impl Combine for GreedySoup {
    fn needs_base(&self) -> bool {
        false
    }

    fn selects(&self) -> bool {
        true
    }

    fn keys(&self) -> &'static [&'static str] {
        &[]
    }

    fn rule(&self, settings: &CombineSettings, count: usize) -> Result<Box<dyn TensorRule>, String> {
        UniformSoup.rule(settings, count)
    }
}

/// What weights are divided by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Their sum.
    Sum,
    /// Nothing.
    One,
}

/// A weighted sum, divided.
pub(super) struct Mean {
    weights: Vec<f64>,
    divisor: f64,
}

impl Mean {
    pub(super) fn of(weights: &[f64], unit: Unit) -> Result<Self, String> {
        let sum: f64 = if unit == Unit::Sum { weights.iter().sum() } else { 1.0 };
        if sum.abs() < 1e-8 {
            return Err("the weights add up to nothing; say `normalize = false` if that is meant".to_owned());
        }
        Ok(Self { weights: weights.iter().map(|w| w / sum).collect(), divisor: 1.0 })
    }
}

impl TensorRule for Mean {
    fn look<'a>(&'a self, tensor: &'a TensorView<'a>) -> candle_core::Result<Box<dyn Stretches + 'a>> {
        Ok(Box::new(OfTensor { rule: self, tensor }))
    }
}

struct OfTensor<'a> {
    rule: &'a Mean,
    tensor: &'a TensorView<'a>,
}

/// Values whose sums are held at once.
const BLOCK: usize = 512;

impl Stretches for OfTensor<'_> {
    fn fill(&self, first: usize, out: &mut [f32]) {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for (i, out) in out.chunks_mut(BLOCK).enumerate() {
                    let mut sums = [0.0f64; BLOCK];
                    for (values, weight) in self.tensor.of.iter().zip(&self.rule.weights) {
                        let values = &values[first + i * BLOCK..][..out.len()];
                        sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += weight * f64::from(*v));
                    }
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out = (sum / self.rule.divisor) as f32);
                }
            },
        );
    }
}
